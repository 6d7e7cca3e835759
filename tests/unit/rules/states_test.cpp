/// Which state holds at which time, and which reason a verdict gives.
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

TokenState state_of(World& world, const test::Kept& token) {
  return world.store->get(Actor::host(), token.id).value().state;
}

}  // namespace

TEST_CASE("a token is valid from its not-before time up to, not including, its end") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const UnixMillis now = world.clock->wall();
    IssueRequest request{.owner = "alice", .scopes = {"read"}};
    request.lifetime = Lifetime::millis(1000);
    request.not_before = now + 500;
    const auto token = world.issue(request);
    CHECK(world.ask(token) == Reason::pending);
    CHECK(state_of(world, token) == TokenState::pending);
    world.clock->advance(499);
    CHECK(world.ask(token) == Reason::pending);
    CHECK(state_of(world, token) == TokenState::pending);
    world.clock->advance(1);
    CHECK(world.ask(token) == Reason::none);
    CHECK(state_of(world, token) == TokenState::active);
    world.clock->advance(499);
    CHECK(world.ask(token) == Reason::none);
    CHECK(state_of(world, token) == TokenState::active);
    world.clock->advance(1);
    CHECK(world.ask(token) == Reason::expired);
    CHECK(state_of(world, token) == TokenState::expired);
    world.clock->advance(1);
    CHECK(world.ask(token) == Reason::expired);
  }
}

TEST_CASE("a token of one millisecond is valid in that millisecond only") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    IssueRequest request{.owner = "alice", .scopes = {"read"}};
    request.lifetime = Lifetime::millis(1);
    const auto token = world.issue(request);
    CHECK(world.ask(token) == Reason::none);
    world.clock->advance(1);
    CHECK(world.ask(token) == Reason::expired);
  }
}

TEST_CASE("revoked beats expired, and expired beats pending") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto revoked = world.issue();
    REQUIRE(world.store->revoke(Actor::host(), revoked.id).ok());
    IssueRequest later{.owner = "alice", .scopes = {"read"}};
    later.not_before = world.clock->wall() + 5000;
    const auto pending = world.issue(later);
    const auto ended_while_pending = world.issue(later);
    const auto revoked_while_pending = world.issue(later);
    REQUIRE(world.store->expire(Actor::host(), ended_while_pending.id).ok());
    REQUIRE(world.store->revoke(Actor::host(), revoked_while_pending.id).ok());
    CHECK(world.ask(pending) == Reason::pending);
    CHECK(world.ask(ended_while_pending) == Reason::expired);
    CHECK(state_of(world, ended_while_pending) == TokenState::expired);
    CHECK(world.ask(revoked_while_pending) == Reason::revoked);
    CHECK(state_of(world, revoked_while_pending) == TokenState::revoked);
    world.clock->advance(400 * millis_per_day);
    CHECK(world.ask(revoked) == Reason::revoked);
    CHECK(state_of(world, revoked) == TokenState::revoked);
    CHECK(world.ask(pending) == Reason::expired);
  }
}

TEST_CASE("lists and counts by state follow the same rule as verdicts") {
  World world;
  IssueRequest later{.owner = "alice"};
  later.not_before = world.clock->wall() + 10;
  for (int i = 0; i < 4; ++i) world.issue("alice");
  for (int i = 0; i < 3; ++i) world.issue(later);
  for (int i = 0; i < 2; ++i) REQUIRE(world.store->expire(Actor::host(), world.issue(later).id).ok());
  REQUIRE(world.store->revoke(Actor::host(), world.issue(later).id).ok());
  const auto listed = [&](TokenState state) {
    const auto page = world.store->list(Actor::user("alice"), {.state = state}).value();
    for (const TokenInfo& token : page.tokens) CHECK(token.state == state);
    return page.tokens.size();
  };
  auto counts = world.store->count(Actor::user("alice")).value();
  CHECK(counts.active == 4);
  CHECK(counts.pending == 3);
  CHECK(counts.expired == 2);
  CHECK(counts.revoked == 1);
  CHECK(listed(TokenState::active) == 4);
  CHECK(listed(TokenState::pending) == 3);
  CHECK(listed(TokenState::expired) == 2);
  CHECK(listed(TokenState::revoked) == 1);
  CHECK(world.store->list(Actor::host(), {.state = TokenState::tampered}).status() == Status::invalid_argument);
  world.clock->advance(10);
  counts = world.store->count(Actor::user("alice")).value();
  CHECK(counts.active == 7);
  CHECK(counts.pending == 0);
  CHECK(listed(TokenState::active) == 7);
}
