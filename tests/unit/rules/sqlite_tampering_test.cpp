/// Tampering with the rows of a SQLite file, by another connection, while a store is open on it.
#include <sqlite3.h>

#include <algorithm>

#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

/// Runs one statement through a connection of its own.
void run(const std::string& path, const std::string& statement) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  sqlite3_busy_timeout(database, 5000);
  char* message = nullptr;
  const int code = sqlite3_exec(database, statement.c_str(), nullptr, nullptr, &message);
  CAPTURE(statement, message == nullptr ? "" : message);
  sqlite3_free(message);
  sqlite3_close(database);
  REQUIRE(code == SQLITE_OK);
}

struct Column {
  std::string name;
  std::string type;
  /// An expression that changes its value and keeps its type and size.
  std::string changed() const {
    if (type == "INTEGER") return name + " - 1";
    if (type == "BLOB") return "randomblob(max(length(" + name + "), 1))";
    return "'x' || substr(" + name + ", 2)";
  }
};

std::vector<Column> columns(const std::string& path, const std::string& table) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  sqlite3_stmt* statement = nullptr;
  const std::string text = "SELECT name, type FROM pragma_table_info('" + table + "')";
  REQUIRE(sqlite3_prepare_v2(database, text.c_str(), -1, &statement, nullptr) == SQLITE_OK);
  std::vector<Column> found;
  while (sqlite3_step(statement) == SQLITE_ROW) {
    found.push_back({reinterpret_cast<const char*>(sqlite3_column_text(statement, 0)),
                     reinterpret_cast<const char*>(sqlite3_column_text(statement, 1))});
  }
  sqlite3_finalize(statement);
  sqlite3_close(database);
  return found;
}

/// A store on a file, and the file.
struct FileWorld {
  test::TempDirectory directory;
  std::string path = directory.file("tokens.db");
  World world{0, sqlite_backend({.path = path}).value()};
};

const Actor host = Actor::host();

}  // namespace

TEST_CASE("in a SQLite file, changing any column of a token's row denies it") {
  FileWorld file;
  World& world = file.world;
  std::size_t changed = 0;
  for (const Column& column : columns(file.path, "token")) {
    // The key of the row.
    if (column.name == "workspace" || column.name == "id") continue;
    const auto token =
        world.issue(IssueRequest{.owner = "alice", .description = "d", .scopes = {"read"}, .metadata = "m"});
    REQUIRE(world.ask(token) == Reason::none);
    run(file.path, "UPDATE token SET " + column.name + " = " + column.changed() + " WHERE id = '" + token.id + "'");
    CAPTURE(column.name);
    const Reason reason = world.ask(token);
    if (column.name == "last_used_at" || column.name == "last_used_from") {
      CHECK(reason == Reason::none);
    } else {
      CHECK(reason == (column.name == "verifier" ? Reason::wrong_secret : Reason::tampered));
      CHECK(world.store->get(host, token.id).status() == Status::tampered);
      ++changed;
    }
  }
  CHECK(changed == 19);
  CHECK(world.store->check(host).value().problem_count >= changed);
}

TEST_CASE("in a SQLite file, an undone revocation, a deleted row and a copied one deny") {
  FileWorld file;
  World& world = file.world;
  const auto other = world.open(test::one_key(), "other");
  World::issue(*other, IssueRequest{.owner = "alice", .scopes = {"read"}});
  const auto revoked = world.issue("alice");
  REQUIRE(world.store->revoke(host, revoked.id).ok());
  run(file.path,
      "UPDATE token SET revoked_at = 9223372036854775807, revoked_by = '', revoke_reason = '', "
      "revision = 1 WHERE id = '" +
          revoked.id + "'");
  CHECK(world.ask(revoked) == Reason::tampered);
  const auto moved = world.issue("alice");
  run(file.path, "UPDATE token SET workspace = 'other' WHERE id = '" + moved.id + "'");
  CHECK(world.ask(moved) == Reason::unknown);
  CHECK(World::ask(*other, moved) != Reason::none);
  CHECK(other->get(host, moved.id).status() == Status::tampered);
  const auto orphan = world.issue("carol");
  run(file.path, "DELETE FROM owner WHERE owner = 'carol'");
  CHECK(world.ask(orphan) == Reason::tampered);
  CHECK(world.store->issue(host, {.owner = "carol"}).ok());
  CHECK(world.ask(orphan) == Reason::tampered);
  const auto last = world.issue("alice");
  run(file.path, "DELETE FROM workspace WHERE workspace = 'default'");
  CHECK(world.ask(last) == Reason::tampered);
  CHECK(TokenStore::open(world.backend, test::one_key(), world.options()).status() == Status::tampered);
}

