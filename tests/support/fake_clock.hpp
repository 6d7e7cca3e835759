/// A clock that stands still until a test moves it. Thread-safe.
#pragma once

#include <atomic>

#include "tokenstore/environment.hpp"

namespace tokenstore::test {

class FakeClock final : public Clock {
 public:
  explicit FakeClock(UnixMillis wall = 1'795'000'000'000, std::int64_t monotonic = 1'000) noexcept
      : wall_(wall), monotonic_(monotonic) {}

  UnixMillis wall() noexcept override { return wall_.load(); }
  std::int64_t monotonic() noexcept override { return monotonic_.load(); }
  UnixMillis coarse_wall() noexcept override { return wall_.load() - wall_lag_.load(); }
  std::int64_t coarse_monotonic() noexcept override { return monotonic_.load() - monotonic_lag_.load(); }
  std::int64_t coarse_lag() noexcept override { return 10; }

  /// Time passes.
  void advance(std::int64_t millis) noexcept {
    monotonic_ += millis;
    wall_ += millis;
  }
  /// Somebody sets the wall clock.
  void set_wall(UnixMillis wall) noexcept { wall_ = wall; }
  void set_monotonic(std::int64_t monotonic) noexcept { monotonic_ = monotonic; }
  /// How far the coarse clocks are behind, 0..10.
  void set_lags(std::int64_t wall_lag, std::int64_t monotonic_lag) noexcept {
    wall_lag_ = wall_lag;
    monotonic_lag_ = monotonic_lag;
  }

 private:
  std::atomic<UnixMillis> wall_;
  std::atomic<std::int64_t> monotonic_;
  std::atomic<std::int64_t> wall_lag_{0};
  std::atomic<std::int64_t> monotonic_lag_{0};
};

}  // namespace tokenstore::test
