/// The scope sets that many tokens share, kept once.
///
/// Grows only: what it hands out lives as long as it does. Bounded; a set that finds no room is kept
/// with its token instead. add() may be called by one thread at a time, at() by any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tokenstore::validate {

class ScopeSets {
 public:
  static constexpr std::uint16_t none = 0xFFFF;
  static constexpr std::size_t most_sets = 1024;
  static constexpr std::size_t most_octets = std::size_t{64} << 10;

  explicit ScopeSets(std::size_t octets = most_octets) noexcept : limit_(octets) {}

  /// `none` if there is no room.
  std::uint16_t add(std::string_view scopes);
  std::string_view at(std::uint16_t index) const noexcept { return *sets_[index].load(std::memory_order_acquire); }
  std::size_t bytes() const noexcept { return octets_.load(std::memory_order_relaxed); }
  /// What bytes() never exceeds.
  std::size_t limit() const noexcept { return limit_; }

 private:
  const std::size_t limit_;
  std::map<std::string, std::uint16_t, std::less<>> index_;  ///< its keys are what `sets_` points to
  std::array<std::atomic<const std::string*>, most_sets> sets_{};
  std::atomic<std::size_t> octets_{0};
};

}  // namespace tokenstore::validate
