/// Just enough around SQLite's C API for a hand-written contender. Ends the program on an error.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace bench {

class Database {
 public:
  /// Opens or creates, in WAL mode, `synchronous` as given: what a careful host writes.
  explicit Database(const std::filesystem::path& file, const char* synchronous = "FULL");
  ~Database() { sqlite3_close(handle_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void run(const std::string& sql);
  sqlite3* handle() const noexcept { return handle_; }

 private:
  sqlite3* handle_ = nullptr;
};

class Statement {
 public:
  Statement(Database& database, const std::string& sql);
  ~Statement() { sqlite3_finalize(handle_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& text(int at, std::string_view value);
  Statement& blob(int at, std::span<const unsigned char> value);
  Statement& number(int at, std::int64_t value);
  Statement& value(int at, sqlite3_value* value);
  /// True: a row.
  bool step();
  void reset() { sqlite3_reset(handle_); }
  std::string_view text_at(int column) const;
  std::int64_t number_at(int column) const { return sqlite3_column_int64(handle_, column); }
  sqlite3_stmt* handle() const noexcept { return handle_; }

 private:
  sqlite3_stmt* handle_ = nullptr;
};

}  // namespace bench