TEST_CASE("in a SQLite file, changing any column of an owner's or workspace's row denies") {
  for (const std::string table : {"owner", "workspace"}) {
    FileWorld model;
    for (const Column& column : columns(model.path, table)) {
      if (column.name == "workspace" || column.name == "owner") continue;
      FileWorld file;
      const auto token = file.world.issue("alice");
      REQUIRE(file.world.store->suspend(host, "alice", "reason").ok());
      REQUIRE(file.world.store->resume(host, "alice").ok());
      REQUIRE(file.world.ask(token) == Reason::none);
      std::string value = column.changed();
      if (column.name == "suspended_by" || column.name == "suspend_reason") value = "'x'";
      if (column.name.starts_with("may_") || column.name.ends_with("_enabled") || column.name == "users_may_issue" ||
          column.name == "never_allowed") {
        value = "1 - " + column.name;
      }
      if (column.name == "most_active_per_owner" || column.name == "revoke_all_count") value = column.name + " + 1";
      run(file.path, "UPDATE " + table + " SET " + column.name + " = " + value);
      CAPTURE(table, column.name);
      CHECK(file.world.ask(token) == Reason::tampered);
    }
  }
}

TEST_CASE("in a SQLite file, a store's own record that was changed or removed opens nothing") {
  for (const std::string change :
       {"UPDATE store SET id = randomblob(16)", "UPDATE store SET created_at = created_at + 1",
        "UPDATE store SET revision = revision + 1", "UPDATE store SET seal = randomblob(32)", "DELETE FROM store"}) {
    FileWorld file;
    const auto token = file.world.issue("alice");
    run(file.path, change);
    CAPTURE(change);
    const Status refused = TokenStore::open(file.world.backend, test::one_key(), file.world.options()).status();
    CHECK((refused == Status::wrong_key || refused == Status::tampered));
    CHECK(file.world.store->check(host).value().problem_count == 1);
    CHECK(file.world.ask(token) == Reason::none);  // the store that is open knows its name
  }
}

TEST_CASE("in a SQLite file, a row whose id or name is malformed stops no list, and the check names it") {
  FileWorld file;
  std::vector<std::string> ids;
  for (int number = 0; number < 5; ++number) ids.push_back(file.world.issue("owner" + std::to_string(number)).id);
  const std::string columns =
      "key_id, verifier, owner, owner_birth, revoke_all_count, description, scopes, metadata, created_at, created_by, "
      "not_before, expires_at, expired_at, revoked_at, revoked_by, revoke_reason, revision, seal_key_id, seal, "
      "last_used_at, last_used_from";
  const std::vector<std::string> bad_ids = {"''", "'~'", "char(1) || 'x'", "hex(randomblob(400))", "'" + ids[2] + "x'"};
  for (const std::string& id : bad_ids) {
    run(file.path, "INSERT INTO token (workspace, id, " + columns + ") SELECT workspace, " + id + ", " + columns +
                       " FROM token WHERE id = '" + ids[0] + "'");
  }
  const std::string fields =
      "birth, may_issue, may_use, suspended_at, suspended_by, suspend_reason, revoke_all_count, revision, seal_key_id, "
      "seal";
  for (const std::string name : {"''", "char(1)", "'owner2' || char(7)", "hex(randomblob(400))"}) {
    run(file.path, "INSERT INTO owner (workspace, owner, " + fields + ") SELECT workspace, " + name + ", " + fields +
                       " FROM owner WHERE owner = 'owner0'");
  }
  for (const std::size_t limit : {std::size_t{1}, std::size_t{2}, std::size_t{1000}}) {
    std::vector<std::string> listed;
    ListQuery query{.limit = limit};
    do {
      const auto page = file.world.store->list(host, query).value();
      for (const TokenInfo& token : page.tokens) listed.push_back(token.id);
      query.cursor = page.next;
    } while (!query.cursor.empty());
    std::reverse(listed.begin(), listed.end());
    std::vector<std::string> wanted = ids;
    std::sort(wanted.begin(), wanted.end());
    CHECK(listed == wanted);
    std::vector<std::string> owners;
    std::string cursor;
    do {
      const auto page = file.world.store->list_owners(host, cursor, limit).value();
      for (const OwnerInfo& owner : page.owners) owners.push_back(owner.owner);
      cursor = page.next;
    } while (!cursor.empty());
    CHECK(owners == std::vector<std::string>{"owner0", "owner1", "owner2", "owner3", "owner4"});
  }
  const auto report = file.world.store->check(host).value();
  const auto named = [&](std::string_view what) {
    return std::count_if(report.problems.begin(), report.problems.end(),
                         [&](const std::string& line) { return line.find(what) != std::string::npos; });
  };
  CHECK(named("a token's id is malformed") == 5);
  CHECK(named("an owner's name is malformed") >= 3);
}
