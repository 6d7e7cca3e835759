#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "backends/sqlite/location.hpp"
#include "backends/sqlite/schema.hpp"
#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

void run_sql(const std::string& path, const std::string& sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  REQUIRE(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_close(database) == SQLITE_OK);
}

mode_t mode_of(const std::string& path) {
  struct stat found {};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  return found.st_mode & 07777;
}

Status refusal(const SqliteOptions& options) {
  const Result<std::shared_ptr<Backend>> backend = sqlite_backend(options);
  REQUIRE_FALSE(backend.ok());
  INFO(backend.error().message());
  CHECK(backend.error().message().find('\n') == std::string::npos);
  return backend.status();
}

/// A refused file is left as it was, and nothing is left beside it.
void check_refused_untouched(const TempDirectory& directory, const std::string& path, Status expected) {
  const std::string before = content_of(path);
  for (const bool read_only : {false, true}) {
    SqliteOptions options = options_for(path);
    options.read_only = read_only;
    CHECK(refusal(options) == expected);
  }
  CHECK(content_of(path) == before);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory.path())) ++files;
  CHECK(files == 1);
}

void make_store(const std::string& path) {
  const auto backend = open_or_fail(options_for(path));
  REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
}

}  // namespace

TEST_CASE("A new database and the files beside it are closed to others whatever the umask") {
  const TempDirectory directory;
  for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{0277}}) {
    const std::string path = directory.file("store-" + std::to_string(mask));
    const mode_t before = ::umask(mask);
    {
      const auto backend = open_or_fail(options_for(path));
      CHECK(issue(*backend, 1).outcome == CommitOutcome::committed);
      for (const char* suffix : {"", "-wal", "-shm"}) CHECK(mode_of(path + suffix) == 0600);
    }
    ::umask(before);
  }
}

TEST_CASE("A new database holds nothing but itself when it is closed") {
  const TempDirectory directory;
  make_store(directory.file("store.db"));
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory.path())) ++files;
  CHECK(files == 1);
}

TEST_CASE("Two threads and two processes that create the same database share it") {
  const TempDirectory directory;
  for (int round = 0; round < 20; ++round) {
    const std::string path = directory.file("store-" + std::to_string(round));
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const auto backend = sqlite_backend(options_for(path));
      ::_exit(backend.ok() && issue(**backend, 2).outcome == CommitOutcome::committed ? 0 : 1);
    }
    const auto backend = open_or_fail(options_for(path));
    CHECK(issue(*backend, 1).outcome == CommitOutcome::committed);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(backend->load_token(workspace, token_id(2)).value().has_value());
  }
}

TEST_CASE("What is not a database is refused and left as it was") {
  const TempDirectory directory;
  const std::string path = directory.file("letter.txt");
  SECTION("text") {
    write_file(path, std::string(5000, 'x'));
  }
  SECTION("short text") {
    write_file(path, "dear all");
  }
  SECTION("nothing at all") {
    write_file(path, "");
  }
  SECTION("only the magic") {
    write_file(path, std::string("SQLite format 3\0", 16));
  }
  check_refused_untouched(directory, path, Status::not_a_store);
}

TEST_CASE("Another application's database is refused and left as it was") {
  const TempDirectory directory;
  const std::string path = directory.file("other.db");
  SECTION("with an id") {
    run_sql(path, "PRAGMA application_id = 4711; CREATE TABLE token (id TEXT);");
  }
  SECTION("without one") {
    run_sql(path, "CREATE TABLE token (id TEXT);");
  }
  SECTION("in WAL mode") {
    run_sql(path, "PRAGMA journal_mode = WAL; CREATE TABLE token (id TEXT);");
  }
  check_refused_untouched(directory, path, Status::not_a_store);
}

TEST_CASE("A database of a newer schema is refused and left as it was") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  make_store(path);
  run_sql(path, "PRAGMA user_version = " + std::to_string(sqlite::schema_version + 1));
  check_refused_untouched(directory, path, Status::newer_schema);
}

TEST_CASE("A newer schema that is still in the WAL is refused, and the file keeps its content") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  make_store(path);
  sqlite3* writer = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &writer) == SQLITE_OK);
  REQUIRE(sqlite3_exec(writer, "PRAGMA wal_autocheckpoint = 0; PRAGMA user_version = 99", nullptr, nullptr, nullptr) ==
          SQLITE_OK);
  const std::string file = content_of(path);
  const std::string wal = content_of(path + "-wal");
  CHECK(refusal(options_for(path)) == Status::newer_schema);
  CHECK(content_of(path) == file);
  CHECK(content_of(path + "-wal") == wal);
  sqlite3_close(writer);
}

TEST_CASE("A store without its tables is refused") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  make_store(path);
  run_sql(path, "DROP TABLE feed");
  CHECK(refusal(options_for(path)) == Status::not_a_store);
}

TEST_CASE("A truncated database is refused without a crash at every length") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  make_store(path);
  const std::string whole = content_of(path);
  for (std::size_t length = 0; length < whole.size(); length += length < 200 ? 1 : 509) {
    const std::string cut = directory.file("cut.db");
    write_file(cut, whole.substr(0, length));
    INFO("length " << length);
    CHECK(refusal(options_for(cut)) == Status::not_a_store);
    CHECK(content_of(cut).size() == length);
  }
}

