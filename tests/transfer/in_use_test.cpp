// Restoring under processes that have the old file open.
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "transfer/stores.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

/// A process that has the store open and its cache warm, and does as it is told.
class User {
 public:
  User(const std::string& path, const Kept& token) {
    REQUIRE(::pipe(orders_.data()) == 0);
    REQUIRE(::pipe(answers_.data()) == 0);
    child_ = ::fork();
    REQUIRE(child_ >= 0);
    if (child_ == 0) work(path, token);
    CHECK(ask('v') == 'v');
  }
  ~User() {
    ::close(orders_[1]);
    int status = 0;
    ::waitpid(child_, &status, 0);
    CHECK(status == 0);
    ::close(orders_[0]);
    for (const int end : answers_) ::close(end);
  }
  User(const User&) = delete;
  User& operator=(const User&) = delete;

  /// v: validate; i: issue. The answer is v: valid, done; u: unavailable; n: no.
  char ask(char order) {
    char answer = '?';
    REQUIRE(::write(orders_[1], &order, 1) == 1);
    REQUIRE(::read(answers_[0], &answer, 1) == 1);
    return answer;
  }

 private:
  [[noreturn]] void work(const std::string& path, const Kept& token) {
    ::close(orders_[1]);
    SqliteOptions options;
    options.path = path;
    auto backend = sqlite_backend(options);
    if (!backend.ok()) ::_exit(9);
    auto store = TokenStore::open(*backend, one_key());
    if (!store.ok()) ::_exit(9);
    const auto answer = [&](char order) {
      if (order == 'i') {
        const auto issued = (*store)->issue(Actor::host(), {.owner = "alice", .scopes = {"read"}});
        return issued.ok() ? 'v' : issued.status() == Status::unavailable ? 'u' : 'n';
      }
      const Outcome outcome = (*store)->validate(token.text, Demand("read")).outcome();
      return outcome == Outcome::valid ? 'v' : outcome == Outcome::unavailable ? 'u' : 'n';
    };
    for (char order = 0; ::read(orders_[0], &order, 1) == 1;) {
      const char said = answer(order);
      if (::write(answers_[1], &said, 1) != 1) break;
    }
    store->reset();
    ::_exit(0);
  }

  std::array<int, 2> orders_{};
  std::array<int, 2> answers_{};
  pid_t child_ = -1;
};

}  // namespace

TEST_CASE("Whoever has the old file open is told so at once, and never goes on in it") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  const Kept token = issue(*open_store(path));
  REQUIRE(back_up(path, place).ok());
  User one(path, token);
  User other(path, token);
  CHECK(one.ask('i') == 'v');
  CHECK(one.ask('v') == 'v');
  CHECK(other.ask('v') == 'v');
  const auto reader = open_store(path);
  CHECK(reader->get(Actor::host(), token.id).ok());

  const auto report = restore(place, path, true);
  REQUIRE(report.ok());
  CHECK(report->lost.tokens == 1);
  // Their answers were in memory, and no upkeep runs: the very next call is unavailable.
  CHECK(one.ask('v') == 'u');
  CHECK(other.ask('v') == 'u');
  CHECK(other.ask('i') == 'u');
  // Nor does a look-up go on in the old file, though it looked at the files just now.
  CHECK(reader->get(Actor::host(), token.id).status() == Status::unavailable);
  // The restored store is used meanwhile, and outlives their closing.
  const auto restored = open_store(path);
  const Kept after = issue(*restored);
  CHECK(one.ask('i') == 'u');
  User third(path, token);
  CHECK(third.ask('i') == 'v');
  CHECK(verdict(*restored, after).valid());
}

TEST_CASE("Whoever has a damaged file open is told so at once when it is replaced, and writes nothing meanwhile") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  const Kept token = issue(*open_store(path));
  REQUIRE(back_up(path, place).ok());
  User one(path, token);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file << std::string(100, 'x');
  }
  CHECK(one.ask('v') == 'v');  // from memory
  CHECK(restore(place, path).status() == Status::conflict);
  CHECK(one.ask('v') == 'v');
  const auto report = restore(place, path, true);
  REQUIRE(report.ok());
  CHECK_FALSE(report->compared);
  CHECK(one.ask('v') == 'u');
  CHECK(one.ask('i') == 'u');
  const auto restored = open_store(path);
  CHECK(verdict(*restored, issue(*restored)).valid());
  CHECK(verdict(*restored, token).valid());
}

