/// The database that is to go, held so that nobody can write it or begin to use it.
///
/// One thread. Each call is a stay inside `door`; so is its end. Borrows the path and the door.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "backends/sqlite/connection.hpp"
#include "backends/sqlite/door.hpp"

namespace tokenstore::sqlite {

class OldDatabase {
 public:
  OldDatabase(const std::string& path, std::chrono::milliseconds patience, Door& door) noexcept
      : path_(path), patience_(patience), door_(door) {}
  ~OldDatabase();
  OldDatabase(const OldDatabase&) = delete;
  OldDatabase& operator=(const OldDatabase&) = delete;

  /// `not_a_store` if it is damaged; `refused` if it is a database of somebody else's.
  Result<void> open();
  /// From now on as a file that SQLite cannot read. Its locks are no matter of what it holds.
  Result<void> open_as_damaged();
  bool is_damaged() const noexcept { return damaged_; }

  /// Nobody writes from now on, and all that was committed is in the file itself, unless it is damaged. `not_a_store`
  /// if that is found only now.
  Result<void> stop_writers();
  /// Whether anybody has written since this was asked last.
  Result<bool> has_changed();
  /// Nobody begins to use it from now on.
  Result<void> stop_newcomers();
  /// Everybody who has it open looks at the files before they answer again, whatever they remember.
  void tell_everybody() noexcept;
  /// The files beside its name are another's now.
  void leave_name() noexcept { connection_->leave_wal_on_close(); }

 private:
  Result<void> connect();
  void close() noexcept;
  Result<void> empty_wal();
  Result<void> stop_writers_of_damaged();
  /// Takes a lock of the file's. SQLITE_OK, or what is in the way.
  int lock(int level) noexcept;

  const std::string& path_;
  const std::chrono::milliseconds patience_;
  Door& door_;
  std::unique_ptr<Connection> connection_;
  std::int64_t version_ = 0;
  bool damaged_ = false;
  void* wal_index_ = nullptr;  ///< of a damaged one, if it is shared
  bool holds_write_lock_ = false;
};

}  // namespace tokenstore::sqlite
