#include "backends/sqlite/opening.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>
#include <utility>

#include "backends/sqlite/acting_owner.hpp"
#include "backends/sqlite/create.hpp"
#include "backends/sqlite/errors.hpp"
#include "backends/sqlite/location.hpp"
#include "backends/sqlite/schema.hpp"

namespace tokenstore::sqlite {
namespace {

class Opening {
 public:
  explicit Opening(const SqliteOptions& options) : options_(options) {}
  /// What was refused on the way is left as it was.
  ~Opening() {
    if (keeper_) keeper_->leave_wal_on_close();
    if (writer_) writer_->leave_wal_on_close();
  }
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;

  Result<std::optional<OpenedFile>> run();

 private:
  Result<void> find_or_create();
  Result<void> open_if_ours();
  Result<void> check_writable();
  Result<void> wait_until_nobody_swaps_it();
  Result<void> attach_unless_open_through_another_copy();
  Result<void> keep_a_wal();
  Result<void> open_writer();
  /// All of it, one after the other. Once `is_swapped()` what it says is not of the database that was asked for.
  Result<void> open_all();
  bool is_swapped() noexcept { return swapped_ || (keeper_ && keeper_->has_moved()); }
  /// Attaches the connection to the WAL (which SQLite does at the first read) and recovers it if need be.
  int first_read() noexcept;

