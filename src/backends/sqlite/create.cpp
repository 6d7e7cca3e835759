#include "backends/sqlite/create.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "backends/sqlite/acting_owner.hpp"
#include "backends/sqlite/errors.hpp"
#include "backends/sqlite/schema.hpp"
#include "base/new_file.hpp"

namespace tokenstore::sqlite {
namespace {

Error creation_error(const std::string& path, int code) {
  if (code == ENOSPC || code == EDQUOT) {
    return Error(Status::storage_full, fmt::format("no space to create '{}'; free some and try again", path));
  }
  return Error(Status::cannot_open,
               fmt::format("'{}' cannot be created ({}); its directory must be writable", path,
                           std::strerror(code)));  // NOLINT(concurrency-mt-unsafe): glibc's is thread-safe here
}

/// A file under a name of its own, removed with all that SQLite puts beside it.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  ~TemporaryFile() {
    for (const char* suffix : {"-journal", "-wal", "-shm", ""}) ::unlink((path_ + suffix).c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  /// 0 or errno. Mode 0600 whatever the umask.
  int create() const noexcept {
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return errno;
    const int code = ::fchmod(file, 0600) == 0 ? 0 : errno;
    ::close(file);
    return code;
  }
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}  // namespace

Result<void> create_database(const Location& location, const Target& target) {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    return creation_error(location.path, errno);
  }
  // Made by root in somebody's directory, it is theirs: they could replace it, and could not use it otherwise.
  const ActingOwner owner(location.directory);
  const TemporaryFile temporary(fmt::format("{}.new-{:016x}", location.path, random));
  if (const int code = temporary.create(); code != 0) return creation_error(location.path, code);
  {
    Target building = target;
    building.path = temporary.path();
    building.read_only = false;
    building.immutable = false;
    Result<std::unique_ptr<Connection>> connection = Connection::open(building);
    if (!connection) return connection.error();
    if (const int code = create_schema(**connection); code != SQLITE_OK) return error_of(code, "creating its tables");
  }
  const int placed = base::put_in_place(temporary.path(), location.path);
  if (placed != 0 && placed != EEXIST) return creation_error(location.path, placed);
  if (const int code = base::sync_directory_of(location.path); code != 0) return creation_error(location.path, code);
  return {};
}

}  // namespace tokenstore::sqlite
