/// A load that began before a change never fills the cache after it.
///
/// One thread is held between its load and its fill; the change happens there; then it goes on. Its own
/// answer may be either, because it began before the change. The next one may not.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "support/forwarding_backend.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::Call;
using test::Kept;
using test::World;

namespace {

constexpr std::size_t cache = std::size_t{1} << 20;

/// Holds the first thread that comes until it is let go.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    if (used_) return;
    used_ = true;
    held_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void wait_for_somebody() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return held_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool used_ = false, held_ = false, open_ = false;
};

/// A pulse that stands still and a feed that says nothing: what the test must be able to see through, and what a store
/// must not need for what it has ended itself.
class FrozenBackend final : public test::ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  std::atomic<bool> frozen{false};
  std::atomic<bool> hides{false};
  Pulse pulse() noexcept override {
    const Pulse real = ForwardingBackend::pulse();
    if (frozen) return {last_.load(), real.trusted_until};
    last_ = real.counter;
    return real;
  }
  Result<Changes> changes(std::string_view workspace, std::uint64_t after) override {
    auto real = ForwardingBackend::changes(workspace, after);
    if (!real.ok()) return real;
    // As if nothing had been announced since: what links cannot tell from the state of then.
    if (hides) return Changes{after, link_, 0, false, {}};
    link_ = real->link;
    return real;
  }

 private:
  std::atomic<std::uint64_t> last_{0};
  Bytes32 link_{};  ///< of the last answer; the validator asks one at a time
};

struct Ending {
  const char* name;
  std::function<bool(TokenStore&, const Kept&)> end;
};

const std::vector<Ending>& endings() {
  static const std::vector<Ending> all = {
      {"revoke", [](auto& store, auto& token) { return store.revoke(Actor::host(), token.id).ok(); }},
      {"expire", [](auto& store, auto& token) { return store.expire(Actor::host(), token.id).ok(); }},
      {"delete", [](auto& store, auto& token) { return store.remove(Actor::host(), token.id).ok(); }},
      {"suspend", [](auto& store, auto&) { return store.suspend(Actor::host(), "alice").ok(); }},
      {"set_owner",
       [](auto& store, auto&) {
         return store.set_owner(Actor::host(), "alice", {.may_issue = true, .may_use = false}).ok();
       }},
      {"policy",
       [](auto& store, auto&) {
         Policy off;
         off.tokens_enabled = false;
         return store.set_policy(Actor::host(), off).ok();
       }},
      {"revoke_all", [](auto& store, auto&) { return store.revoke_all(Actor::host(), "alice").ok(); }},
  };
  return all;
}

/// Who ends the token: the store that is asked, another one, or the one that is asked on a pulse that stands still.
enum class By : std::uint8_t { itself, another, itself_unheard };

/// Where the thread is held: after which of its reads.
enum class Hold : std::uint8_t { after_token, after_workspace, after_owner };

void hold(test::PuppetBackend& backend, Hold where, Gate& gate) {
  backend.alter_token = nullptr;
  backend.alter_workspace = nullptr;
  backend.alter_owner = nullptr;
  // Only the validating thread is caught: it is the first that reads.
  if (where == Hold::after_token) backend.alter_token = [&gate](auto&) { gate.pass(); };
  if (where == Hold::after_workspace) backend.alter_workspace = [&gate](auto&) { gate.pass(); };
  if (where == Hold::after_owner) backend.alter_owner = [&gate](auto&) { gate.pass(); };
}

}  // namespace

TEST_CASE("a change between load and fill is seen by the next validation, whatever was read before it") {
  for (const Ending& ending : endings()) {
    for (const Hold where : {Hold::after_token, Hold::after_workspace, Hold::after_owner}) {
      for (const By by : {By::itself, By::another, By::itself_unheard}) {
        for (const bool somebody_catches_up : {false, true}) {
          const auto backend = std::make_shared<FrozenBackend>(memory_backend());
          World world(cache, backend);
          const auto another = world.open();
          const Kept token = world.issue("alice");
          const Kept other = world.issue("bob");
          INFO(ending.name << ", held after read " << static_cast<int>(where) << ", by " << static_cast<int>(by));
          Gate gate;
          hold(*world.backend, where, gate);
          std::thread validating([&] { static_cast<void>(world.store->validate(token.text, Demand("read"))); });
          gate.wait_for_somebody();
          backend->frozen = by == By::itself_unheard;
          REQUIRE(ending.end(by == By::another ? *another : *world.store, token));
          if (somebody_catches_up) static_cast<void>(world.store->validate(other.text, Demand("read")));
          gate.open();
          validating.join();
          CHECK_FALSE(world.store->validate(token.text, Demand("read")).valid());
          CHECK_FALSE(world.store->validate(token.text, Demand("read")).valid());
        }
      }
    }
  }
}

TEST_CASE("the cache is filled and asked in these tests, so that a hidden change would be seen") {
  // Controls: with a pulse that stands still, or a feed that hides the item, the stale answer appears in another store.
  for (const bool frozen : {true, false}) {
    for (const Ending& ending : endings()) {
      INFO(ending.name << (frozen ? ", the pulse stands still" : ", the feed hides the change"));
      auto backend = std::make_shared<FrozenBackend>(memory_backend());
      World world(cache, backend);
      const auto another = world.open();
      const Kept token = world.issue("alice");
      REQUIRE(world.store->validate(token.text, Demand("read")).valid());
      backend->frozen = frozen;
      backend->hides = !frozen;
      REQUIRE(ending.end(*another, token));
      CHECK(world.store->validate(token.text, Demand("read")).valid());
    }
  }
}

