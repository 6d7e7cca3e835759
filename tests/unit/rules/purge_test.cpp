/// Purge: only what ended before a date, in slices, without stalling others.
#include <chrono>
#include <limits>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

constexpr std::chrono::milliseconds no_limit = std::chrono::milliseconds::max();

}  // namespace

TEST_CASE("purge removes what ended before the date, and nothing that is active, pending or without end") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    world.set_policy({.never_allowed = true});
    IssueRequest request{.owner = "alice", .scopes = {"read"}};
    const auto active = world.issue(request);
    request.not_before = world.clock->wall() + millis_per_day;
    const auto pending = world.issue(request);
    request.not_before.reset();
    request.lifetime = Lifetime::never();
    const auto endless = world.issue(request);
    const auto endless_revoked = world.issue(request);
    request.lifetime = Lifetime::millis(100);
    const auto expired = world.issue(request);
    const auto revoked = world.issue("alice");
    world.clock->advance(50);
    REQUIRE(world.store->revoke(Actor::host(), revoked.id).ok());
    REQUIRE(world.store->revoke(Actor::host(), endless_revoked.id).ok());
    world.clock->advance(1000);
    const UnixMillis start = test::new_year_2026;
    const auto purge = [&](UnixMillis before) {
      const auto result = world.store->purge(Actor::administrator("root"), before).value();
      CHECK(result.complete);
      return result.removed;
    };
    CHECK(purge(std::numeric_limits<UnixMillis>::min()) == 0);
    CHECK(purge(0) == 0);
    CHECK(purge(start + 50) == 0);  // "before", not "at"
    CHECK(purge(start + 51) == 2);
    CHECK(world.ask(revoked) == Reason::unknown);
    CHECK(world.ask(endless_revoked) == Reason::unknown);
    CHECK(world.ask(expired) == Reason::expired);
    CHECK(purge(start + 100) == 0);
    CHECK(purge(start + 101) == 1);
    CHECK(world.ask(expired) == Reason::unknown);
    CHECK(purge(world.store->now()) == 0);
    CHECK(world.ask(active) == Reason::none);
    CHECK(world.ask(pending) == Reason::pending);
    CHECK(world.ask(endless) == Reason::none);
  }
}

TEST_CASE("a time that lies ahead and a budget below a millisecond are refused") {
  World world;
  const UnixMillis now = world.store->now();
  CHECK(world.store->purge(Actor::host(), now + 1).status() == Status::invalid_argument);
  CHECK(world.store->purge(Actor::host(), never).status() == Status::invalid_argument);
  CHECK(world.store->purge(Actor::host(), now, std::chrono::milliseconds{0}).status() == Status::invalid_argument);
  CHECK(world.store->purge(Actor::host(), now, std::chrono::milliseconds{-5}).status() == Status::invalid_argument);
  CHECK(world.store->purge(Actor::host(), now).ok());
}

TEST_CASE("purge works in slices and stops when its time is over") {
  World world;
  std::vector<IssueRequest> many(3000, IssueRequest{.owner = "alice"});
  REQUIRE(world.store->issue_many(Actor::host(), many).ok());
  REQUIRE(world.store->revoke_all(Actor::host(), "alice").value() == 3000);
  world.clock->advance(1);
  const auto before = world.backend->calls(test::Call::commit);
  world.backend->before = [&](test::Call call) {
    if (call == test::Call::commit) world.clock->advance(10);
  };
  const auto part = world.store->purge(Actor::host(), world.store->now(), std::chrono::milliseconds{20}).value();
  CHECK_FALSE(part.complete);
  CHECK(part.removed > 0);
  CHECK(part.removed < 3000);
  const auto commits = world.backend->calls(test::Call::commit) - before;
  CHECK(commits == 2);
  CHECK(part.removed / commits <= 1000);
  const auto rest = world.store->purge(Actor::host(), world.store->now(), no_limit).value();
  CHECK(rest.complete);
  CHECK(rest.removed == 3000 - part.removed);
}

TEST_CASE("a token that another ends, deletes or purges meanwhile does not wedge a purge") {
  World world;
  const auto second = world.open();
  std::vector<std::string> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(world.issue("alice").id);
  REQUIRE(world.store->revoke_all(Actor::host(), "alice").ok());
  world.clock->advance(1);
  bool done = false;
  world.backend->before = [&](test::Call call) {
    if (call != test::Call::commit || done) return;
    done = true;
    REQUIRE(second->remove(Actor::host(), ids[0]).ok());
  };
  const auto result = world.store->purge(Actor::host(), world.store->now()).value();
  CHECK(result.complete);
  CHECK(result.removed == 9);
}
