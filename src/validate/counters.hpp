/// Counters that many threads raise without getting in each other's way: a line of memory for each
/// processor, summed up when somebody asks.
#pragma once

#include <sched.h>

#include <array>
#include <atomic>
#include <cstdint>

namespace tokenstore::validate {

enum class Count : std::uint8_t { hits, gone_hits, misses, malformed, forged, unavailable, rolled_back };

class Counters {
 public:
  void raise(Count which) noexcept {
    const auto processor = static_cast<unsigned>(sched_getcpu());
    lines_[processor % lines].counts[static_cast<std::size_t>(which)].fetch_add(1, std::memory_order_relaxed);
  }
  std::uint64_t sum(Count which) const noexcept {
    std::uint64_t total = 0;
    for (const Line& line : lines_)
      total += line.counts[static_cast<std::size_t>(which)].load(std::memory_order_relaxed);
    return total;
  }

 private:
  static constexpr std::size_t lines = 64;
  struct alignas(64) Line {
    std::array<std::atomic<std::uint64_t>, 8> counts{};
  };
  std::array<Line, lines> lines_{};
};

}  // namespace tokenstore::validate