TEST_CASE("what a store has ended itself it denies at once, whatever the backend's pulse and feed say") {
  for (const bool frozen : {true, false}) {
    for (const Ending& ending : endings()) {
      INFO(ending.name << (frozen ? ", the pulse stands still" : ", the feed hides the change"));
      auto backend = std::make_shared<FrozenBackend>(memory_backend());
      World world(cache, backend);
      const Kept token = world.issue("alice");
      const Kept other = world.issue("bob");
      for (int i = 0; i < 2; ++i) {
        REQUIRE(world.ask(token) == Reason::none);
        REQUIRE(world.ask(other) == Reason::none);
      }
      // Control: it is the cache that answers, and that would go on to.
      REQUIRE(world.store->statistics().hits == 2);
      backend->frozen = frozen;
      backend->hides = !frozen;
      REQUIRE(ending.end(*world.store, token));
      const bool for_all = std::string_view(ending.name) == "policy";
      for (int i = 0; i < 2; ++i) {
        CHECK_FALSE(world.store->validate(token.text, Demand("read")).valid());
        CHECK((world.ask(other) == Reason::none) == !for_all);
      }
      // The other token's answers stay in memory; but a feed that ends before what this process has announced is not
      // believed, and makes it look once.
      if (!for_all) CHECK(world.store->statistics().hits == (frozen ? 4 : 3));
    }
  }
}

TEST_CASE("what may have been committed is read again, although the pulse stands still") {
  auto backend = std::make_shared<FrozenBackend>(memory_backend());
  World world(cache, backend);
  const Kept token = world.issue("alice");
  REQUIRE(world.ask(token) == Reason::none);
  backend->frozen = true;
  world.backend->commit_outcome = [] { return CommitOutcome::unknown; };
  world.backend->commit_happens = true;
  // An end that is not yet: nothing is denied of it but by what storage says.
  const UnixMillis end = world.clock->wall() + 1000;
  REQUIRE(world.store->expire(Actor::host(), token.id, end).status() == Status::unknown);
  CHECK(world.ask(token) == Reason::none);
  world.clock->advance(1000);
  CHECK(world.ask(token) == Reason::expired);
}

TEST_CASE("an owner who is let work again, and one who issues under a cap, are as they should be on a standing pulse") {
  auto backend = std::make_shared<FrozenBackend>(memory_backend());
  World world(cache, backend);
  Policy capped;
  capped.most_active_per_owner = 5;
  world.set_policy(capped);
  const Kept token = world.issue("alice");
  REQUIRE(world.ask(token) == Reason::none);
  backend->frozen = true;
  for (int round = 0; round < 3; ++round) {
    REQUIRE(world.store->suspend(Actor::host(), "alice").ok());
    CHECK(world.ask(token) == Reason::owner_suspended);
    REQUIRE(world.store->resume(Actor::host(), "alice").ok());
    CHECK(world.ask(token) == Reason::none);
  }
  const std::uint64_t misses = world.store->statistics().misses;
  world.issue("alice");
  CHECK(world.ask(token) == Reason::none);
  CHECK(world.store->statistics().misses == misses);
}

TEST_CASE("an owner's answer that was loaded behind the feed's back does not hide the change from the feed") {
  // One token is in the cache. A call that began before the suspension reads the owner's record after it;
  // the catch-up that follows must still drop the cached token.
  World world(cache);
  const auto another = world.open();
  const Kept cached = world.issue("alice");
  const Kept late = world.issue("alice");
  // Owners forgotten, the tokens of alice cached: fill, then let another owner's answer take her place.
  REQUIRE(world.store->validate(cached.text, Demand("read")).valid());
  Gate gate;
  hold(*world.backend, Hold::after_token, gate);
  std::thread validating([&] { static_cast<void>(world.store->validate(late.text, Demand("read"))); });
  gate.wait_for_somebody();
  REQUIRE(another->suspend(Actor::host(), "alice").ok());
  gate.open();
  validating.join();
  CHECK_FALSE(world.store->validate(cached.text, Demand("read")).valid());
  CHECK_FALSE(world.store->validate(late.text, Demand("read")).valid());
}

TEST_CASE("two calls that read the owner's record before and after a suspension leave nothing stale") {
  World world(cache);
  const auto another = world.open();
  const Kept first = world.issue("alice");
  const Kept second = world.issue("alice");
  Gate before;
  Gate after;
  // The first call is held with the owner's old record in its hand, the second before it reads that record.
  std::atomic<int> owners_read{0};
  std::atomic<int> tokens_read{0};
  world.backend->alter_owner = [&](auto&) {
    if (owners_read++ == 0) before.pass();
  };
  world.backend->alter_token = [&](auto&) {
    if (tokens_read++ == 1) after.pass();
  };
  std::thread one([&] { static_cast<void>(world.store->validate(first.text, Demand("read"))); });
  before.wait_for_somebody();
  std::thread two([&] { static_cast<void>(world.store->validate(second.text, Demand("read"))); });
  after.wait_for_somebody();
  REQUIRE(another->suspend(Actor::host(), "alice").ok());
  after.open();
  two.join();
  // Somebody catches up: alice's remembered answer and her record now say the same.
  CHECK_FALSE(world.store->validate(second.text, Demand("read")).valid());
  before.open();
  one.join();
  CHECK_FALSE(world.store->validate(first.text, Demand("read")).valid());
  CHECK_FALSE(world.store->validate(second.text, Demand("read")).valid());
}
