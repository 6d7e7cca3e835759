/// A point in time by which something has to be over.
#pragma once

#include <algorithm>
#include <chrono>

namespace tokenstore::postgres {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;
  /// A wait as long as anybody has a use for; keeps the sum within the clock's range.
  static constexpr std::chrono::milliseconds longest = std::chrono::hours(24);

  static Deadline in(std::chrono::milliseconds wait) {
    return Deadline(Clock::now() + std::clamp(wait, std::chrono::milliseconds(0), longest));
  }
  explicit Deadline(Clock::time_point at) noexcept : at_(at) {}

  Clock::time_point at() const noexcept { return at_; }
  bool over() const noexcept { return Clock::now() >= at_; }
  /// Rounded up, so that a wait does not end just before the deadline; 0 when it is over.
  std::chrono::milliseconds left() const noexcept {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now());
    return std::max(left, std::chrono::milliseconds(0));
  }

 private:
  Clock::time_point at_;
};

}  // namespace tokenstore::postgres
