/// What has changed since an entry was made, in counters that a reader can compare at no cost.
///
/// Names (token ids, owners) fall into groups; a change raises the group's counter, and whatever was
/// remembered under the old count is no longer believed. Two names in one group cost a needless look
/// at storage, never a wrong answer. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>

namespace tokenstore::validate {

class Generations {
 public:
  static constexpr std::size_t groups = 4096;

  static std::uint16_t group_of(std::string_view name) noexcept {
    return static_cast<std::uint16_t>(std::hash<std::string_view>{}(name) % groups);
  }
  std::uint32_t of(std::uint16_t group) const noexcept { return counts_[group].load(std::memory_order_acquire); }
  void raise(std::uint16_t group) noexcept { counts_[group].fetch_add(1, std::memory_order_acq_rel); }
  void raise_all() noexcept {
    for (auto& count : counts_) count.fetch_add(1, std::memory_order_acq_rel);
  }

 private:
  std::array<std::atomic<std::uint32_t>, groups> counts_{};
};

}  // namespace tokenstore::validate
