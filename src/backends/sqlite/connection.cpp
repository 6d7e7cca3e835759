#include "backends/sqlite/connection.hpp"

#include <algorithm>
#include <thread>

#include "backends/sqlite/errors.hpp"

namespace tokenstore::sqlite {
namespace {

/// "file:" URI for a path. Only for `immutable`, which has no other spelling.
std::string immutable_uri(std::string_view path) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string uri = "file:";
  for (const char c : path) {
    const auto octet = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
                       c == '.' || c == '-' || c == '_';
    if (plain) {
      uri += c;
    } else {
      uri += '%';
      uri += digits[octet >> 4];
      uri += digits[octet & 15];
    }
  }
  return uri + "?immutable=1";
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const Target& target) {
  // NOMUTEX: a connection is only ever used by the thread that holds it.
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
  flags |= target.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (target.immutable) flags |= SQLITE_OPEN_URI;
  // Before the handle, which would be lost if there were no memory for its owner.
  std::unique_ptr<Connection> connection(new Connection(nullptr));
  sqlite3*& handle = connection->handle_;
  const std::string name = target.immutable ? immutable_uri(target.path) : target.path;
  const int code = sqlite3_open_v2(name.c_str(), &handle, flags, target.vfs.empty() ? nullptr : target.vfs.c_str());
  if (code != SQLITE_OK) return opening_error_of(code, target.path);
  connection->busy_timeout_ = target.busy_timeout;
  connection->jitter_ = static_cast<std::uint32_t>(std::chrono::steady_clock::now().time_since_epoch().count()) | 1U;
  sqlite3_busy_handler(handle, &Connection::on_busy, connection.get());

  // Whatever a hostile file holds: its triggers and views do not run, and its schema is not trusted.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
  return connection;
}

Connection::~Connection() {
  if (handle_ == nullptr) return;
  for (sqlite3_stmt* statement : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(handle_);
}

int Connection::configure(const Target& target) {
  // temp_store: nothing that was read goes to a temporary file.
  int code = execute(
      "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;"
      "PRAGMA journal_size_limit = 8388608; PRAGMA wal_autocheckpoint = 1000;");
  if (code == SQLITE_OK) code = execute(target.full_sync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
  return code;
}

int Connection::execute(const char* sql) noexcept {
  return sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
}

std::int64_t Connection::number(const char* sql, int& code) noexcept {
  sqlite3_stmt* statement = nullptr;
  code = sqlite3_prepare_v2(handle_, sql, -1, &statement, nullptr);
  if (code != SQLITE_OK) return 0;
  code = sqlite3_step(statement);
  const std::int64_t value = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
  sqlite3_finalize(statement);
  return value;
}

sqlite3_stmt* Connection::statement(Sql which, int& code) noexcept {
  sqlite3_stmt*& statement = statements_[static_cast<std::size_t>(which)];
  if (statement == nullptr) {
    code = sqlite3_prepare_v3(handle_, sql_text(which), -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  }
  return statement;
}

void Connection::leave_wal_on_close() noexcept {
  if (handle_ == nullptr) return;  // abandoned
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

bool Connection::has_moved() noexcept {
  int moved = 0;
  return sqlite3_file_control(handle_, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0;
}

sqlite3_file* Connection::file() noexcept {
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(handle_, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK) return nullptr;
  return file != nullptr && file->pMethods != nullptr ? file : nullptr;
}

// SQLite's own busy timeout sleeps in fixed steps of up to 100 ms; with several writers the unlucky ones
// starve. Short sleeps of random length share the lock evenly.
int Connection::on_busy(void* self, int count) noexcept {
  auto& connection = *static_cast<Connection*>(self);
  const auto now = std::chrono::steady_clock::now();
  if (count == 0) connection.busy_until_ = now + connection.busy_timeout_;
  if (now >= connection.busy_until_) return 0;
  connection.jitter_ ^= connection.jitter_ << 13;
  connection.jitter_ ^= connection.jitter_ >> 17;
  connection.jitter_ ^= connection.jitter_ << 5;
  const std::uint32_t step = 100U * static_cast<std::uint32_t>(std::min(count + 1, 20));
  std::this_thread::sleep_for(std::chrono::microseconds(step / 2 + connection.jitter_ % step));
  return 1;
}

// SQLITE_STATIC throughout: what is bound outlives the Query.
Query& Query::text(int index, std::string_view value) noexcept {
  if (statement_ != nullptr) {
    keep(sqlite3_bind_text64(statement_, index, value.data() == nullptr ? "" : value.data(), value.size(),
                             SQLITE_STATIC, SQLITE_UTF8));
  }
  return *this;
}

Query& Query::blob(int index, std::span<const std::uint8_t> value) noexcept {
  if (statement_ != nullptr) {
    keep(value.empty() ? sqlite3_bind_zeroblob(statement_, index, 0)
                       : sqlite3_bind_blob64(statement_, index, value.data(), value.size(), SQLITE_STATIC));
  }
  return *this;
}

Query& Query::number(int index, std::int64_t value) noexcept {
  if (statement_ != nullptr) keep(sqlite3_bind_int64(statement_, index, value));
  return *this;
}

int Query::step() noexcept {
  if (code_ != SQLITE_OK) return code_;
  return sqlite3_step(statement_);
}

int Query::run() noexcept {
  int code = step();
  while (code == SQLITE_ROW) code = step();
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

std::string_view Query::text_at(int column) const noexcept {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (data == nullptr || size <= 0) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

}  // namespace tokenstore::sqlite
