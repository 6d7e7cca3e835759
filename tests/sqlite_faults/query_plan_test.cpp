#include "backends/sqlite/connection.hpp"
#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

std::string plan_of(sqlite3* database, const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  REQUIRE(sqlite3_prepare_v2(database, ("EXPLAIN QUERY PLAN " + sql).c_str(), -1, &statement, nullptr) == SQLITE_OK);
  std::string plan;
  while (sqlite3_step(statement) == SQLITE_ROW) {
    plan += reinterpret_cast<const char*>(sqlite3_column_text(statement, 3));
    plan += "; ";
  }
  sqlite3_finalize(statement);
  return plan;
}

/// Neither reads a whole table nor sorts.
bool is_direct(const std::string& plan) {
  return plan.find("SEARCH") != std::string::npos && plan.find("SCAN token") == std::string::npos &&
         plan.find("SCAN owner") == std::string::npos && plan.find("SCAN change") == std::string::npos &&
         plan.find("TEMP B-TREE") == std::string::npos;
}

}  // namespace

TEST_CASE("Every query finds its rows through an index and in order") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  open_or_fail(options_for(path));
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  struct Expectation {
    sqlite::Sql sql;
    const char* through;
  };
  for (const Expectation& expected : {
           Expectation{sqlite::Sql::load_token, "PRIMARY KEY (workspace=? AND id=?)"},
           Expectation{sqlite::Sql::load_owner, "PRIMARY KEY (workspace=? AND owner=?)"},
           Expectation{sqlite::Sql::load_workspace, "PRIMARY KEY (workspace=?)"},
           Expectation{sqlite::Sql::list_tokens, "PRIMARY KEY (workspace=? AND id<?)"},
           Expectation{sqlite::Sql::list_tokens_of_owner, "token_by_owner (workspace=? AND owner=? AND id<?)"},
           Expectation{sqlite::Sql::list_revoked_tokens, "token_revoked (workspace=? AND id<?)"},
           Expectation{sqlite::Sql::list_owners, "PRIMARY KEY (workspace=? AND owner>?)"},
           Expectation{sqlite::Sql::list_workspaces, "PRIMARY KEY (workspace>?)"},
           Expectation{sqlite::Sql::count_tokens, "(workspace=?"},
           Expectation{sqlite::Sql::count_tokens_of_owner, "(workspace=? AND owner=?"},
           Expectation{sqlite::Sql::count_live, "token_by_owner_and_end (workspace=? AND owner=? AND <expr>>?)"},
           Expectation{sqlite::Sql::list_ended, "token_by_end (workspace=? AND <expr><?)"},
           Expectation{sqlite::Sql::changes, "PRIMARY KEY (workspace=? AND revision>?)"},
           Expectation{sqlite::Sql::token_revision, "(workspace=? AND id=?)"},
           Expectation{sqlite::Sql::update_token, "PRIMARY KEY (workspace=? AND id=?)"},
           Expectation{sqlite::Sql::delete_token, "PRIMARY KEY (workspace=? AND id=?)"},
           Expectation{sqlite::Sql::drop_changes, "PRIMARY KEY (workspace=? AND revision<?)"},
           Expectation{sqlite::Sql::note_use, "PRIMARY KEY (workspace=? AND id=?)"},
       }) {
    const std::string plan = plan_of(database, sqlite::sql_text(expected.sql));
    INFO(sqlite::sql_text(expected.sql));
    INFO(plan);
    CHECK(plan.find(expected.through) != std::string::npos);
    CHECK(is_direct(plan));
  }
  // The detector can fail.
  CHECK_FALSE(is_direct(plan_of(database, "SELECT id FROM token WHERE description = 'x' ORDER BY created_at")));
  sqlite3_close(database);
}