TEST_CASE("A damaged file is not replaced while somebody is writing it") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  issue(*open_store(path));
  REQUIRE(back_up(path, place).ok());
  sqlite3* writer = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &writer) == SQLITE_OK);
  REQUIRE(sqlite3_exec(writer, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file << std::string(100, 'x');
  }
  RestoreOptions options;
  options.sqlite.path = path;
  options.sqlite.busy_timeout = std::chrono::milliseconds(50);
  options.overwrite = true;
  const std::string damaged = file_content(path);
  CHECK(restore_sqlite(place, one_key(), options).status() == Status::unavailable);
  CHECK(file_content(path) == damaged);
  REQUIRE(sqlite3_exec(writer, "ROLLBACK", nullptr, nullptr, nullptr) == SQLITE_OK);
  CHECK(restore_sqlite(place, one_key(), options).ok());
  sqlite3_close(writer);
  CHECK(open_store(path)->check(Actor::host())->problem_count == 0);
}

TEST_CASE("Those who had the old file open do no harm to the restored store when they close") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  const Kept token = issue(*open_store(path));
  REQUIRE(back_up(path, place).ok());
  std::vector<Kept> issued;
  std::unique_ptr<TokenStore> restored;
  {
    User one(path, token);
    User other(path, token);
    REQUIRE(restore(place, path, true).ok());
    restored = open_store(path);
    for (int number = 0; number < 50; ++number) issued.push_back(issue(*restored));
  }
  for (int number = 0; number < 50; ++number) issued.push_back(issue(*restored));
  const auto again = open_store(path);
  std::size_t lost = 0;
  for (const Kept& each : issued)
    if (!verdict(*again, each).valid()) ++lost;
  CHECK(lost == 0);
  CHECK(again->check(Actor::host())->problem_count == 0);
}

TEST_CASE(
    "Restoring over and over under eight threads that write and open the store loses nothing that was said after") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  const Kept first = issue(*open_store(path));
  REQUIRE(back_up(path, place).ok());
  std::atomic<bool> stop{false};
  std::atomic<int> opened{0};
  std::atomic<int> wrong{0};
  std::atomic<int> restored{0};  ///< how many restores have returned
  std::atomic<int> issued{0};
  struct Said {
    std::string text;
    int restored;  ///< when the issue began
  };
  std::array<std::vector<Said>, 8> said;
  std::vector<std::thread> threads;
  threads.reserve(said.size());
  for (std::vector<Said>& mine : said) {
    threads.emplace_back([&] {
      while (!stop) {
        SqliteOptions options;
        options.path = path;
        options.create = false;
        auto backend = sqlite_backend(options);
        if (!backend.ok()) {
          // Busy is an answer; anything else would say that the file was seen half there.
          wrong += backend.status() == Status::unavailable ? 0 : 1;
          continue;
        }
        auto store = TokenStore::open(*backend, one_key());
        if (!store.ok()) {
          wrong += store.status() == Status::unavailable ? 0 : 1;
          continue;
        }
        ++opened;
        for (int turn = 0; turn < 20 && !stop; ++turn) {
          const int before = restored;
          const auto token = (*store)->issue(Actor::host(), {.owner = "alice", .scopes = {"read"}});
          if (!token.ok()) break;
          mine.push_back({std::string(token->text.reveal()), before});
          ++issued;
          const Outcome outcome = (*store)->validate(first.text, Demand("read")).outcome();
          wrong += outcome == Outcome::invalid ? 1 : 0;
        }
      }
    });
  }
  for (int round = 0; round < 20; ++round) {
    const auto report = restore(place, path, true);
    if (report.ok()) ++restored;
    // Starved of the lock: nothing has happened.
    if (!report.ok()) CHECK(report.status() == Status::unavailable);
  }
  // What is said now counts, also by those who opened the store before the last restore.
  const int issued_before = issued;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  do {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  } while (issued < issued_before + 40 && std::chrono::steady_clock::now() < deadline);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(restored >= 10);
  CHECK(opened > 0);
  CHECK(wrong == 0);
  const auto store = open_store(path);
  const auto report = store->check(Actor::host());
  CHECK(report->problem_count == 0);
  CHECK(verdict(*store, first).valid());
  int said_after = 0;
  int lost = 0;
  for (const std::vector<Said>& each : said) {
    for (const Said& token : each) {
      if (token.restored != restored) continue;
      ++said_after;
      lost += store->validate(token.text, Demand("read")).valid() ? 0 : 1;
    }
  }
  CHECK(said_after > 20);
  CHECK(lost == 0);
}
