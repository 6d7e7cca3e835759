/// Suspending, owner settings and policy switches: they act on the very next validation.
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

const Actor root = Actor::administrator("root");

/// Validates until whatever is remembered is remembered.
void warm_up(World& world, const test::Kept& token) {
  for (int i = 0; i < 5; ++i) REQUIRE(world.ask(token) == Reason::none);
}

}  // namespace

TEST_CASE("after suspend returns every later validation denies, and after resume it works again") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto second = world.open();
    const auto token = world.issue("alice");
    const auto bobs = world.issue("bob");
    warm_up(world, token);
    REQUIRE(World::ask(*second, token) == Reason::none);
    for (int round = 0; round < 3; ++round) {
      const auto suspended = world.store->suspend(root, "alice", "on leave").value();
      CHECK(suspended.suspended);
      CHECK(suspended.suspended_by == "administrator:root");
      CHECK(suspended.suspend_reason == "on leave");
      CHECK(world.ask(token) == Reason::owner_suspended);
      CHECK(World::ask(*second, token) == Reason::owner_suspended);
      CHECK(world.ask(bobs) == Reason::none);
      CHECK_FALSE(world.store->resume(Actor::host(), "alice").value().suspended);
      CHECK(world.ask(token) == Reason::none);
      CHECK(World::ask(*second, token) == Reason::none);
    }
  }
}

TEST_CASE("suspending twice keeps the first who, when and why") {
  World world;
  world.issue("alice");
  const auto first = world.store->suspend(root, "alice", "first").value();
  world.clock->advance(1000);
  const auto again = world.store->suspend(Actor::host(), "alice", "second").value();
  CHECK(again.suspended_at == first.suspended_at);
  CHECK(again.suspended_by == first.suspended_by);
  CHECK(again.suspend_reason == "first");
}

TEST_CASE("a suspended owner gets no token from anyone, and settings do not lift a suspension") {
  World world;
  const auto token = world.issue("alice");
  REQUIRE(world.store->suspend(root, "alice").ok());
  CHECK(world.store->issue(Actor::user("alice"), {.owner = "alice"}).status() == Status::refused);
  CHECK(world.store->issue(Actor::administrator("alice"), {.owner = "alice"}).status() == Status::refused);
  CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).status() == Status::refused);
  CHECK(world.store->set_owner(root, "alice", {.may_issue = true, .may_use = true}).value().suspended);
  CHECK(world.ask(token) == Reason::owner_suspended);
  CHECK(world.store->owner(Actor::user("alice"), "alice").value().suspended);
}

TEST_CASE("an owner can be suspended before their first token") {
  World world;
  REQUIRE(world.store->suspend(root, "alice").ok());
  CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).status() == Status::refused);
  REQUIRE(world.store->resume(root, "alice").ok());
  CHECK(world.ask(world.issue("alice")) == Reason::none);
}

TEST_CASE("an owner who may not use tokens is denied at once, and one who may not issue keeps what they have") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    warm_up(world, token);
    REQUIRE(world.store->set_owner(root, "alice", {.may_issue = true, .may_use = false}).ok());
    CHECK(world.ask(token) == Reason::owner_may_not_use);
    REQUIRE(world.store->set_owner(root, "alice", {.may_issue = false, .may_use = true}).ok());
    CHECK(world.ask(token) == Reason::none);
    CHECK(world.store->issue(Actor::user("alice"), {.owner = "alice"}).status() == Status::refused);
    CHECK(world.store->issue(Actor::administrator("alice"), {.owner = "alice"}).status() == Status::refused);
    CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).ok());
  }
}

TEST_CASE("switching tokens off stops everybody at once, and switching them on brings back what had not ended") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    const auto revoked = world.issue("alice");
    warm_up(world, token);
    REQUIRE(world.store->revoke(root, revoked.id).ok());
    world.set_policy({.tokens_enabled = false});
    CHECK(world.ask(token) == Reason::tokens_disabled);
    CHECK(world.ask(revoked) != Reason::none);
    CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).status() == Status::refused);
    world.set_policy({});
    CHECK(world.ask(token) == Reason::none);
    CHECK(world.ask(revoked) == Reason::revoked);
  }
}

