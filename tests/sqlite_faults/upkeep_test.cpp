#include <sys/stat.h>

#include "backends/sqlite/sql.hpp"
#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"

#include <sqlite3.h>

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

off_t size_of(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 ? found.st_size : 0;
}

}  // namespace

TEST_CASE("A WAL that grew under a long reader is cut once the reader lets go") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const auto backend = open_or_fail(options_for(path));
  REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
  sqlite3* reader = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &reader) == SQLITE_OK);
  REQUIRE(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM token", nullptr, nullptr, nullptr) == SQLITE_OK);
  std::vector<Mutation> batch;
  for (std::uint64_t number = 1000; number < 31'000; ++number) batch.push_back(Mutation::put(sample_token(number), 0));
  REQUIRE(test::commit_plainly(*backend, workspace, batch).outcome == CommitOutcome::committed);
  CHECK(backend->maintain(std::chrono::milliseconds(50)).value());  // the reader is in the way: there is more to do
  CHECK(size_of(path + "-wal") > (4 << 20));
  REQUIRE(sqlite3_exec(reader, "COMMIT", nullptr, nullptr, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_close(reader) == SQLITE_OK);
  for (int i = 0; i < 10 && backend->maintain(std::chrono::milliseconds(50)).value(); ++i) continue;
  CHECK(size_of(path + "-wal") <= (8 << 20));
  CHECK(backend->load_token(workspace, token_id(30'999)).value().has_value());
}

TEST_CASE("The change feed stays bounded, and who is too far behind is told to forget everything") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  SqliteOptions options = options_for(path);
  options.durability = SqliteOptions::Durability::survives_crash_but_not_power_cut;  // for speed alone
  const auto backend = open_or_fail(options);
  REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
  const std::uint64_t rounds = sqlite::feed_revisions + 2 * sqlite::feed_slack;
  for (std::uint64_t revision = 1; revision <= rounds; ++revision) {
    const CommitResult result = commit_one(*backend, Mutation::put(sample_token(1, revision + 1), revision));
    REQUIRE(result.outcome == CommitOutcome::committed);
    REQUIRE(result.revision == revision + 1);
  }
  CHECK(backend->changes(workspace, 0).value().everything);
  CHECK(backend->changes(workspace, 1).value().everything);
  const Changes recent = backend->changes(workspace, rounds + 1 - 100).value();
  CHECK_FALSE(recent.everything);
  CHECK(recent.entries.size() == 100);
  CHECK(backend->changes(workspace, rounds + 100).value().everything);
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  sqlite3_stmt* count = nullptr;
  REQUIRE(sqlite3_prepare_v2(database, "SELECT count(*) FROM change", -1, &count, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_step(count) == SQLITE_ROW);
  CHECK(sqlite3_column_int64(count, 0) <= sqlite::feed_revisions + sqlite::feed_slack);
  sqlite3_finalize(count);
  sqlite3_close(database);
}

TEST_CASE("The database's own check finds damage, and stops when asked to") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const auto backend = open_or_fail(options_for(path));
  std::vector<Mutation> batch;
  for (std::uint64_t number = 1; number < 20'000; ++number) batch.push_back(Mutation::put(sample_token(number), 0));
  REQUIRE(test::commit_plainly(*backend, workspace, batch).outcome == CommitOutcome::committed);
  CHECK(backend->check_integrity(10, {}).value().empty());
  int calls = 0;
  CHECK(backend->check_integrity(10, [&](std::uint64_t, std::uint64_t) { return ++calls < 2; }).ok());
  CHECK(calls == 2);
  // Damage: an index loses its row.
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  REQUIRE(sqlite3_exec(database,
                       "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE INDEX token_by_end ON "
                       "token (workspace, created_at)' WHERE name = 'token_by_end';",
                       nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(database);
  CHECK_FALSE(backend->check_integrity(10, {}).value().empty());
  CHECK(sqlite_backend(options_for(path)).status() == Status::not_a_store);
}
