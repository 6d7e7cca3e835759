#include "base/effective_clock.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <thread>
#include <vector>

#include "support/fake_clock.hpp"
#include "support/seeded_random.hpp"

namespace tokenstore::base {
namespace {

using Limits = std::numeric_limits<std::int64_t>;
constexpr std::int64_t day = 86'400'000;

struct ClockUnderTest {
  std::shared_ptr<test::FakeClock> source = std::make_shared<test::FakeClock>(1'795'000'000'000, 1'000);
  EffectiveClock clock{source};
};

TEST_CASE("effective time follows the wall clock") {
  ClockUnderTest t;
  REQUIRE(t.clock.now() == 1'795'000'000'000);
  t.source->advance(1'234);
  REQUIRE(t.clock.now() == 1'795'000'001'234);
  REQUIRE(t.clock.coarse_now() == 1'795'000'001'234);
}

TEST_CASE("a clock set back does not take effective time back, and time goes on from there") {
  ClockUnderTest t;
  t.source->set_wall(1'795'000'000'000 - day);
  REQUIRE(t.clock.now() == 1'795'000'000'000);
  t.source->advance(500);
  REQUIRE(t.clock.now() == 1'795'000'000'500);
  REQUIRE(t.clock.coarse_now() == 1'795'000'000'500);
}

TEST_CASE("a clock set forward and back again stays where it was furthest") {
  ClockUnderTest t;
  t.source->set_wall(1'795'000'000'000 + day);
  const bool coarse = GENERATE(false, true);
  REQUIRE((coarse ? t.clock.coarse_now() : t.clock.now()) == 1'795'000'000'000 + day);
  t.source->set_wall(1'795'000'000'000);
  t.source->advance(7);
  REQUIRE(t.clock.now() == 1'795'000'000'007 + day);
  REQUIRE(t.clock.coarse_now() == 1'795'000'000'007 + day);
}

TEST_CASE("the ends of time neither overflow nor go back") {
  for (const std::int64_t wall :
       {Limits::max(), Limits::max() - 1, Limits::min(), Limits::min() + 1, std::int64_t{0}}) {
    for (const std::int64_t monotonic : {Limits::max() - 10, Limits::min(), std::int64_t{-5}, std::int64_t{5}}) {
      auto source = std::make_shared<test::FakeClock>(wall, monotonic);
      EffectiveClock clock(source);
      UnixMillis last = clock.now();
      INFO("wall " << wall << " monotonic " << monotonic);
      REQUIRE(last >= std::min(wall, Limits::max() - 1));
      for (const std::int64_t set : {std::int64_t{0}, Limits::max(), Limits::min(), std::int64_t{1}}) {
        source->set_wall(set);
        source->set_monotonic(source->monotonic() + 1);
        REQUIRE(clock.coarse_now() >= last);
        const UnixMillis now = clock.now();
        REQUIRE(now >= last);
        REQUIRE(now >= std::min(set, Limits::max() - 1));
        REQUIRE(now < Limits::max());
        last = now;
      }
    }
  }
}

TEST_CASE("coarse time is never ahead of exact time and behind by at most its lag") {
  ClockUnderTest t;
  test::SeededRandom random(3);
  UnixMillis furthest = 0;
  for (int i = 0; i < 200'000; ++i) {
    t.source->advance(static_cast<std::int64_t>(random.below(4)));
    if (random.below(50) == 0) {
      const auto move = static_cast<std::int64_t>(random.below(2 * 60)) - 60;
      t.source->set_wall(t.source->wall() + move);
    }
    t.source->set_lags(static_cast<std::int64_t>(random.below(11)), static_cast<std::int64_t>(random.below(11)));
    const bool exact_first = random.below(2) == 0;
    if (exact_first) furthest = std::max(furthest, t.clock.now());
    const UnixMillis coarse = t.clock.coarse_now();
    const UnixMillis exact = t.clock.now();
    if (coarse > exact || exact - coarse > t.clock.coarse_lag() || exact < furthest) {
      FAIL("step " << i << ": coarse " << coarse << ", exact " << exact << ", furthest " << furthest);
    }
    furthest = exact;
  }
}

TEST_CASE("what one thread has seen no other thread goes behind") {
  ClockUnderTest t;
  std::atomic<UnixMillis> furthest{0};
  std::atomic<int> violations{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      test::SeededRandom random(static_cast<std::uint64_t>(thread));
      for (int i = 0; i < 20'000; ++i) {
        if (random.below(100) == 0)
          t.source->set_wall(t.source->wall() + static_cast<std::int64_t>(random.below(400)) - 200);
        const UnixMillis before = furthest.load();
        const UnixMillis now = t.clock.now();
        if (now < before) ++violations;
        UnixMillis seen = furthest.load();
        while (now > seen && !furthest.compare_exchange_weak(seen, now)) {
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(violations == 0);
}

}  // namespace
}  // namespace tokenstore::base
