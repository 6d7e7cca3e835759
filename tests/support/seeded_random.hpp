/// Bytes that a seed decides, so that a run can be repeated. Never for a real store. Thread-safe, though
/// which thread gets which bytes then depends on their order.
#pragma once

#include <atomic>

#include "tokenstore/environment.hpp"

namespace tokenstore::test {

class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(std::uint64_t seed) noexcept : state_(seed) {}

  /// SplitMix64.
  std::uint64_t next() noexcept {
    std::uint64_t mixed = state_.fetch_add(0x9E3779B97F4A7C15ULL) + 0x9E3779B97F4A7C15ULL;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
    return mixed ^ (mixed >> 31);
  }
  /// 0..bound - 1; the bias does not matter to a test.
  std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }

  void fill(std::span<std::uint8_t> out) noexcept override {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (i % 8 == 0) word = next();
      out[i] = static_cast<std::uint8_t>(word >> (8 * (i % 8)));
    }
  }

 private:
  std::atomic<std::uint64_t> state_;
};

}  // namespace tokenstore::test
