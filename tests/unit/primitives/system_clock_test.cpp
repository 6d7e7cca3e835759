#include <time.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "base/effective_clock.hpp"
#include "tokenstore/environment.hpp"

namespace tokenstore {
namespace {

TEST_CASE("the system's wall clock is that of the C++ library") {
  const auto now = [] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  const auto clock = system_clock();
  const auto before = now();
  const UnixMillis wall = clock->wall();
  REQUIRE(wall >= before);
  REQUIRE(wall <= now());
}

TEST_CASE("the system's monotonic clock counts the time slept as well") {
  const auto clock = system_clock();
  const auto boot = [] {
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    return std::int64_t{time.tv_sec} * 1'000 + time.tv_nsec / 1'000'000;
  };
  const std::int64_t before = boot();
  const std::int64_t monotonic = clock->monotonic();
  REQUIRE(monotonic >= before);
  REQUIRE(monotonic <= boot());
}

TEST_CASE("the system's coarse readings lie between exact ones less the lag, never ahead and never going back") {
  const auto clock = system_clock();
  REQUIRE(clock->coarse_lag() == 10);
  base::EffectiveClock effective(clock);
  std::int64_t last = clock->coarse_monotonic();
  int late = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  while (std::chrono::steady_clock::now() < end) {
    const std::int64_t wall_before = clock->wall();
    const std::int64_t monotonic_before = clock->monotonic();
    const UnixMillis effective_before = effective.now();
    const std::int64_t coarse_wall = clock->coarse_wall();
    const std::int64_t coarse_monotonic = clock->coarse_monotonic();
    const UnixMillis coarse_effective = effective.coarse_now();
    REQUIRE(coarse_wall <= clock->wall());
    REQUIRE(coarse_monotonic <= clock->monotonic());
    REQUIRE(coarse_effective <= effective.now());
    REQUIRE(coarse_monotonic >= last);
    last = coarse_monotonic;
    // A virtual machine that is not run for a while gets its tick late; that must stay an exception.
    if (coarse_wall < wall_before - 10 || coarse_monotonic < monotonic_before - 10 ||
        coarse_effective < effective_before - 10) {
      ++late;
    }
  }
  REQUIRE(late < 100);
}

TEST_CASE("the system's random source never repeats itself, in several threads either") {
  std::vector<std::vector<std::uint64_t>> drawn(4);
  std::vector<std::thread> threads;
  for (auto& words : drawn) {
    threads.emplace_back([&words] {
      const auto random = system_random();
      for (int i = 0; i < 1'000; ++i) {
        std::uint8_t octets[8];
        random->fill(octets);
        std::uint64_t word = 0;
        for (const std::uint8_t octet : octets) word = word << 8 | octet;
        words.push_back(word);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::uint64_t> all;
  for (const auto& words : drawn) all.insert(words.begin(), words.end());
  REQUIRE(all.size() == 4'000);
}

}  // namespace
}  // namespace tokenstore
