#include "sql.hpp"

#include "rounds.hpp"

namespace bench {

namespace {

void check(bool good, sqlite3* handle) {
  if (!good) give_up(std::string("SQLite: ") + sqlite3_errmsg(handle));
}

}  // namespace

Database::Database(const std::filesystem::path& file, const char* synchronous) {
  check(sqlite3_open(file.c_str(), &handle_) == SQLITE_OK, handle_);
  run("PRAGMA journal_mode = WAL");
  run(std::string("PRAGMA synchronous = ") + synchronous);
}

void Database::run(const std::string& sql) {
  check(sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK, handle_);
}

Statement::Statement(Database& database, const std::string& sql) {
  check(sqlite3_prepare_v2(database.handle(), sql.c_str(), -1, &handle_, nullptr) == SQLITE_OK, database.handle());
}

Statement& Statement::text(int at, std::string_view value) {
  sqlite3_bind_text(handle_, at, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
  return *this;
}
Statement& Statement::blob(int at, std::span<const unsigned char> value) {
  sqlite3_bind_blob(handle_, at, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
  return *this;
}
Statement& Statement::number(int at, std::int64_t value) {
  sqlite3_bind_int64(handle_, at, value);
  return *this;
}
Statement& Statement::value(int at, sqlite3_value* value) {
  sqlite3_bind_value(handle_, at, value);
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(handle_);
  check(code == SQLITE_ROW || code == SQLITE_DONE, sqlite3_db_handle(handle_));
  return code == SQLITE_ROW;
}

std::string_view Statement::text_at(int column) const {
  const auto* octets = static_cast<const char*>(sqlite3_column_blob(handle_, column));
  return {octets, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

}  // namespace bench
