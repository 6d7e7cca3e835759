// Opening a store in one call: which files it makes, which it leaves alone, and what it refuses.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "support/canary.hpp"
#include "support/seeded_random.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/open.hpp"

namespace tokenstore {
namespace {

using test::file_content;
using test::TempDirectory;

OpenSqlite at(const std::string& path) {
  OpenSqlite options;
  options.sqlite.path = path;
  return options;
}

Keyring some_keyring(std::uint64_t seed) {
  test::SeededRandom random(seed);
  return *Keyring::generate(random);
}

/// Every file of a directory with its content.
std::vector<std::pair<std::string, std::string>> picture(const TempDirectory& directory) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    files.emplace_back(entry.path().filename().string(), file_content(entry.path().string()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string issue_one(TokenStore& store) {
  IssueRequest request;
  request.owner = "alice";
  request.scopes = {"read"};
  auto issued = store.issue(Actor::host(), request);
  REQUIRE(issued.ok());
  return std::string(issued->text.reveal());
}

bool is_valid(TokenStore& store, const std::string& token) {
  const Demand demand("read");
  return store.validate(token, demand).outcome() == Outcome::valid;
}

TEST_CASE("a new database gets a key file beside it, both closed to others, and opens again with it") {
  const TempDirectory directory;
  const std::string path = directory.file("tokens.db");
  std::string token;
  {
    auto opened = open_sqlite(path);
    REQUIRE(opened.ok());
    CHECK(opened->created_key_file == path + ".key");
    for (const std::string& file : {path, path + ".key"}) {
      struct stat facts {};
      REQUIRE(stat(file.c_str(), &facts) == 0);
      CHECK((facts.st_mode & 07777) == 0600);
    }
    token = issue_one(*opened->store);
  }
  const std::string key = file_content(path + ".key");
  auto again = open_sqlite(path);
  REQUIRE(again.ok());
  CHECK(again->created_key_file.empty());
  CHECK(is_valid(*again->store, token));
  CHECK(file_content(path + ".key") == key);
}

TEST_CASE("an empty file is refused with what to do, for it may be a database that was cut off") {
  const TempDirectory directory;
  const std::string path = directory.file("tokens.db");
  std::ofstream(path).close();
  const auto before = picture(directory);
  const auto opened = open_sqlite(path);
  REQUIRE(opened.status() == Status::not_a_store);
  CHECK(opened.error().message().find("empty") != std::string::npos);
  CHECK(picture(directory) == before);
}

TEST_CASE("a key file that is there is used for a new database") {
  const TempDirectory directory;
  const std::string path = directory.file("tokens.db");
  const std::string key_file = directory.file("elsewhere");
  REQUIRE(some_keyring(1).write_new_file(key_file).ok());
  OpenSqlite options = at(path);
  options.key_file = key_file;
  std::string token;
  {
    auto opened = open_sqlite(std::move(options));
    REQUIRE(opened.ok());
    CHECK(opened->created_key_file.empty());
    token = issue_one(*opened->store);
  }
  CHECK_FALSE(std::filesystem::exists(path + ".key"));
  OpenSqlite with_keyring = at(path);
  with_keyring.keyring = some_keyring(1);
  auto opened = open_sqlite(std::move(with_keyring));
  REQUIRE(opened.ok());
  CHECK(is_valid(*opened->store, token));
}

TEST_CASE("an existing database without its key file does not open and nothing is written") {
  const TempDirectory directory;
  const std::string path = directory.file("tokens.db");
  REQUIRE(open_sqlite(path).ok());
  REQUIRE(unlink((path + ".key").c_str()) == 0);
  const auto before = picture(directory);
  const auto opened = open_sqlite(path);
  REQUIRE(opened.status() == Status::wrong_key);
  CHECK(opened.error().message().find("missing") != std::string::npos);
  CHECK(picture(directory) == before);
}

TEST_CASE("an existing database with another key does not open and nothing is written") {
  const TempDirectory directory;
  const std::string path = directory.file("tokens.db");
  REQUIRE(open_sqlite(path).ok());
  REQUIRE(unlink((path + ".key").c_str()) == 0);
  REQUIRE(some_keyring(2).write_new_file(path + ".key").ok());
  const auto before = picture(directory);
  for (const std::string workspace : {"default", "another"}) {
    OpenSqlite options = at(path);
    options.store.workspace = workspace;
    CHECK(open_sqlite(std::move(options)).status() == Status::wrong_key);
    CHECK(picture(directory) == before);
  }
  OpenSqlite with_keyring = at(path);
  with_keyring.keyring = some_keyring(3);
  CHECK(open_sqlite(std::move(with_keyring)).status() == Status::wrong_key);
  CHECK(picture(directory) == before);
}

TEST_CASE("a malformed or open key file is refused and left as it is") {
  const TempDirectory directory;
  const std::string path = directory.file("tokens.db");
  std::ofstream(path + ".key") << "not a keyring\n";
  REQUIRE(chmod((path + ".key").c_str(), 0600) == 0);
  const auto before = picture(directory);
  CHECK(open_sqlite(path).status() == Status::wrong_key);
  CHECK(picture(directory) == before);
  REQUIRE(chmod((path + ".key").c_str(), 0644) == 0);
  CHECK(open_sqlite(path).status() == Status::cannot_open);
  CHECK(picture(directory) == before);
}

TEST_CASE("a failed opening takes back only the files that it made") {
  const TempDirectory directory;
  const std::string path = directory.file("tokens.db");
  OpenSqlite wrong = at(path);
  wrong.store.prefix = "Not A Prefix";
  CHECK(open_sqlite(std::move(wrong)).status() == Status::invalid_argument);
  CHECK(picture(directory).empty());

  // The key was there before: it stays, the database goes.
  REQUIRE(some_keyring(4).write_new_file(path + ".key").ok());
  const auto with_key = picture(directory);
  OpenSqlite again = at(path);
  again.store.prefix = "Not A Prefix";
  CHECK(open_sqlite(std::move(again)).status() == Status::invalid_argument);
  CHECK(picture(directory) == with_key);

  // Both were there before: both stay.
  REQUIRE(open_sqlite(path).ok());
  const auto with_both = picture(directory);
  OpenSqlite third = at(path);
  third.store.prefix = "Not A Prefix";
  CHECK(open_sqlite(std::move(third)).status() == Status::invalid_argument);
  CHECK(picture(directory) == with_both);
}

TEST_CASE("a place where no database can be made keeps no key file") {
  const TempDirectory directory;
  CHECK(open_sqlite(directory.file("no/such/directory/tokens.db")).status() == Status::cannot_open);
  REQUIRE(symlink("nowhere", directory.file("link.db").c_str()) == 0);
  CHECK(open_sqlite(directory.file("link.db")).status() == Status::cannot_open);
  CHECK_FALSE(std::filesystem::exists(directory.file("link.db.key")));
  CHECK(open_sqlite("").status() == Status::invalid_argument);
  CHECK(open_sqlite(std::string("a\0b", 3)).status() == Status::invalid_argument);
}

TEST_CASE("a file that is no database of ours is refused and left as it is") {
  const TempDirectory directory;
  const std::string path = directory.file("letter.txt");
  std::ofstream(path) << "Dear Sir or Madam,\n";
  const auto before = picture(directory);
  CHECK(open_sqlite(path).status() == Status::wrong_key);
  CHECK(picture(directory) == before);
  OpenSqlite with_keyring = at(path);
  with_keyring.keyring = some_keyring(5);
  CHECK(open_sqlite(std::move(with_keyring)).status() == Status::not_a_store);
  CHECK(picture(directory) == before);
}

TEST_CASE("read-only and no-create openings make nothing") {
  const TempDirectory directory;
  const std::string path = directory.file("tokens.db");
  for (const bool read_only : {true, false}) {
    OpenSqlite options = at(path);
    options.sqlite.read_only = read_only;
    options.sqlite.create = read_only;
    const auto opened = open_sqlite(std::move(options));
    CHECK_FALSE(opened.ok());
    CHECK(picture(directory).empty());
  }
  std::string token;
  {
    auto made = open_sqlite(path);
    REQUIRE(made.ok());
    token = issue_one(*made->store);
  }
  OpenSqlite options = at(path);
  options.sqlite.read_only = true;
  auto opened = open_sqlite(std::move(options));
  REQUIRE(opened.ok());
  CHECK(is_valid(*opened->store, token));
  IssueRequest request;
  request.owner = "alice";
  CHECK(opened->store->issue(Actor::host(), request).status() == Status::read_only);
}

TEST_CASE("a keyring and a key file at once are a contradiction") {
  const TempDirectory directory;
  OpenSqlite options = at(directory.file("tokens.db"));
  options.keyring = some_keyring(6);
  options.key_file = directory.file("key");
  CHECK(open_sqlite(std::move(options)).status() == Status::invalid_argument);
  CHECK(picture(directory).empty());
}

TEST_CASE("a keyring of the host's own leaves no key file") {
  const TempDirectory directory;
  const std::string path = directory.file("tokens.db");
  OpenSqlite options = at(path);
  options.keyring = some_keyring(7);
  auto opened = open_sqlite(std::move(options));
  REQUIRE(opened.ok());
  CHECK(opened->created_key_file.empty());
  CHECK_FALSE(std::filesystem::exists(path + ".key"));
}

TEST_CASE("a store in memory works with a keyring of its own or a given one") {
  auto one = open_memory();
  auto two = open_memory();
  REQUIRE(one.ok());
  REQUIRE(two.ok());
  const std::string token = issue_one(*one->store);
  CHECK(is_valid(*one->store, token));
  CHECK_FALSE(is_valid(*two->store, token));
  CHECK(one->created_key_file.empty());
  auto given = open_memory({}, some_keyring(8));
  REQUIRE(given.ok());
  CHECK(is_valid(*given->store, issue_one(*given->store)));
  StoreOptions wrong;
  wrong.prefix = "";
  CHECK(open_memory(wrong).status() == Status::invalid_argument);
}

}  // namespace
}  // namespace tokenstore
