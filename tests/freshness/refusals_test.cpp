/// Refusals that can be lifted: remembered, and as fresh as everything else. And verdicts of one state alone.
#include <functional>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::Call;
using test::Kept;
using test::World;

namespace {

constexpr std::size_t cache = std::size_t{1} << 20;

struct Stop {
  Reason reason;
  std::function<bool(TokenStore&)> stop;
  std::function<bool(TokenStore&)> lift;
};

const std::vector<Stop>& stops() {
  const auto host = [] { return Actor::host(); };
  const auto set_policy = [host](TokenStore& store, bool enabled) {
    Policy policy;
    policy.tokens_enabled = enabled;
    return store.set_policy(host(), policy).ok();
  };
  static const std::vector<Stop> all = {
      {Reason::owner_suspended, [=](TokenStore& store) { return store.suspend(host(), "alice").ok(); },
       [=](TokenStore& store) { return store.resume(host(), "alice").ok(); }},
      {Reason::owner_may_not_use,
       [=](TokenStore& store) { return store.set_owner(host(), "alice", {.may_use = false}).ok(); },
       [=](TokenStore& store) { return store.set_owner(host(), "alice", {}).ok(); }},
      {Reason::tokens_disabled, [=](TokenStore& store) { return set_policy(store, false); },
       [=](TokenStore& store) { return set_policy(store, true); }},
  };
  return all;
}

}  // namespace

TEST_CASE("who has just been stopped and floods costs storage nothing, and works again at once when it is lifted") {
  for (const Stop& stop : stops()) {
    for (const bool by_another : {false, true}) {
      for (const bool warm : {false, true}) {
        CAPTURE(stop.reason, by_another, warm);
        World world(cache);
        const auto another = world.open();
        TokenStore& who = by_another ? *another : *world.store;
        const Kept token = world.issue("alice");
        for (int round = 0; round < 3; ++round) {
          if (warm) CHECK(world.ask(token) == Reason::none);
          REQUIRE(stop.stop(who));
          CHECK(world.ask(token) == stop.reason);
          const std::uint64_t calls = world.backend->calls();
          for (int i = 0; i < 100; ++i) CHECK(world.ask(token) == stop.reason);
          CHECK(world.backend->calls() == calls);
          REQUIRE(stop.lift(who));
          CHECK(world.ask(token) == Reason::none);
        }
        CHECK(world.store->statistics().negative_hits >= 300);
        // What ends while it is stopped has ended when the stop is lifted.
        REQUIRE(stop.stop(who));
        CHECK(world.ask(token) == stop.reason);
        REQUIRE(who.revoke(Actor::host(), token.id).ok());
        CHECK(world.ask(token) == stop.reason);
        REQUIRE(stop.lift(who));
        CHECK(world.ask(token) == Reason::revoked);
      }
    }
  }
}

TEST_CASE("a token whose time has not come costs storage nothing until the very millisecond at which it comes") {
  for (const int lag : {0, 10}) {
    World world(cache);
    world.clock->set_lags(lag, lag);
    IssueRequest request{.owner = "alice", .scopes = {"read"}};
    request.not_before = world.clock->wall() + 1'000;
    const Kept token = world.issue(request);
    CHECK(world.ask(token) == Reason::pending);
    const std::uint64_t calls = world.backend->calls();
    for (int at = 0; at < 1'000; ++at) {
      if (world.ask(token) != Reason::pending) FAIL("no longer pending after " << at << " ms with a lag of " << lag);
      world.clock->advance(1);
    }
    CHECK(world.backend->calls() == calls);
    CHECK(world.ask(token) == Reason::none);
  }
}

TEST_CASE("a pending token is denied as its owner is, and as it is itself, while its time has not come") {
  World world(cache);
  IssueRequest request{.owner = "alice", .scopes = {"read"}};
  request.not_before = world.clock->wall() + 1'000;
  const Kept token = world.issue(request);
  CHECK(world.ask(token) == Reason::pending);
  REQUIRE(world.store->suspend(Actor::host(), "alice").ok());
  CHECK(world.ask(token) == Reason::owner_suspended);
  REQUIRE(world.store->resume(Actor::host(), "alice").ok());
  CHECK(world.ask(token) == Reason::pending);
  REQUIRE(world.store->remove(Actor::host(), token.id).ok());
  CHECK(world.ask(token) == Reason::unknown);
}

TEST_CASE("no verdict says valid for a state that never was: the owner suspended until the token had been revoked") {
  for (const std::size_t bytes : test::cache_sizes()) {
    for (const bool by_another : {false, true}) {
      CAPTURE(bytes, by_another);
      World world(bytes);
      const auto another = world.open();
      TokenStore& who = by_another ? *another : *world.store;
      const Kept token = world.issue("alice");
      REQUIRE(who.suspend(Actor::host(), "alice").ok());
      bool done = false;
      world.backend->before = [&](Call call) {
        if (call != Call::load_owner || done) return;
        done = true;
        // The validation has loaded the token, which has not ended, and not yet the owner, who is stopped.
        REQUIRE(who.revoke(Actor::host(), token.id).ok());
        REQUIRE(who.resume(Actor::host(), "alice").ok());
      };
      CHECK(world.ask(token) == Reason::revoked);
      REQUIRE(done);
    }
  }
}

TEST_CASE("a validation under which storage never comes to rest is answered all the same") {
  for (const std::size_t bytes : test::cache_sizes()) {
    World world(bytes);
    const Kept token = world.issue("alice");
    const Kept other = world.issue("bob");
    bool on = true;
    world.backend->before = [&](Call call) {
      if (call != Call::load_token || !on) return;
      on = false;
      REQUIRE(world.issue("carol").id != other.id);
      on = true;
    };
    CHECK(world.ask(token) == Reason::none);
    CHECK(world.backend->calls(Call::load_token) <= 8);
    on = false;
    CHECK(world.ask(token) == Reason::none);
  }
}
