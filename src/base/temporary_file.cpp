#include "base/temporary_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/file.hpp"

namespace tokenstore::base {

TemporaryFile::TemporaryFile(const std::string& beside) {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) return;
  names_.back() = fmt::format("{}.new-{:016x}", beside, random);
  // Here, because whoever removes them may have no memory left.
  constexpr std::array<const char*, 3> suffixes = {"-journal", "-wal", "-shm"};
  for (std::size_t i = 0; i < suffixes.size(); ++i) names_[i] = path() + suffixes[i];
}

TemporaryFile::~TemporaryFile() {
  if (kept_ || path().empty()) return;
  for (const std::string& name : names_) ::unlink(name.c_str());
}

int TemporaryFile::create() const noexcept {
  if (path().empty()) return EIO;
  const File file(::open(path().c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  return file.is_open() && ::fchmod(file.descriptor(), 0600) == 0 ? 0 : errno;
}

int TemporaryFile::sync() const noexcept {
  const File file(::open(path().c_str(), O_RDONLY | O_CLOEXEC));
  return file.is_open() && ::fsync(file.descriptor()) == 0 ? 0 : errno;
}

}  // namespace tokenstore::base