  const SqliteOptions& options_;
  Target target_;
  FileWatch::Identity file_;
  std::unique_ptr<Connection> keeper_;
  std::unique_ptr<Connection> writer_;
  bool swapped_ = false;
};

Result<void> Opening::find_or_create() {
  const Result<Location> location = locate(options_.path);
  if (!location) return location.error();
  target_.path = location->path;
  target_.vfs = options_.vfs;
  target_.read_only = options_.read_only;
  target_.full_sync = options_.durability == SqliteOptions::Durability::full;
  target_.busy_timeout = options_.busy_timeout;
  if (!location->exists) {
    if (!options_.create || options_.read_only) {
      return Error(Status::cannot_open, fmt::format("'{}' does not exist; create the store first", options_.path));
    }
    if (const Result<void> created = create_database(*location, target_); !created) return created.error();
  }
  if (target_.read_only && is_unwritable(location->directory)) {
    // SQLite cannot make its -wal and -shm here. If somebody else has them open it can share them;
    // if there are none, nobody is writing, and FileWatch looks for them at every step.
    target_.immutable = ::access((target_.path + "-wal").c_str(), F_OK) != 0;
  }
  return {};
}

Result<void> Opening::open_if_ours() {
  file_ = FileWatch::identify(target_.path, target_.immutable);
  Result<std::unique_ptr<Connection>> opened = Connection::open(target_);
  if (!opened) return opened.error();
  keeper_ = std::move(*opened);
  return check_header(*keeper_, options_.path, target_.path);
}

// SQLite opens the files beside a database by their names, which are another's after a swap. Who swaps keeps newcomers
// waiting for the shared lock: it is had here first, so that they look where they are before they open anything more.
Result<void> Opening::wait_until_nobody_swaps_it() {
  if (target_.immutable) return {};
  constexpr int to_read = 1;  // SQLite's shared lock
  sqlite3_file* file = keeper_->file();
  const auto deadline = std::chrono::steady_clock::now() + target_.busy_timeout;
  int code = file->pMethods->xLock(file, to_read);
  while ((code & 0xff) == SQLITE_BUSY && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    code = file->pMethods->xLock(file, to_read);
  }
  if (code != SQLITE_OK) return opening_error_of(code, options_.path);
  return {};
}

Result<void> Opening::check_writable() {
  if (target_.read_only || sqlite3_db_readonly(keeper_->handle(), "main") != 1) return {};
  if (std::optional<Error> denied = denied_file(options_.path)) return std::move(*denied);
  return Error(Status::cannot_open,
               fmt::format("'{}' cannot be written; change its rights, or open it read-only", options_.path));
}

Result<void> Opening::attach_unless_open_through_another_copy() {
  const std::string shm_path = target_.path + "-shm";
  const std::size_t copies_before = target_.immutable ? 0 : copies_of_sqlite_on(shm_path);
  if (const int code = first_read(); code != SQLITE_OK) return opening_error_of(code, options_.path);
  if (!target_.immutable && copies_before > 0 && copies_of_sqlite_on(shm_path) > copies_before) {
    // Closing it would drop the other copy's locks as well, so it stays open: a leak is the lesser evil.
    swapped_ = keeper_->has_moved();
    keeper_->abandon();
    keeper_.reset();
    // No other copy, but this one's for the database that took the place.
    if (swapped_) return {};
    return two_copies(options_.path, Status::cannot_open);
  }
  return {};
}

Result<void> Opening::keep_a_wal() {
  int code = keeper_->configure(target_);
  if (code == SQLITE_OK && !target_.read_only) code = keeper_->execute("PRAGMA journal_mode = WAL");
  if (code == SQLITE_OK) code = first_read();
  if (code != SQLITE_OK) return opening_error_of(code, options_.path);
  return {};
}

Result<void> Opening::open_writer() {
  if (target_.read_only) return {};
  Result<std::unique_ptr<Connection>> writer = open_configured(target_);
  if (!writer) return writer.error();
  writer_ = std::move(*writer);
  return {};
}

int Opening::first_read() noexcept {
  int code = SQLITE_OK;
  keeper_->number("SELECT count(*) FROM sqlite_schema", code);
  return code == SQLITE_ROW ? SQLITE_OK : code;
}

Result<void> Opening::open_all() {
  if (Result<void> ours = open_if_ours(); !ours) return ours;
  if (Result<void> writable = check_writable(); !writable) return writable;
  if (Result<void> waited = wait_until_nobody_swaps_it(); !waited || is_swapped()) return waited;
  if (Result<void> alone = attach_unless_open_through_another_copy(); !alone || is_swapped()) return alone;
  if (Result<void> known = check_schema(*keeper_, options_.path, !target_.read_only); !known) return known;
  if (Result<void> kept = keep_a_wal(); !kept) return kept;
  return open_writer();
}

Result<std::optional<OpenedFile>> Opening::run() {
  if (const Result<void> found = find_or_create(); !found) return found.error();
  const ActingOwner owner(target_.path);
  const Result<void> opened = open_all();
  if (is_swapped()) return std::optional<OpenedFile>();
  if (!opened) return opened.error();
  return std::optional(OpenedFile{std::move(target_), file_, std::move(keeper_), std::move(writer_)});
}

}  // namespace

Result<std::optional<OpenedFile>> open_file(const SqliteOptions& options) {
  return Opening(options).run();
}

Result<OpenedFile> open_backup_file(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  if (!resolved) return opening_error_of(SQLITE_CANTOPEN, path);
  Target target;
  target.path = resolved.get();
  target.read_only = target.immutable = true;
  const FileWatch::Identity file = FileWatch::identify(target.path, true);
  Result<std::unique_ptr<Connection>> opened = Connection::open(target);
  if (!opened) return opened.error();
  std::unique_ptr<Connection> keeper = std::move(*opened);
  if (const Result<void> ours = check_header(*keeper, path, target.path, FileKind::backup); !ours) return ours.error();
  if (const Result<void> known = check_schema(*keeper, path, false, FileKind::backup); !known) return known.error();
  if (const int code = keeper->configure(target); code != SQLITE_OK) return opening_error_of(code, path);
  return OpenedFile{std::move(target), file, std::move(keeper), nullptr};
}

Result<std::unique_ptr<Connection>> open_configured(const Target& target) {
  const ActingOwner owner(target.path);
  Result<std::unique_ptr<Connection>> connection = Connection::open(target);
  // The file was opened before: to whoever reads or writes now, that it cannot be is a failure of storage.
  if (!connection && connection.status() != Status::out_of_memory) {
    return Error(Status::unavailable, connection.error().message());
  }
  if (!connection) return connection;
  if (const int code = (*connection)->configure(target); code != SQLITE_OK) return error_of(code, "connecting");
  return connection;
}

Error two_copies(const std::string& path, Status status) {
  return {status,
          fmt::format("'{}' is open through another copy of SQLite in this process, and the two would lose each "
                      "other's locks; link one copy, or close it there",
                      path)};
}

}  // namespace tokenstore::sqlite
