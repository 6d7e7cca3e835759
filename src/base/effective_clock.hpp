/// Time that never goes back: max(wall clock, anchor + monotonic). A clock set back revives nothing.
#pragma once

#include <atomic>
#include <memory>

#include "tokenstore/environment.hpp"

namespace tokenstore::base {

/// Thread-safe. The anchor follows the wall clock forward, so that time moved forward (NTP, an
/// administrator) and then back stays where it was furthest.
class EffectiveClock {
 public:
  explicit EffectiveClock(std::shared_ptr<Clock> clock) noexcept;

  /// Effective now. Exact. At most INT64_MAX - 1: INT64_MAX is "never" in records.
  UnixMillis now() noexcept;
  /// Effective now, behind by at most coarse_lag() ms; cheaper. Never ahead of now().
  UnixMillis coarse_now() noexcept;
  std::int64_t coarse_lag() const noexcept { return coarse_lag_; }
  /// The clock's monotonic reading, for leases.
  std::int64_t monotonic() noexcept { return clock_->monotonic(); }
  std::int64_t coarse_monotonic() noexcept { return clock_->coarse_monotonic(); }

 private:
  UnixMillis advance(UnixMillis wall, std::int64_t monotonic) noexcept;
  UnixMillis read_coarse() noexcept;

  std::shared_ptr<Clock> clock_;
  std::int64_t coarse_lag_;
  std::atomic<std::int64_t> anchor_;  ///< greatest (effective now - monotonic) seen
  // What the coarse clocks said at a tick, so that all but the first question in a tick ask one clock.
  std::atomic<std::int64_t> tick_{-1};
  std::atomic<UnixMillis> at_tick_;
};

}  // namespace tokenstore::base
