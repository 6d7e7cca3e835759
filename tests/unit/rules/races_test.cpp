/// Count, then act: threads that race for the last slots under a cap, on every backend.
#include <atomic>
#include <functional>
#include <thread>
#include <utility>

#include "support/seeded_random.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

void race(const std::shared_ptr<Backend>& storage, std::size_t cache) {
  constexpr std::uint32_t cap = 10;
  constexpr std::uint32_t taken = 7;
  constexpr int threads = 64;
  World world(cache, storage);
  world.set_policy({.most_active_per_owner = cap});
  for (std::uint32_t i = 0; i < taken; ++i) world.issue("alice");
  const auto second = world.open();
  std::atomic<int> ready{0};
  std::atomic<std::uint32_t> won{0};
  std::atomic<std::uint32_t> refused{0};
  std::vector<std::thread> racers;
  for (int i = 0; i < threads; ++i) {
    racers.emplace_back([&, i] {
      TokenStore& store = i % 2 == 0 ? *world.store : *second;
      ++ready;
      while (ready < threads) std::this_thread::yield();
      const auto issued = store.issue(Actor::user("alice"), {.owner = "alice", .scopes = {"read"}});
      if (issued.ok()) ++won;
      if (issued.status() == Status::refused) ++refused;
    });
  }
  for (std::thread& racer : racers) racer.join();
  CHECK(won == cap - taken);
  CHECK(refused == threads - (cap - taken));
  CHECK(world.store->count(Actor::host(), "alice").value().active == cap);
}

}  // namespace

TEST_CASE("of 64 threads that race for the last three slots exactly three win, in memory") {
  for (const std::size_t cache : test::cache_sizes()) race(memory_backend(), cache);
}

TEST_CASE("of 64 threads that race for the last three slots exactly three win, in SQLite") {
  for (const std::size_t cache : test::cache_sizes()) {
    const test::TempDirectory directory;
    SqliteOptions options;
    options.path = directory.file("tokens.db");
    options.busy_timeout = std::chrono::milliseconds{30'000};
    race(sqlite_backend(options).value(), cache);
  }
}

TEST_CASE("two new tokens that draw the same id are drawn again, in one batch and one after the other") {
  /// Draws the same id again a few times; ids are the only thing that takes eight octets.
  class Repeating final : public RandomSource {
   public:
    void fill(std::span<std::uint8_t> out) noexcept override {
      random_.fill(out);
      if (out.size() == 8 && ids_++ < 5) std::fill(out.begin(), out.end(), std::uint8_t{7});
    }
    int ids() const { return ids_; }

   private:
    test::SeededRandom random_{1};
    int ids_ = 0;
  };
  World world;
  for (const bool at_once : {false, true}) {
    const auto random = std::make_shared<Repeating>();
    StoreOptions options = world.options();
    options.random = random;
    const auto store = TokenStore::open(world.backend, test::one_key(), options).value();
    if (at_once) {
      const std::vector<IssueRequest> four(4, IssueRequest{.owner = "alice", .scopes = {"read"}});
      const auto issued = store->issue_many(Actor::host(), four);
      REQUIRE(issued.ok());
      for (const Issued& token : *issued) CHECK(store->validate(token.text.reveal(), Demand("read")).valid());
    } else {
      for (int i = 0; i < 4; ++i) World::issue(*store, {.owner = "alice", .scopes = {"read"}});
    }
    CHECK(random->ids() > 5);
    world.clock->advance(1);
  }
  CHECK(world.store->count(Actor::host(), "alice").value().active == 8);
}

TEST_CASE("a batch that does not fit under the cap is refused as a whole") {
  World world;
  world.set_policy({.most_active_per_owner = 5});
  world.issue("alice");
  std::vector<IssueRequest> five(5, IssueRequest{.owner = "alice"});
  CHECK(world.store->issue_many(Actor::host(), five).status() == Status::refused);
  CHECK(world.store->count(Actor::host()).value().active == 1);
  five.pop_back();
  five.push_back({.owner = "bob"});
  CHECK(world.store->issue_many(Actor::host(), five).value().size() == 5);
  CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).status() == Status::refused);
  CHECK(world.store->issue(Actor::host(), {.owner = "bob"}).ok());
}

TEST_CASE("an owner whose first token comes while another call looks for their record is no sign of tampering") {
  using Act = std::function<bool(TokenStore&)>;
  const Actor host = Actor::host();
  const std::vector<Act> acts = {
      [&](TokenStore& store) { return store.issue(host, {.owner = "alice", .scopes = {"read"}}).ok(); },
      [&](TokenStore& store) { return store.set_owner(host, "alice", {}).ok(); },
  };
  for (const Act& act : acts) {
    World world;
    const auto second = world.open();
    bool interrupted = false;
    // After the record was not found and before one is made.
    world.backend->before = [&](test::Call call) {
      if (call == test::Call::commit && !std::exchange(interrupted, true)) {
        World::issue(*second, {.owner = "alice", .scopes = {"read"}});
      }
    };
    CHECK(act(*world.store));
    CHECK(interrupted);
  }
}
