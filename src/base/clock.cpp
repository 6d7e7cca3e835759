// The system's clocks.
//
// Exact: CLOCK_REALTIME, and CLOCK_BOOTTIME because a lease must run out while the machine sleeps,
// when CLOCK_MONOTONIC stands still.
//
// Coarse: the kernel has no CLOCK_BOOTTIME_COARSE, so the coarse monotonic reading is
// CLOCK_MONOTONIC_COARSE plus the time slept. Sleeping moves CLOCK_REALTIME against CLOCK_MONOTONIC,
// and so does setting the clock, and nothing else does: adjtime and NTP slew both alike. While the
// distance between the two coarse clocks is to the nanosecond what it was, the time slept is, too; when
// it differs, it is measured anew.
#include <atomic>
#include <ctime>
#include <limits>
#include <optional>

#include "tokenstore/environment.hpp"

namespace tokenstore {
namespace {

constexpr std::int64_t nanos_per_milli = 1'000'000;
constexpr std::int64_t nanos_per_second = 1'000'000'000;
constexpr std::int64_t system_coarse_lag = 10;

std::int64_t nanos(clockid_t clock) noexcept {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<std::int64_t>(time.tv_sec) * nanos_per_second + time.tv_nsec;
}

/// Rounds down, before 1970 as well.
std::int64_t millis(std::int64_t value) noexcept {
  const std::int64_t quotient = value / nanos_per_milli;
  return value % nanos_per_milli < 0 ? quotient - 1 : quotient;
}

class SystemClock final : public Clock {
 public:
  SystemClock() noexcept {
    timespec tick{};
    // A kernel that ticks slower than twice per lag cannot keep the promise of coarse_lag().
    has_coarse_ = clock_getres(CLOCK_MONOTONIC_COARSE, &tick) == 0 && tick.tv_sec == 0 &&
                  tick.tv_nsec * 2 <= system_coarse_lag * nanos_per_milli;
    if (has_coarse_) measure();
  }

  UnixMillis wall() noexcept override { return millis(nanos(CLOCK_REALTIME)); }
  std::int64_t monotonic() noexcept override { return millis(nanos(CLOCK_BOOTTIME)); }

  UnixMillis coarse_wall() noexcept override { return has_coarse_ ? millis(nanos(CLOCK_REALTIME_COARSE)) : wall(); }

  std::int64_t coarse_monotonic() noexcept override { return coarse().monotonic; }

  Reading coarse() noexcept override {
    if (!has_coarse_) return {wall(), monotonic()};
    for (int attempt = 0; attempt < 3; ++attempt) {
      const std::int64_t awake = nanos(CLOCK_MONOTONIC_COARSE);
      const std::int64_t real = nanos(CLOCK_REALTIME_COARSE);
      if (real - awake == distance_.load(std::memory_order_acquire)) {
        return {millis(real), millis(awake + slept_.load(std::memory_order_relaxed))};
      }
      // A tick between the two readings is rare: they agree the next time. An exact reading instead would
      // be ahead of the coarse one after it, and time would seem to go back.
      if (nanos(CLOCK_MONOTONIC_COARSE) == awake) measure();
    }
    return {millis(nanos(CLOCK_REALTIME_COARSE)), monotonic()};
  }

  /// Both coarse clocks move at the same tick of the kernel. To the nanosecond, so that a clock set back
  /// does not meet the same number again.
  std::int64_t coarse_tick() noexcept override { return has_coarse_ ? nanos(CLOCK_REALTIME_COARSE) : -1; }

  std::int64_t coarse_lag() noexcept override { return system_coarse_lag; }

 private:
  struct Measured {
    std::int64_t distance;  ///< CLOCK_REALTIME_COARSE - CLOCK_MONOTONIC_COARSE
    std::int64_t slept;     ///< CLOCK_BOOTTIME - CLOCK_MONOTONIC, rather less than more
  };

  /// Empty if this thread was interrupted meanwhile, or the clock was moved.
  static std::optional<Measured> try_measure() noexcept {
    const std::int64_t tick = nanos(CLOCK_MONOTONIC_COARSE);
    const std::int64_t distance = nanos(CLOCK_REALTIME_COARSE) - tick;
    const std::int64_t before = nanos(CLOCK_MONOTONIC);
    const std::int64_t with_sleep = nanos(CLOCK_BOOTTIME);
    const std::int64_t after = nanos(CLOCK_MONOTONIC);
    const std::int64_t again = nanos(CLOCK_REALTIME_COARSE) - nanos(CLOCK_MONOTONIC_COARSE);
    if (nanos(CLOCK_MONOTONIC_COARSE) != tick || again != distance || after - before > nanos_per_milli) return {};
    return Measured{distance, with_sleep - after};
  }

  /// Remembers both numbers. If it does not succeed the next coarse reading tries again.
  void measure() noexcept {
    const std::optional<Measured> measured = try_measure();
    if (!measured) return;
    // The time slept only grows, so of two threads that measure at once the later one prevails; a reader
    // that sees the new distance sees the time slept that goes with it, or a later one.
    std::int64_t slept = slept_.load(std::memory_order_relaxed);
    while (measured->slept > slept &&
           !slept_.compare_exchange_weak(slept, measured->slept, std::memory_order_relaxed)) {
    }
    distance_.store(measured->distance, std::memory_order_release);
  }

  bool has_coarse_ = false;
  std::atomic<std::int64_t> slept_ = std::numeric_limits<std::int64_t>::min();
  std::atomic<std::int64_t> distance_ = std::numeric_limits<std::int64_t>::min();
};

}  // namespace

std::shared_ptr<Clock> system_clock() {
  return std::make_shared<SystemClock>();
}

}  // namespace tokenstore
