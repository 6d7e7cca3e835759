/// How long a token may live: at every edge, and over the whole grid of now, lifetime and cap.
#include <limits>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

constexpr std::int64_t int64_max = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t int64_min = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t day = millis_per_day;

Result<Issued> issue(World& world, Lifetime lifetime) {
  IssueRequest request{.owner = "alice", .scopes = {"read"}};
  request.lifetime = lifetime;
  return world.store->issue(Actor::user("alice"), request);
}

UnixMillis end_of(World& world, Lifetime lifetime) {
  auto issued = issue(world, lifetime);
  REQUIRE(issued.ok());
  return issued->info.expires_at;
}

}  // namespace

TEST_CASE("a lifetime is granted up to the longest one to the millisecond, and refused beyond it") {
  World world;
  const UnixMillis now = world.clock->wall();
  world.set_policy({.longest_lifetime = 1000 * day});
  CHECK(end_of(world, Lifetime::millis(1)) == now + 1);
  CHECK(end_of(world, Lifetime::millis(1000 * day - 1)) == now + 1000 * day - 1);
  CHECK(end_of(world, Lifetime::millis(1000 * day)) == now + 1000 * day);
  CHECK(end_of(world, Lifetime::days(1000)) == now + 1000 * day);
  CHECK(issue(world, Lifetime::millis(1000 * day + 1)).status() == Status::refused);
  CHECK(issue(world, Lifetime::days(1001)).status() == Status::refused);
  CHECK(issue(world, Lifetime::millis(int64_max)).status() == Status::refused);
}

TEST_CASE("lifetime 0 means the policy's default, never that there is no end") {
  World world;
  const UnixMillis now = world.clock->wall();
  for (const bool never_allowed : {false, true}) {
    for (const std::int64_t longest : {366 * day, never}) {
      world.set_policy({.never_allowed = never_allowed, .longest_lifetime = longest, .default_lifetime = 7 * day});
      CHECK(end_of(world, Lifetime::policy_default()) == now + 7 * day);
      CHECK(end_of(world, Lifetime::millis(0)) == now + 7 * day);
      CHECK(end_of(world, Lifetime::days(0)) == now + 7 * day);
    }
  }
}

TEST_CASE("negative lifetimes are refused and never turn into never") {
  World world;
  world.set_policy({.never_allowed = true, .longest_lifetime = never});
  for (const std::int64_t count :
       {std::int64_t{-1}, std::int64_t{-2}, std::int64_t{-1000}, -day, int64_min, int64_min + 1}) {
    CAPTURE(count);
    CHECK(issue(world, Lifetime::millis(count)).status() == Status::invalid_argument);
    CHECK(issue(world, Lifetime::days(count)).status() == Status::invalid_argument);
  }
  CHECK(issue(world, Lifetime::days(int64_max)).status() == Status::invalid_argument);
  CHECK(issue(world, Lifetime::days(int64_max / day + 1)).status() == Status::invalid_argument);
  CHECK(world.store->list(Actor::host(), {}).value().tokens.empty());
}

TEST_CASE("a token without an end is issued only where policy allows it") {
  World world;
  CHECK(issue(world, Lifetime::never()).status() == Status::refused);
  world.set_policy({.never_allowed = false, .longest_lifetime = never});
  CHECK(issue(world, Lifetime::never()).status() == Status::refused);
  world.set_policy({.never_allowed = true, .longest_lifetime = 1});
  CHECK(end_of(world, Lifetime::never()) == never);
  // Nor may an administrator or the host.
  world.set_policy({.never_allowed = false});
  IssueRequest request{.owner = "alice"};
  request.lifetime = Lifetime::never();
  CHECK(world.store->issue(Actor::administrator("alice"), request).status() == Status::refused);
  CHECK(world.store->issue(Actor::host(), request).status() == Status::refused);
}

TEST_CASE("a default that is longer than the longest lifetime is cut to it") {
  World world;
  const UnixMillis now = world.clock->wall();
  world.set_policy({.longest_lifetime = 5, .default_lifetime = 90 * day});
  CHECK(end_of(world, Lifetime::policy_default()) == now + 5);
}

