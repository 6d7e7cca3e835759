/// A store in a SQLite file with a journal beside it, which is put back to an earlier state; and the ways in which a
/// token can end.
#pragma once

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "tokenstore/open.hpp"
#include "unit/journal/journal_world.hpp"

namespace tokenstore::journal::test {

inline const Actor host = Actor::host();
inline const Demand read_demand{"read", {}};

/// Runs statements through a connection of its own, as the sqlite3 shell does.
inline void run_sql(const std::string& database, const std::string& statements) {
  sqlite3* connection = nullptr;
  REQUIRE(sqlite3_open(database.c_str(), &connection) == SQLITE_OK);
  sqlite3_busy_timeout(connection, 5000);
  char* message = nullptr;
  const int code = sqlite3_exec(connection, statements.c_str(), nullptr, nullptr, &message);
  CAPTURE(statements, message == nullptr ? "" : message);
  sqlite3_free(message);
  sqlite3_close(connection);
  REQUIRE(code == SQLITE_OK);
}

struct Site {
  tokenstore::test::TempDirectory directory;
  const std::string database = directory.file("tokens.db");
  const std::string journal = directory.file("tokens.journal");
  const std::string earlier = directory.file("earlier.db");

  /// With this journal; empty: without.
  std::unique_ptr<TokenStore> open(const std::string& journal_path, std::size_t cache = StoreOptions{}.cache_bytes,
                                   bool read_only = false) const {
    auto opened = try_open(journal_path, cache, read_only);
    if (!opened.ok()) FAIL(opened.error().message());
    return std::move(opened->store);
  }
  Result<tokenstore::Opened> try_open(const std::string& journal_path, std::size_t cache = StoreOptions{}.cache_bytes,
                                      bool read_only = false) const {
    OpenSqlite options;
    options.sqlite.path = database;
    options.sqlite.read_only = read_only;
    options.sqlite.create = !read_only;
    options.sqlite.durability = SqliteOptions::Durability::survives_crash_but_not_power_cut;
    std::array<std::uint8_t, master_key_size> master{};
    master.fill(0x31);
    options.keyring = std::move(Keyring::from_bytes(master)).value();
    options.store.journal = journal_path;
    options.store.cache_bytes = cache;
    return open_sqlite(std::move(options));
  }

  /// Keeps the database as it is now.
  void keep() const {
    std::filesystem::remove(earlier);
    run_sql(database, "VACUUM INTO '" + earlier + "'");
  }
  /// Puts every row back to what was kept, under whoever uses the database.
  void put_back() const {
    std::string statements = "ATTACH '" + earlier + "' AS earlier; BEGIN IMMEDIATE;";
    for (const std::string table : {"token", "owner", "workspace", "feed", "change"}) {
      statements.append("DELETE FROM main.").append(table).append("; INSERT INTO main.").append(table);
      statements.append(" SELECT * FROM earlier.").append(table).append(";");
    }
    run_sql(database, statements + "COMMIT;");
  }
  /// Puts the file that was kept in the place of the database, which nobody has open.
  void put_back_file() const {
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(database + suffix);
    std::filesystem::copy_file(earlier, database);
    REQUIRE(::chmod(database.c_str(), 0600) == 0);
  }
};

struct Kept {
  std::string text;
  std::string id;
};
inline Kept issue(TokenStore& store, const std::string& owner = "alice") {
  auto issued = store.issue(host, {.owner = owner, .scopes = {"read"}});
  REQUIRE(issued.ok());
  return {std::string(issued->text.reveal()), issued->info.id};
}

inline Reason reason_in(TokenStore& store, const Kept& token) {
  return store.validate(token.text, read_demand).reason();
}
inline bool valid_in(TokenStore& store, const Kept& token) {
  return store.validate(token.text, read_demand).valid();
}

/// Every way in which a token can end.
struct Ending {
  std::string name;
  std::function<bool(TokenStore&, const Kept&)> end;
};
inline const std::vector<Ending>& endings() {
  static const std::vector<Ending> all{
      {"revoke", [](TokenStore& store, const Kept& token) { return store.revoke(host, token.id, "lost").ok(); }},
      {"expire", [](TokenStore& store, const Kept& token) { return store.expire(host, token.id).ok(); }},
      {"expire soon",
       [](TokenStore& store, const Kept& token) {
         const bool done = store.expire(host, token.id, store.now() + 20).ok();
         ::usleep(30'000);
         return done;
       }},
      {"delete", [](TokenStore& store, const Kept& token) { return store.remove(host, token.id).ok(); }},
      {"revoke all", [](TokenStore& store, const Kept&) { return store.revoke_all(host, "alice").ok(); }},
      {"suspend", [](TokenStore& store, const Kept&) { return store.suspend(host, "alice", "left").ok(); }},
      {"may not use",
       [](TokenStore& store, const Kept&) {
         return store.set_owner(host, "alice", {true, false}).ok();
       }},
      {"switch off",
       [](TokenStore& store, const Kept&) {
         Policy policy = store.policy(host).value();
         policy.tokens_enabled = false;
         return store.set_policy(host, policy).ok();
       }},
  };
  return all;
}

}  // namespace tokenstore::journal::test
