// What a backup holds: the whole database in one file, as it was at one moment.
#include <fmt/format.h>

#include "backends/sqlite/errors.hpp"
#include "backends/sqlite/look_up.hpp"
#include "backends/sqlite/schema.hpp"

namespace tokenstore::sqlite {
namespace {

constexpr int pages_at_once = 256;

/// The file is nobody else's, and lies where SQLite's locks may not hold. It is made durable when it is complete.
Result<std::unique_ptr<Connection>> open_unshared(const std::string& path, const std::string& vfs) {
  Target target;
  target.path = path;
  target.vfs = vfs.empty() ? "unix-none" : vfs;
  Result<std::unique_ptr<Connection>> connection = Connection::open(target);
  if (!connection) return connection;
  // Exclusive: without locks there is no shared memory, which a -wal file would need.
  if (const int code = (*connection)->execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF");
      code != SQLITE_OK) {
    return error_of(code, "preparing a backup");
  }
  return connection;
}

/// So that nothing lies beside it, and nobody opens it as a store.
int become_backup(Connection& connection) {
  int code = connection.execute("PRAGMA journal_mode = MEMORY");
  if (code == SQLITE_OK) {
    code = connection.execute(fmt::format("PRAGMA application_id = {}", backup_application_id).c_str());
  }
  return code;
}

/// Ends a transaction in which nothing was written.
class Moment {
 public:
  explicit Moment(Connection& connection) noexcept : connection_(connection) {}
  ~Moment() {
    if (connection_.in_transaction()) connection_.execute("ROLLBACK");
  }
  Moment(const Moment&) = delete;
  Moment& operator=(const Moment&) = delete;

 private:
  Connection& connection_;
};

enum class Copied : std::uint8_t { whole, stopped };

/// Every page of the transaction that `from` is in.
int copy_pages(Connection& from, Connection& to, const Progress& progress, Copied& copied) {
  sqlite3_backup* copying = sqlite3_backup_init(to.handle(), "main", from.handle(), "main");
  if (copying == nullptr) return sqlite3_extended_errcode(to.handle());
  int code = SQLITE_OK;
  try {
    while ((code = sqlite3_backup_step(copying, pages_at_once)) == SQLITE_OK) {
      const auto total = static_cast<std::uint64_t>(sqlite3_backup_pagecount(copying));
      const auto left = static_cast<std::uint64_t>(sqlite3_backup_remaining(copying));
      if (progress && !progress(total - left, total)) {
        copied = Copied::stopped;
        break;
      }
    }
  } catch (...) {
    sqlite3_backup_finish(copying);
    throw;
  }
  const int finished = sqlite3_backup_finish(copying);
  return code == SQLITE_DONE ? finished : code;
}

}  // namespace

Result<bool> SqliteBackend::write_snapshot(const std::string& path, const Progress& progress) {
  // One visit for all of it: a fork waits until the connection that is opened here is at rest too.
  const Visit visit = enter();
  if (visit.error()) return *visit.error();
  Result<std::unique_ptr<Connection>> to = open_unshared(path, options_.vfs);
  if (!to) return to.error();
  const auto copied = look_up_in<Copied>(*visit, true, "backing up", [&](Connection& from, Copied& answer) {
    answer = Copied::whole;
    const Moment moment(from);
    int code = from.execute("BEGIN");
    if (code == SQLITE_OK) {
      // Reading makes it this moment: whoever writes meanwhile neither waits nor is seen.
      from.number("SELECT count(*) FROM store", code);
      if (code == SQLITE_ROW) code = copy_pages(from, **to, progress, answer);
    }
    return code;
  });
  if (!copied) return copied.error();
  if (*copied == Copied::stopped) return Error(Status::conflict, "the backup was stopped before its end");
  if (const int code = become_backup(**to); code != SQLITE_OK) return error_of(code, "backing up");
  return true;
}

}  // namespace tokenstore::sqlite

namespace tokenstore {

Result<void> make_sqlite_backup(const std::string& path) {
  sqlite::Door door;
  const sqlite::Door::Stay stay(door);
  auto connection = sqlite::open_unshared(path, {});
  if (!connection) return connection.error();
  if (const int code = sqlite::become_backup(**connection); code != SQLITE_OK) {
    return sqlite::error_of(code, "backing up");
  }
  return {};
}

}  // namespace tokenstore