TEST_CASE("over all of now, lifetime and cap nothing outlives its cap, and never is never a by-product") {
  const std::int64_t nows[] = {0,
                               1,
                               test::new_year_2026,
                               std::int64_t{2'147'483'647} * 1000,
                               latest_time - 2 * day,
                               latest_time - 1000,
                               latest_time - 1,
                               latest_time,
                               latest_time + 1,
                               int64_max - 1,
                               int64_max,
                               int64_min,
                               int64_min + 1,
                               -1};
  const std::int64_t spans[] = {1,
                                2,
                                500,
                                999,
                                1000,
                                1001,
                                day - 1,
                                day,
                                day + 1,
                                366 * day,
                                latest_time - 1,
                                latest_time,
                                latest_time + 1,
                                int64_max - 1,
                                int64_max};
  std::size_t granted = 0;
  for (const std::int64_t now : nows) {
    World world(0, memory_backend(), now);
    for (const std::int64_t cap : spans) {
      Policy policy{.never_allowed = true, .longest_lifetime = cap};
      policy.default_lifetime = std::min(cap, latest_time);
      world.set_policy(policy);
      for (const std::int64_t span : spans) {
        for (const Lifetime lifetime : {Lifetime::millis(span), Lifetime::policy_default()}) {
          CAPTURE(now, cap, span, lifetime.is_default());
          const auto issued = issue(world, lifetime);
          if (!issued.ok()) {
            CHECK((issued.status() == Status::refused || issued.status() == Status::invalid_argument));
            continue;
          }
          ++granted;
          const std::int64_t asked = lifetime.is_default() ? policy.default_lifetime : span;
          CHECK(asked <= cap);
          CHECK(issued->info.expires_at == now + asked);
          CHECK(issued->info.expires_at <= latest_time);
          CHECK(issued->info.expires_at > now);
        }
      }
    }
  }
  CHECK(granted > 300);
}

TEST_CASE("no token ends after the year 9999, unless it never ends") {
  World world;
  world.set_policy({.never_allowed = true, .longest_lifetime = never});
  const UnixMillis now = world.clock->wall();
  CHECK(end_of(world, Lifetime::millis(latest_time - now)) == latest_time);
  CHECK(issue(world, Lifetime::millis(latest_time - now + 1)).status() == Status::invalid_argument);
  CHECK(issue(world, Lifetime::millis(int64_max)).status() == Status::invalid_argument);
  CHECK(end_of(world, Lifetime::never()) == never);
}

TEST_CASE("nothing is issued while the clock is outside the years 1970 to 9999") {
  for (const UnixMillis start :
       {int64_min, int64_min + 1, std::int64_t{-1}, latest_time + 1, int64_max - 1, int64_max}) {
    World world(0, memory_backend(), start);
    world.set_policy({.never_allowed = true, .longest_lifetime = never});
    CAPTURE(start);
    CHECK_FALSE(issue(world, Lifetime::never()).ok());
    CHECK_FALSE(issue(world, Lifetime::millis(1)).ok());
    CHECK_FALSE(issue(world, Lifetime::policy_default()).ok());
  }
}

TEST_CASE("a policy's own lifetimes are checked") {
  World world;
  for (const std::int64_t bad : {std::int64_t{0}, std::int64_t{-1}, int64_min}) {
    CHECK(world.store->set_policy(Actor::host(), {.longest_lifetime = bad}).status() == Status::invalid_argument);
    CHECK(world.store->set_policy(Actor::host(), {.default_lifetime = bad}).status() == Status::invalid_argument);
  }
  // A default of "never" would hand out tokens without an end to whoever asks for nothing.
  CHECK(world.store->set_policy(Actor::host(), {.default_lifetime = never}).status() == Status::invalid_argument);
  CHECK(world.store->policy(Actor::host()).value().longest_lifetime == 366 * day);
}

TEST_CASE("a not-before time lies within its token's life") {
  World world;
  const UnixMillis now = world.clock->wall();
  IssueRequest request{.owner = "alice", .scopes = {"read"}};
  request.lifetime = Lifetime::millis(100);
  request.not_before = now + 99;
  CHECK(world.store->issue(Actor::host(), request).value().info.state == TokenState::pending);
  for (const std::int64_t bad :
       {now + 100, now + 101, latest_time, latest_time + 1, int64_max, std::int64_t{-1}, int64_min}) {
    CAPTURE(bad);
    request.not_before = bad;
    CHECK(world.store->issue(Actor::host(), request).status() == Status::invalid_argument);
  }
}

TEST_CASE("shortening the longest lifetime does not shorten or lengthen what was issued before") {
  World world;
  const auto issued = issue(world, Lifetime::days(30)).value().info;
  world.set_policy({.longest_lifetime = day});
  CHECK(world.store->get(Actor::host(), issued.id).value().expires_at == issued.expires_at);
}
