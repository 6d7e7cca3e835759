#include "base/effective_clock.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace tokenstore::base {
namespace {

constexpr std::int64_t highest = std::numeric_limits<std::int64_t>::max();
/// INT64_MAX stands for "never" in records, so no time may be equal to it.
constexpr UnixMillis end_of_time = highest - 1;
constexpr std::int64_t lowest = std::numeric_limits<std::int64_t>::min();

std::int64_t add(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? highest : lowest;
}

std::int64_t subtract(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return b < 0 ? highest : lowest;
}

/// An anchor at the end of time stays there, whatever the monotonic clock says.
std::int64_t time_at(std::int64_t anchor, std::int64_t monotonic) noexcept {
  return anchor == highest ? highest : add(anchor, monotonic);
}

}  // namespace

EffectiveClock::EffectiveClock(std::shared_ptr<Clock> clock) noexcept
    : clock_(std::move(clock)),
      coarse_lag_(std::max<std::int64_t>(clock_->coarse_lag(), 0)),
      anchor_(lowest),
      at_tick_(lowest) {
  now();
}

UnixMillis EffectiveClock::now() noexcept {
  // The wall first: a thread that is interrupted between the two reads then finds too small a distance,
  // never one that moves the anchor ahead of the time.
  const UnixMillis wall = clock_->wall();
  return advance(wall, clock_->monotonic());
}

UnixMillis EffectiveClock::coarse_now() noexcept {
  const std::int64_t tick = clock_->coarse_tick();
  // Time at an earlier tick than the one remembered may come out later by that much: it is past already.
  if (tick >= 0 && tick_.load(std::memory_order_acquire) == tick) return at_tick_.load(std::memory_order_relaxed);
  const UnixMillis now = read_coarse();
  UnixMillis known = at_tick_.load(std::memory_order_relaxed);
  while (now > known && !at_tick_.compare_exchange_weak(known, now, std::memory_order_relaxed)) {
  }
  tick_.store(tick, std::memory_order_release);
  return std::max(now, known);
}

UnixMillis EffectiveClock::read_coarse() noexcept {
  const auto [wall, monotonic] = clock_->coarse();
  const std::int64_t anchor = anchor_.load(std::memory_order_relaxed);
  // Two coarse readings may lag by different amounts, so they never move the anchor. If they hint that
  // the wall clock was moved forward, the exact clocks decide; otherwise nothing shared is written.
  if (subtract(wall, monotonic) > anchor) return now();
  return std::min(time_at(anchor, monotonic), end_of_time);
}

UnixMillis EffectiveClock::advance(UnixMillis wall, std::int64_t monotonic) noexcept {
  const std::int64_t distance = subtract(wall, monotonic);
  std::int64_t anchor = anchor_.load(std::memory_order_relaxed);
  while (distance > anchor && !anchor_.compare_exchange_weak(anchor, distance, std::memory_order_relaxed)) {
  }
  return std::min(std::max(wall, time_at(std::max(anchor, distance), monotonic)), end_of_time);
}

}  // namespace tokenstore::base
