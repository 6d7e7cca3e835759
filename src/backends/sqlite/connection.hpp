/// One SQLite connection with its prepared statements, and a statement in use.
///
/// Thread use: one thread at a time. Ownership: a Connection owns its handle and statements; a Query
/// borrows the connection and, until it dies, the octets bound to it.
#pragma once

#include <sqlite3.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "backends/sqlite/sql.hpp"
#include "tokenstore/status.hpp"

namespace tokenstore::sqlite {

/// How a connection is to be opened.
struct Target {
  std::string path;  ///< absolute, without symbolic links
  std::string vfs;   ///< empty: SQLite's default
  bool read_only = false;
  bool immutable = false;  ///< no locks, no shared memory: nobody can be writing
  bool full_sync = true;   ///< a commit waits for the disk
  std::chrono::milliseconds busy_timeout{5000};
};

class Connection {
 public:
  /// Opens the file without reading more than its first page header, taking no lock and writing nothing.
  static Result<std::unique_ptr<Connection>> open(const Target& target);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// The settings that every use needs. Reads the file, so only once it is known to be ours.
  int configure(const Target& target);

  sqlite3* handle() noexcept { return handle_; }
  /// Runs statements without parameters or results.
  int execute(const char* sql) noexcept;
  /// The first column of the first row as a number; `code` is SQLITE_ROW if there was one.
  std::int64_t number(const char* sql, int& code) noexcept;
  /// The prepared statement, or null and a `code`.
  sqlite3_stmt* statement(Sql which, int& code) noexcept;

  /// Closing this connection will neither checkpoint nor delete the WAL.
  void leave_wal_on_close() noexcept;
  /// Lets go of the handle without closing it: for when closing would do harm.
  void abandon() noexcept { handle_ = nullptr; }
  bool in_transaction() noexcept { return sqlite3_get_autocommit(handle_) == 0; }
  /// Whether the path leads to another file than this connection has open.
  bool has_moved() noexcept;
  /// SQLite's own file object; null if there is none.
  sqlite3_file* file() noexcept;

  /// SQLite's schema cookie when the schema was last seen to be ours (schema.hpp).
  std::optional<std::int64_t> known_schema{};

 private:
  explicit Connection(sqlite3* handle) noexcept : handle_(handle) {}
  static int on_busy(void* self, int count) noexcept;

  sqlite3* handle_;
  std::array<sqlite3_stmt*, sql_count> statements_{};
  std::chrono::milliseconds busy_timeout_{0};
  std::chrono::steady_clock::time_point busy_until_{};
  std::uint32_t jitter_ = 0;
};

class Query {
 public:
  Query(Connection& connection, Sql which) noexcept : statement_(connection.statement(which, code_)) {}
  ~Query() {
    if (statement_ != nullptr) sqlite3_reset(statement_);
  }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Query& text(int index, std::string_view value) noexcept;
  Query& blob(int index, std::span<const std::uint8_t> value) noexcept;
  Query& number(int index, std::int64_t value) noexcept;

  /// SQLITE_ROW, SQLITE_DONE or an error, which may be that of an earlier step.
  int step() noexcept;
  /// For a statement without rows: SQLITE_OK or an error.
  int run() noexcept;
  /// Makes it ready for other parameters.
  void reset() noexcept {
    if (statement_ != nullptr) sqlite3_reset(statement_);
  }

  std::int64_t number_at(int column) const noexcept { return sqlite3_column_int64(statement_, column); }
  std::string_view text_at(int column) const noexcept;
  bool is_null(int column) const noexcept { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

 private:
  void keep(int code) noexcept {
    if (code_ == SQLITE_OK) code_ = code;
  }

  int code_ = SQLITE_OK;
  sqlite3_stmt* statement_;
};

}  // namespace tokenstore::sqlite
