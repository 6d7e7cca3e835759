/// Clocks that are set back, forward, or stand at the ends of time: nothing that ended comes back.
#include <limits>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

constexpr std::int64_t int64_max = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t int64_min = std::numeric_limits<std::int64_t>::min();

test::Kept issue_for(World& world, std::int64_t millis) {
  IssueRequest request{.owner = "alice", .scopes = {"read"}};
  request.lifetime = Lifetime::millis(millis);
  return world.issue(request);
}

}  // namespace

TEST_CASE("a clock set back revives nothing") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = issue_for(world, 1000);
    CHECK(world.ask(token) == Reason::none);
    world.clock->advance(1000);
    CHECK(world.ask(token) == Reason::expired);
    for (const std::int64_t back : {test::new_year_2026, test::new_year_2026 - 365 * millis_per_day, std::int64_t{0},
                                    std::int64_t{-1}, int64_min}) {
      world.clock->set_wall(back);
      CAPTURE(back, cache);
      CHECK(world.ask(token) == Reason::expired);
      CHECK(world.store->get(Actor::host(), token.id).value().state == TokenState::expired);
      CHECK(world.store->count(Actor::host()).value().active == 0);
      CHECK(world.store->now() >= test::new_year_2026 + 1000);
    }
  }
}

TEST_CASE("a clock set back does not stretch the life of what is active") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = issue_for(world, 1000);
    world.clock->set_wall(0);
    world.clock->advance(999);
    CHECK(world.ask(token) == Reason::none);
    world.clock->advance(1);
    CHECK(world.ask(token) == Reason::expired);
  }
}

TEST_CASE("what a day forward ended stays ended when the clock comes back") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = issue_for(world, 1000);
    CHECK(world.ask(token) == Reason::none);
    world.clock->set_wall(test::new_year_2026 + millis_per_day);
    CHECK(world.ask(token) == Reason::expired);
    world.clock->set_wall(test::new_year_2026);
    CHECK(world.ask(token) == Reason::expired);
    // What is issued now still has a life.
    const auto fresh = issue_for(world, 1000);
    CHECK(world.ask(fresh) == Reason::none);
    world.clock->advance(1000);
    CHECK(world.ask(fresh) == Reason::expired);
  }
}

TEST_CASE("2038 is a year like any other") {
  World world(0, memory_backend(), std::int64_t{2'147'483'647} * 1000);
  const auto token = issue_for(world, 5000);
  CHECK(world.ask(token) == Reason::none);
  world.clock->advance(4999);
  CHECK(world.ask(token) == Reason::none);
  world.clock->advance(1);
  CHECK(world.ask(token) == Reason::expired);
}

TEST_CASE("at the ends of time nothing that ended comes back") {
  for (const std::size_t cache : test::cache_sizes()) {
    for (const std::int64_t end :
         {int64_max, int64_max - 1, latest_time, latest_time + 1, int64_min, std::int64_t{-1}}) {
      CAPTURE(end, cache);
      World world(cache);
      world.set_policy({.never_allowed = true, .longest_lifetime = never});
      const auto expired = issue_for(world, 1);
      const auto revoked = world.issue();
      world.clock->advance(1);
      REQUIRE(world.store->revoke(Actor::host(), revoked.id).ok());
      world.clock->set_wall(end);
      CHECK(world.ask(expired) == Reason::expired);
      CHECK(world.ask(revoked) == Reason::revoked);
      world.clock->set_wall(test::new_year_2026);
      CHECK(world.ask(expired) == Reason::expired);
      CHECK(world.ask(revoked) == Reason::revoked);
    }
  }
}

TEST_CASE("what is ended while the clock stands at the end of time is ended for good") {
  for (const std::size_t cache : test::cache_sizes()) {
    for (const std::int64_t end : {int64_max, int64_max - 1}) {
      for (const std::string how : {"revoke", "revoke_all", "expire", "suspend", "remove"}) {
        CAPTURE(end, how, cache);
        World world(cache);
        world.set_policy({.never_allowed = true, .longest_lifetime = never});
        IssueRequest request{.owner = "alice", .scopes = {"read"}};
        request.lifetime = Lifetime::never();
        const auto token = world.issue(request);
        CHECK(world.ask(token) == Reason::none);
        world.clock->set_wall(end);
        if (how == "revoke") REQUIRE(world.store->revoke(Actor::host(), token.id).ok());
        if (how == "revoke_all") REQUIRE(world.store->revoke_all(Actor::host(), "alice").ok());
        if (how == "expire") REQUIRE(world.store->expire(Actor::host(), token.id).ok());
        if (how == "suspend") REQUIRE(world.store->suspend(Actor::host(), "alice").ok());
        if (how == "remove") REQUIRE(world.store->remove(Actor::host(), token.id).ok());
        CHECK(world.ask(token) != Reason::none);
        // A process that never saw that clock.
        World sane(cache, world.backend);
        if (how == "expire") sane.clock->set_wall(end);
        CHECK(sane.ask(token) != Reason::none);
      }
    }
  }
}

TEST_CASE("a token without an end outlasts every time, and its state says so") {
  World world;
  world.set_policy({.never_allowed = true});
  IssueRequest request{.owner = "alice", .scopes = {"read"}};
  request.lifetime = Lifetime::never();
  const auto token = world.issue(request);
  for (const std::int64_t at : {latest_time, int64_max - 1, int64_max}) {
    CAPTURE(at);
    world.clock->set_wall(at);
    CHECK(world.ask(token) == Reason::none);
    CHECK(world.store->get(Actor::host(), token.id).value().state == TokenState::active);
    CHECK(world.store->purge(Actor::host(), world.store->now()).value().removed == 0);
  }
}

TEST_CASE("a token is valid at once where the clock is behind the one that it was issued by") {
  World world;
  world.clock->advance(200);
  const auto token = world.issue("alice");
  const auto issued = world.store->get(Actor::host(), token.id).value();
  CHECK(issued.not_before == issued.created_at);
  World elsewhere(0, world.backend, issued.created_at - 200);
  CHECK(elsewhere.ask(token) == Reason::none);
  CHECK(elsewhere.store->get(Actor::host(), token.id).value().state == TokenState::active);
}