TEST_CASE("Paths that are no place for a database are refused") {
  const TempDirectory directory;
  CHECK(refusal(options_for("")) == Status::invalid_argument);
  CHECK(refusal(options_for(std::string("a\0b", 3))) == Status::invalid_argument);
  CHECK(refusal(options_for(directory.path().string())) == Status::cannot_open);
  CHECK(refusal(options_for(directory.file("missing/store.db"))) == Status::cannot_open);
  CHECK(refusal(options_for("/dev/null")) == Status::cannot_open);
  REQUIRE(::symlink("nowhere", directory.file("link").c_str()) == 0);
  CHECK(refusal(options_for(directory.file("link"))) == Status::cannot_open);
  SqliteOptions options = options_for(directory.file("store.db"));
  options.create = false;
  CHECK(refusal(options) == Status::cannot_open);
  options.create = true;
  options.read_only = true;
  CHECK(refusal(options) == Status::cannot_open);
  CHECK_FALSE(std::filesystem::exists(directory.file("store.db")));
}

TEST_CASE("Names that mean something to SQLite are plain file names here") {
  const TempDirectory directory;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(directory.path());
  for (const char* name : {":memory:", "file:store.db?mode=memory", "with space%20.db"}) {
    { CHECK(issue(*open_or_fail(options_for(name)), 1).outcome == CommitOutcome::committed); }
    CHECK(std::filesystem::exists(name));
    CHECK(open_or_fail(options_for(name))->load_token(workspace, token_id(1)).value().has_value());
  }
  std::filesystem::current_path(before);
}

TEST_CASE("In a directory that cannot be written, a store opens read-only and nothing else") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  make_store(path);
  REQUIRE(::chmod(path.c_str(), 0444) == 0);
  REQUIRE(::chmod(directory.path().c_str(), 0555) == 0);
  // Rights do not bind root, so a child becomes somebody else.
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(2);
    const auto writable = sqlite_backend(options_for(path));
    if (writable.ok() || writable.status() != Status::cannot_open) ::_exit(3);
    const auto other = sqlite_backend(options_for(directory.file("other.db")));
    if (other.ok() || other.status() != Status::cannot_open) ::_exit(4);
    SqliteOptions options = options_for(path);
    options.read_only = true;
    const auto reader = sqlite_backend(options);
    if (!reader.ok()) ::_exit(5);
    const auto token = (*reader)->load_token(workspace, token_id(1));
    if (!token.ok() || !token->has_value()) ::_exit(6);
    if (issue(**reader, 2).error->status() != Status::read_only) ::_exit(7);
    // Nothing tells of a writer without a look at the files, so the pulse must not be trusted.
    if ((*reader)->pulse().trusted_until != std::numeric_limits<std::int64_t>::min()) ::_exit(8);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
  REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
}

TEST_CASE("A read-only store sees what a writer commits, and writes nothing") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const auto writer = open_or_fail(options_for(path));
  SqliteOptions options = options_for(path);
  options.read_only = true;
  const auto reader = open_or_fail(options);
  CHECK(reader->read_only());
  const Pulse before = reader->pulse();
  CHECK(issue(*writer, 1).outcome == CommitOutcome::committed);
  CHECK(reader->pulse().counter != before.counter);
  CHECK(reader->load_token(workspace, token_id(1)).value().has_value());
  const Use use{token_id(1), 7, "::1"};
  CHECK(reader->record_uses(workspace, std::span(&use, 1)).status() == Status::read_only);
  CHECK(issue(*reader, 2).error->status() == Status::read_only);
}

TEST_CASE("A file that is removed, replaced or cut short while open is answered by an error") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const auto backend = open_or_fail(options_for(path));
  CHECK(issue(*backend, 1).outcome == CommitOutcome::committed);
  const Pulse before = backend->pulse();
  SECTION("removed") {
    REQUIRE(::unlink(path.c_str()) == 0);
  }
  SECTION("replaced") {
    make_store(directory.file("other.db"));
    REQUIRE(::rename(directory.file("other.db").c_str(), path.c_str()) == 0);
  }
  SECTION("cut short") {
    REQUIRE(::truncate(path.c_str(), 0) == 0);
  }
  SECTION("without its WAL") {
    REQUIRE(::unlink((path + "-wal").c_str()) == 0);
  }
  CHECK(backend->changes(workspace, 0).status() == Status::unavailable);
  CHECK(backend->pulse().counter != before.counter);
  CHECK(backend->load_token(workspace, token_id(1)).status() == Status::unavailable);
  CHECK(backend->list_tokens(workspace, {}).status() == Status::unavailable);
  CHECK(backend->maintain(std::chrono::milliseconds(10)).status() == Status::unavailable);
  const CommitResult result = issue(*backend, 2);
  CHECK(result.outcome == CommitOutcome::failed);
  CHECK(result.error->status() == Status::unavailable);
}

TEST_CASE("A look-up notices a replaced file within a fraction of a second by itself") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const auto backend = open_or_fail(options_for(path));
  CHECK(issue(*backend, 1).outcome == CommitOutcome::committed);
  REQUIRE(::unlink(path.c_str()) == 0);
  ::usleep(150'000);
  CHECK(backend->load_token(workspace, token_id(1)).status() == Status::unavailable);
}
