/// A handle opened before fork: the child works, the parent is unharmed, no two tokens are equal.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>

#include "support/count_from.hpp"
#include "support/forwarding_backend.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::Call;

namespace {

int status_of(pid_t child) {
  int status = 0;
  if (::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

/// With the upkeep thread, that one has something to write at every turn.
std::unique_ptr<TokenStore> open_store(const std::string& path, bool upkeep_thread) {
  std::shared_ptr<Backend> backend = memory_backend();
  if (!path.empty()) {
    SqliteOptions sqlite;
    sqlite.path = path;
    sqlite.busy_timeout = std::chrono::seconds(120);  // processes write at once, and the machine may be busy
    backend = sqlite_backend(sqlite).value();
  }
  StoreOptions options;
  options.upkeep_thread = upkeep_thread;
  options.use_interval = std::chrono::milliseconds(upkeep_thread ? 1 : 20);
  return TokenStore::open(backend, test::one_key(), options).value();
}

/// In a child: validates, issues, revokes, and sends the new token's text home. 0: all was well.
int work(TokenStore& store, const test::Kept& known, int home) {
  if (!store.validate(known.text, Demand("read")).valid()) return 1;
  if (!store.validate(known.text, Demand("read")).valid()) return 2;
  auto issued = store.issue(Actor::host(), {.owner = "child", .scopes = {"read"}});
  if (!issued.ok()) return 3;
  const std::string text(issued->text.reveal());
  if (!store.validate(text, Demand("read")).valid()) return 4;
  if (!store.revoke(Actor::host(), issued->info.id).ok()) return 5;
  if (store.validate(text, Demand("read")).valid()) return 6;
  if (!store.maintain().ok()) return 7;
  if (::write(home, text.data(), text.size()) != static_cast<ssize_t>(text.size())) return 8;
  return 0;
}

/// Says at every look that nothing has changed since the first.
class StandingPulse final : public test::ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  Pulse pulse() noexcept override { return {1, std::numeric_limits<std::int64_t>::max()}; }
};

}  // namespace

TEST_CASE("a forked child denies at once what it has ended itself, although the pulse stands still") {
  for (const bool used_before : {false, true}) {
    test::World world(std::size_t{1} << 20, std::make_shared<StandingPulse>(memory_backend()));
    const auto token = world.issue("alice");
    for (int i = 0; i < 2; ++i) REQUIRE(world.ask(token) == Reason::none);
    REQUIRE(world.store->statistics().hits == 1);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (int i = 0; used_before && i < 2; ++i) {
        if (!world.store->validate(token.text, Demand("read")).valid()) ::_exit(1);
      }
      if (!world.store->revoke(Actor::host(), token.id).ok()) ::_exit(2);
      ::_exit(world.store->validate(token.text, Demand("read")).valid() ? 3 : 0);
    }
    CHECK(status_of(child) == 0);
    CHECK(world.ask(token) == Reason::none);
  }
}

TEST_CASE("a forked child denies what storage could not be told in its parent, until it is repeated there") {
  for (const std::size_t cache : test::cache_sizes()) {
    test::World world(cache);
    const auto revoked = world.issue("alice");
    const auto suspended = world.issue("bob");
    const auto good = world.issue("carol");
    world.backend->commit_outcome = [] { return CommitOutcome::failed; };
    REQUIRE_FALSE(world.store->revoke(Actor::host(), revoked.id).ok());
    REQUIRE_FALSE(world.store->suspend(Actor::host(), "bob").ok());
    world.backend->commit_outcome = nullptr;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const auto valid = [&](const test::Kept& token) {
        return world.store->validate(token.text, Demand("read")).valid();
      };
      for (int i = 0; i < 2; ++i) {
        if (valid(revoked)) ::_exit(1);
        if (valid(suspended)) ::_exit(2);
        if (!valid(good)) ::_exit(3);
      }
      if (!world.store->resume(Actor::host(), "bob").ok()) ::_exit(4);
      ::_exit(valid(suspended) ? 0 : 5);
    }
    CHECK(status_of(child) == 0);
  }
}

TEST_CASE("a child that has not used a store yet is answered what needs no memory of the parent's, and can close it") {
  for (const bool upkeep_thread : {false, true}) {
    test::World world(std::size_t{1} << 20);
    world.store.reset();
    StoreOptions options = world.options();
    options.upkeep_thread = upkeep_thread;
    options.use_interval = std::chrono::milliseconds(1);
    world.store = TokenStore::open(world.backend, test::one_key(), std::move(options)).value();
    const auto token = world.issue("alice");
    for (int i = 0; i < 2; ++i) REQUIRE(world.ask(token) == Reason::none);
    world.backend->fail = [](Call call) -> std::optional<Error> {
      if (call == Call::load_token) return Error(Status::unavailable, "the disk is on fire");
      return std::nullopt;
    };
    const auto stranger = test::World().issue("mallory");
    REQUIRE(world.ask(stranger) == Reason::storage);
    REQUIRE(world.store->why_unavailable());
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      Verdict verdict;
      if (world.store->try_validate(token.text, Demand("read"), verdict)) ::_exit(1);
      if (verdict.reason() != Reason::storage) ::_exit(2);
      if (world.store->why_unavailable()) ::_exit(3);
      // The parent's uses are the parent's to write.
      const std::uint64_t written = world.backend->calls(Call::record_uses);
      if (!world.store->maintain().ok()) ::_exit(4);
      world.store.reset();
      ::_exit(world.backend->calls(Call::record_uses) == written ? 0 : 5);
    }
    CHECK(status_of(child) == 0);
    CHECK(world.ask(token) == Reason::none);
  }
}

