/// A warm cache on a file that breaks, uses that cross processes and crashes, and upkeep.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using namespace std::chrono_literals;
using test::World;

namespace {

std::unique_ptr<TokenStore> open_store(const std::string& path, StoreOptions options = {}) {
  SqliteOptions sqlite;
  sqlite.path = path;
  auto backend = sqlite_backend(sqlite);
  REQUIRE(backend.ok());
  auto store = TokenStore::open(*backend, test::one_key(), std::move(options));
  REQUIRE(store.ok());
  return std::move(*store);
}

TokenInfo info_of(TokenStore& store, const test::Kept& token) {
  return store.get(Actor::host(), token.id).value();
}

/// Until upkeep has happened, at most five seconds.
template <typename Condition>
bool comes_true(Condition condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

}  // namespace

TEST_CASE("a file that is removed, replaced or cut short makes a warm cache say unavailable after the next upkeep") {
  for (const int damage : {0, 1, 2}) {
    INFO("damage " << damage);
    const test::TempDirectory directory;
    const std::string path = directory.file("store.db");
    const auto store = open_store(path);
    const auto token = World::issue(*store, {.owner = "alice", .scopes = {"read"}});
    const auto revoked = World::issue(*store, {.owner = "alice", .scopes = {"read"}});
    REQUIRE(store->validate(token.text, Demand("read")).valid());
    REQUIRE(store->validate(revoked.text, Demand("read")).valid());
    REQUIRE(store->revoke(Actor::host(), revoked.id).ok());
    if (damage == 0) std::filesystem::remove(path);
    if (damage == 1) {
      std::filesystem::copy_file(path, path + ".new");
      std::filesystem::rename(path + ".new", path);
    }
    if (damage == 2) std::filesystem::resize_file(path, 100);
    CHECK_FALSE(store->validate(revoked.text, Demand("read")).valid());
    std::this_thread::sleep_for(1100ms);
    static_cast<void>(store->maintain().ok());
    CHECK_FALSE(store->validate(revoked.text, Demand("read")).valid());
    CHECK(store->validate(token.text, Demand("read")).outcome() == Outcome::unavailable);
  }
}

TEST_CASE("a last use shows in another process after the interval, with its address, and drops nothing there") {
  const test::TempDirectory directory;
  const std::string path = directory.file("store.db");
  StoreOptions options;
  options.use_interval = 50ms;
  const auto user = open_store(path, options);
  const auto looker = open_store(path, options);
  const auto token = World::issue(*user, {.owner = "alice", .scopes = {"read"}});
  REQUIRE(looker->validate(token.text, Demand("read")).valid());
  REQUIRE(looker->maintain().ok());
  REQUIRE(user->validate(token.text, Demand("read", "192.0.2.77")).valid());
  CHECK(info_of(*user, token).last_used_from == "192.0.2.77");
  REQUIRE(looker->validate(token.text, Demand("read")).valid());
  const Statistics before = looker->statistics();
  std::this_thread::sleep_for(80ms);
  REQUIRE(user->validate(token.text, Demand("read", "192.0.2.78")).valid());
  REQUIRE(user->maintain().ok());
  CHECK(user->statistics().uses_written >= 1);
  CHECK(info_of(*user, token).last_used_from == "192.0.2.78");
  const auto third = open_store(path, options);
  CHECK(info_of(*third, token).last_used_from == "192.0.2.78");
  for (int i = 0; i < 100; ++i) REQUIRE(looker->validate(token.text, Demand("read")).valid());
  const Statistics after = looker->statistics();
  CHECK(after.hits == before.hits + 100);
  CHECK(after.misses == before.misses);
  CHECK(after.dropped_all == before.dropped_all);
}

TEST_CASE("a crash loses at most one interval of last uses, and nothing else") {
  const test::TempDirectory directory;
  const std::string path = directory.file("store.db");
  test::Kept token;
  {
    const auto store = open_store(path);
    token = World::issue(*store, {.owner = "alice", .scopes = {"read"}});
  }
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    StoreOptions options;
    options.use_interval = 100ms;
    options.upkeep_thread = true;
    const auto store = open_store(path, options);
    const char mark = 'r';
    for (int i = 0;; ++i) {
      if (!store->validate(token.text, Demand("read")).valid()) ::_exit(1);
      if (i == 0 && ::write(ready[1], &mark, 1) != 1) ::_exit(2);
      std::this_thread::sleep_for(1ms);
    }
  }
  char mark = 0;
  REQUIRE(::read(ready[0], &mark, 1) == 1);
  std::this_thread::sleep_for(1500ms);
  const UnixMillis killed = system_clock()->wall();
  REQUIRE(::kill(child, SIGKILL) == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  const auto store = open_store(path);
  const TokenInfo info = info_of(*store, token);
  REQUIRE(info.last_used_at);
  CHECK(*info.last_used_at <= killed);
  // One interval, and what a busy machine adds.
  CHECK(killed - *info.last_used_at <= 100 + 400);
  CHECK(store->validate(token.text, Demand("read")).valid());
  CHECK(store->check(Actor::host()).value().problem_count == 0);
}

TEST_CASE("the upkeep thread writes uses without being asked, and without it maintain does") {
  for (const bool thread : {true, false}) {
    const test::TempDirectory directory;
    const std::string path = directory.file("store.db");
    StoreOptions options;
    options.use_interval = 20ms;
    options.upkeep_thread = thread;
    const auto store = open_store(path, options);
    const auto token = World::issue(*store, {.owner = "alice", .scopes = {"read"}});
    REQUIRE(store->validate(token.text, Demand("read")).valid());
    if (thread) {
      CHECK(comes_true([&] { return store->statistics().uses_written > 0; }));
    } else {
      std::this_thread::sleep_for(60ms);
      CHECK(store->statistics().uses_written == 0);
      REQUIRE(store->maintain().ok());
      CHECK(store->statistics().uses_written == 1);
    }
  }
}