TEST_CASE("when users may not issue, administrators and the host still may") {
  World world;
  world.set_policy({.users_may_issue = false});
  CHECK(world.store->issue(Actor::user("alice"), {.owner = "alice"}).status() == Status::refused);
  CHECK(world.store->issue(Actor::administrator("root"), {.owner = "root"}).ok());
  CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).ok());
}

TEST_CASE("every field of a policy and of an owner's settings is kept as it was set") {
  World world;
  for (const bool enabled : {true, false}) {
    for (const bool users : {true, false}) {
      for (const bool endless : {true, false}) {
        const Policy policy{enabled, users, endless, 12'345, 678, 9};
        world.set_policy(policy);
        const auto again = world.open();
        for (const Policy& read : {world.store->policy(Actor::user("alice")).value(), again->policy(root).value()}) {
          CHECK(read.tokens_enabled == enabled);
          CHECK(read.users_may_issue == users);
          CHECK(read.never_allowed == endless);
          CHECK(read.longest_lifetime == 12'345);
          CHECK(read.default_lifetime == 678);
          CHECK(read.most_active_per_owner == 9);
        }
        const auto set = world.store->set_owner(root, "alice", {users, endless}).value();
        CHECK(set.settings.may_issue == users);
        CHECK(set.settings.may_use == endless);
      }
    }
  }
}

TEST_CASE("an issue that a suspend, a switch or a revoke-all overtakes does not survive it") {
  for (const std::size_t cache : test::cache_sizes()) {
    for (const std::string what : {"suspend", "revoke_all", "set_owner", "tokens_disabled", "users_may_issue"}) {
      for (const bool capped : {false, true}) {
        World world(cache);
        const auto earlier = world.issue("alice");
        Policy policy;
        if (capped) policy.most_active_per_owner = 10;
        world.set_policy(policy);
        const auto second = world.open();
        bool overtaken = false;
        world.backend->before = [&](test::Call call) {
          if (call != test::Call::commit || overtaken) return;
          overtaken = true;
          Policy off = policy;
          if (what == "suspend") REQUIRE(second->suspend(root, "alice").ok());
          if (what == "revoke_all") REQUIRE(second->revoke_all(root, "alice").ok());
          if (what == "set_owner") REQUIRE(second->set_owner(root, "alice", {.may_issue = false}).ok());
          if (what == "tokens_disabled") {
            off.tokens_enabled = false;
            REQUIRE(second->set_policy(root, off).ok());
          }
          if (what == "users_may_issue") {
            off.users_may_issue = false;
            REQUIRE(second->set_policy(root, off).ok());
          }
        };
        CAPTURE(what, capped, cache);
        const auto issued = world.store->issue(Actor::user("alice"), {.owner = "alice", .scopes = {"read"}});
        CHECK(overtaken);
        CHECK(issued.status() == Status::refused);
        world.backend->before = nullptr;
        CHECK(world.store->list(Actor::host(), {}).value().tokens.size() == 1);
        if (what == "revoke_all") CHECK(world.ask(earlier) == Reason::revoked);
      }
    }
  }
}

TEST_CASE("a lowered cap counts what is there, and only stops new tokens") {
  World world;
  std::vector<test::Kept> tokens;
  for (int i = 0; i < 5; ++i) tokens.push_back(world.issue("alice"));
  world.set_policy({.most_active_per_owner = 3});
  for (const auto& token : tokens) CHECK(world.ask(token) == Reason::none);
  CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).status() == Status::refused);
  CHECK(world.store->issue(Actor::host(), {.owner = "bob"}).ok());
  REQUIRE(world.store->revoke(Actor::host(), tokens[0].id).ok());
  REQUIRE(world.store->expire(Actor::host(), tokens[1].id).ok());
  CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).status() == Status::refused);
  REQUIRE(world.store->remove(Actor::host(), tokens[2].id).ok());
  CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).ok());
  CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).status() == Status::refused);
}