TEST_CASE("a store opened before fork works in the child and in the parent") {
  const int forks = test::count_from("TOKENSTORE_FORKS", 100);
  for (const bool sqlite : {false, true}) {
    for (const bool upkeep_thread : {false, true}) {
      INFO((sqlite ? "sqlite" : "memory") << (upkeep_thread ? ", with the upkeep thread" : ""));
      const test::TempDirectory directory;
      auto store = open_store(sqlite ? directory.file("store.db") : std::string(), upkeep_thread);
      const auto known = test::World::issue(*store, {.owner = "alice", .scopes = {"read"}});
      std::set<std::string> texts = {known.text};
      for (int i = 0; i < forks; ++i) {
        int home[2];
        REQUIRE(::pipe(home) == 0);
        REQUIRE(store->validate(known.text, Demand("read")).valid());
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
          const int code = work(*store, known, home[1]);
          store.reset();
          ::_exit(code);
        }
        ::close(home[1]);
        const auto mine = test::World::issue(*store, {.owner = "parent", .scopes = {"read"}});
        CHECK(store->validate(mine.text, Demand("read")).valid());
        std::string text(known.text.size(), '\0');
        CHECK(::read(home[0], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        ::close(home[0]);
        REQUIRE(status_of(child) == 0);
        CHECK(texts.insert(text).second);
        CHECK(texts.insert(mine.text).second);
        if (sqlite) CHECK_FALSE(store->validate(text, Demand("read")).valid());
        CHECK(store->revoke(Actor::host(), mine.id).ok());
        CHECK_FALSE(store->validate(mine.text, Demand("read")).valid());
      }
    }
  }
}

TEST_CASE("a store that other threads are using is forked, and the child works") {
  const int forks = test::count_from("TOKENSTORE_FORKS", 100);
  for (const bool sqlite : {false, true}) {
    INFO((sqlite ? "sqlite" : "memory"));
    const test::TempDirectory directory;
    auto store = open_store(sqlite ? directory.file("store.db") : std::string(), true);
    const auto known = test::World::issue(*store, {.owner = "alice", .scopes = {"read"}});
    std::atomic<bool> stop{false};
    std::atomic<int> failed{0};
    std::vector<std::thread> threads;
    for (int number = 0; number < 2; ++number) {
      threads.emplace_back([&] {
        while (!stop) {
          auto issued = store->issue(Actor::host(), {.owner = "busy", .scopes = {"read"}});
          if (!issued.ok() || !store->validate(issued->text.reveal(), Demand("read")).valid()) ++failed;
          if (!issued.ok() || !store->remove(Actor::host(), issued->info.id).ok()) ++failed;
          if (!store->validate(known.text, Demand("read")).valid()) ++failed;
        }
      });
    }
    for (int i = 0; i < forks; ++i) {
      int home[2];
      REQUIRE(::pipe(home) == 0);
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        ::alarm(300);
        const int code = work(*store, known, home[1]);
        store.reset();
        ::_exit(code);
      }
      ::close(home[0]);
      ::close(home[1]);
      REQUIRE(status_of(child) == 0);
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    CHECK(failed == 0);
  }
}

TEST_CASE("eight workers of a preloaded host serve from one handle, and see each other's revocations") {
  const test::TempDirectory directory;
  auto store = open_store(directory.file("store.db"), false);
  const auto known = test::World::issue(*store, {.owner = "alice", .scopes = {"read"}});
  std::vector<pid_t> workers;
  int ready[2];
  int go[2];
  REQUIRE(::pipe(ready) == 0);
  REQUIRE(::pipe(go) == 0);
  for (int worker = 0; worker < 8; ++worker) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::close(go[1]);
      for (int i = 0; i < 1000; ++i) {
        if (!store->validate(known.text, Demand("read")).valid()) ::_exit(1);
      }
      if (!store->issue(Actor::host(), {.owner = "worker", .scopes = {"read"}}).ok()) ::_exit(2);
      char mark = 'r';
      if (::write(ready[1], &mark, 1) != 1) ::_exit(3);
      static_cast<void>(::read(go[0], &mark, 1));  // until the parent closes it
      if (store->validate(known.text, Demand("read")).valid()) ::_exit(4);
      ::_exit(0);
    }
    workers.push_back(child);
  }
  char mark = 0;
  ::close(ready[1]);
  for (std::size_t i = 0; i < workers.size(); ++i) REQUIRE(::read(ready[0], &mark, 1) == 1);
  REQUIRE(store->revoke(Actor::host(), known.id).ok());
  ::close(go[1]);
  for (const pid_t worker : workers) CHECK(status_of(worker) == 0);
  CHECK_FALSE(store->validate(known.text, Demand("read")).valid());
}
