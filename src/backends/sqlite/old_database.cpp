#include "backends/sqlite/old_database.hpp"

#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <utility>

#include "backends/sqlite/errors.hpp"
#include "backends/sqlite/schema.hpp"
#include "backends/sqlite/wal_pulse.hpp"

namespace tokenstore::sqlite {
namespace {

// As SQLITE_FCNTL_LOCKSTATE names them.
constexpr int no_lock = 0;
constexpr int shared_lock = 1;
constexpr int reserved_lock = 2;
constexpr int pending_lock = 3;
constexpr int exclusive_lock = 4;  // asked for while others read, it ends as a pending one

// Of the WAL-index, as SQLite's file format names them.
constexpr int write_lock = 0;
constexpr std::size_t change_counter = 2;  // a word of 32 bits

/// Asks again until it is not busy or the time is over.
template <typename Ask>
int patiently(std::chrono::milliseconds patience, Ask ask) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const int code = ask();
    if ((code & 0xff) != SQLITE_BUSY || std::chrono::steady_clock::now() >= deadline) return code;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

OldDatabase::~OldDatabase() {
  const Door::Stay stay(door_);
  close();
}

void OldDatabase::close() noexcept {
  if (sqlite3_file* file = wal_index_ != nullptr ? connection_->file() : nullptr; file != nullptr) {
    if (holds_write_lock_) file->pMethods->xShmLock(file, write_lock, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    file->pMethods->xShmUnmap(file, 0);
  }
  wal_index_ = nullptr;
  holds_write_lock_ = false;
  connection_.reset();
}

Result<void> OldDatabase::connect() {
  Target target;
  target.path = path_;
  target.busy_timeout = patience_;
  Result<std::unique_ptr<Connection>> opened = Connection::open(target);
  if (!opened) return opened.error();
  connection_ = std::move(*opened);
  return {};
}

Result<void> OldDatabase::open() {
  {
    const Door::Stay stay(door_);
    if (Result<void> connected = connect(); !connected) return connected;
    if (std::optional<Error> other = belongs_to_another(*connection_, path_)) return std::move(*other);
    if (Result<void> ours = check_header(*connection_, path_, path_); !ours) return ours;
    int code = SQLITE_OK;
    connection_->number("SELECT count(*) FROM sqlite_schema", code);
    if (code != SQLITE_ROW) return opening_error_of(code, path_);
  }
  const Result<bool> first = has_changed();
  return first ? Result<void>() : first.error();
}

Result<void> OldDatabase::open_as_damaged() {
  const Door::Stay stay(door_);
  // Whatever the -wal file holds is kept as it is.
  if (connection_) connection_->leave_wal_on_close();
  close();
  damaged_ = true;
  return connect();
}

Result<bool> OldDatabase::has_changed() {
  const Door::Stay stay(door_);
  int code = SQLITE_OK;
  const std::int64_t version = connection_->number("PRAGMA data_version", code);
  if (code != SQLITE_ROW) return error_of(code, "restoring");
  return std::exchange(version_, version) != version;
}

Result<void> OldDatabase::stop_writers() {
  const Door::Stay stay(door_);
  return damaged_ ? stop_writers_of_damaged() : empty_wal();
}

Result<void> OldDatabase::empty_wal() {
  const auto deadline = std::chrono::steady_clock::now() + patience_;
  for (;;) {
    int code = sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    if (code == SQLITE_OK) code = connection_->execute("BEGIN IMMEDIATE");
    if (code == SQLITE_OK) {
      struct stat wal {};
      const bool empty = ::stat((path_ + "-wal").c_str(), &wal) != 0 ? errno == ENOENT : wal.st_size == 0;
      if (empty) return {};
      // Somebody wrote in between.
      connection_->execute("ROLLBACK");
    } else if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB) {
      return opening_error_of(code, path_);
    } else if ((code & 0xff) != SQLITE_BUSY) {
      return error_of(code, "restoring");
    }
    if (std::chrono::steady_clock::now() >= deadline) return error_of(SQLITE_BUSY, "restoring");
  }
}

Result<void> OldDatabase::stop_writers_of_damaged() {
  if (const int code = lock(shared_lock); code != SQLITE_OK) return error_of(code, "restoring");
  sqlite3_file* file = connection_->file();
  void volatile* memory = nullptr;
  // Where there is none to be had, nobody can be writing.
  if (file->pMethods->iVersion < 2 || file->pMethods->xShmMap == nullptr ||
      file->pMethods->xShmMap(file, 0, wal_index_region, 1, &memory) != SQLITE_OK) {
    return {};
  }
  wal_index_ = const_cast<void*>(memory);
  const int code = patiently(patience_, [file] {
    return file->pMethods->xShmLock(file, write_lock, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
  });
  holds_write_lock_ = code == SQLITE_OK;
  return holds_write_lock_ ? Result<void>() : error_of(code, "restoring");
}

int OldDatabase::lock(int level) noexcept {
  sqlite3_file* file = connection_->file();
  if (file == nullptr) return SQLITE_CANTOPEN;
  return patiently(patience_, [file, level] { return file->pMethods->xLock(file, level); });
}

Result<void> OldDatabase::stop_newcomers() {
  const Door::Stay stay(door_);
  int code = lock(reserved_lock);
  if (code != SQLITE_OK) return error_of(code, "restoring");
  sqlite3_file* file = connection_->file();
  code = patiently(patience_, [file] {
    // SQLite's own steps. That others have it open keeps the last from being had, and the one before is kept.
    const int answer = file->pMethods->xLock(file, exclusive_lock);
    int state = no_lock;
    file->pMethods->xFileControl(file, SQLITE_FCNTL_LOCKSTATE, &state);
    return state >= pending_lock ? SQLITE_OK : answer;
  });
  return code == SQLITE_OK ? Result<void>() : error_of(code, "restoring");
}

void OldDatabase::tell_everybody() noexcept {
  const Door::Stay stay(door_);
  if (damaged_) {
    // As a writer leaves it who is killed between the two copies of the header: whoever reads on makes it anew.
    if (wal_index_ == nullptr) return;
    std::atomic_ref<std::uint32_t>(static_cast<std::uint32_t*>(wal_index_)[change_counter]).fetch_add(1);
    return;
  }
  // A commit moves the pulse in everybody's memory; this one says again what the file says already.
  static_assert(schema_version == 1);
  // Who cannot be told so finds out with the next upkeep.
  static_cast<void>(connection_->execute("PRAGMA user_version = 1; COMMIT"));
}

}  // namespace tokenstore::sqlite
