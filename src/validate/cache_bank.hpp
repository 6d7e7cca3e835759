/// One size of the validator's cache: sets of sixteen slots, each behind a directory of its own.
///
/// Every id has two sets where it may live, and in the first of them a way that is its home. The directory
/// holds sixteen bits of each slot's place (0: empty); what stands at its home is found without it. A set is
/// one piece of memory, so that all of it is mostly on one page: to learn where a page is costs as much as
/// to fetch from it. Reading is lock-free; writers serialise themselves.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include "base/uint128.hpp"
#include "validate/pages.hpp"
#include "validate/slot.hpp"

namespace tokenstore::validate {

class CacheBank {
 public:
  static constexpr std::size_t ways = 16;
  static constexpr unsigned marks_per_word = 4;
  static constexpr std::size_t directory_words = ways / marks_per_word;
  static constexpr std::size_t set_words = directory_words + ways * Slot::words;
  static constexpr std::size_t set_bytes = set_words * sizeof(std::uint64_t);

  explicit CacheBank(std::size_t set_count) : sets(set_count), memory(sets * set_bytes) {}
  /// False: there was no memory.
  bool usable() const noexcept { return memory.words() != nullptr; }

  std::size_t first_set(std::uint64_t place) const noexcept { return scale(place); }
  std::size_t second_set(std::uint64_t place) const noexcept {
    return scale(std::rotl(place, 29) * 0x9E37'79B9'7F4A'7C15U);
  }

  /// The way of its first set where an id lives if it can. Of other bits than the set and the mark.
  static std::size_t home_way(std::uint64_t place) noexcept { return place >> 16 & (ways - 1); }

  Slot slot(std::size_t set, std::size_t way) const noexcept {
    return {memory.words() + set * set_words + directory_words + way * Slot::words};
  }
  std::uint16_t mark(std::size_t set, std::size_t way) const noexcept {
    const std::uint64_t word = directory_word(set, way / marks_per_word).load(std::memory_order_relaxed);
    return static_cast<std::uint16_t>(word >> way % marks_per_word * 16);
  }
  void set_mark(std::size_t set, std::size_t way, std::uint16_t mark) const noexcept {
    std::atomic<std::uint64_t>& word = directory_word(set, way / marks_per_word);
    const std::size_t shift = way % marks_per_word * 16;
    const std::uint64_t others = word.load(std::memory_order_relaxed) & ~(std::uint64_t{0xFFFF} << shift);
    word.store(others | std::uint64_t{mark} << shift, std::memory_order_release);
  }

  /// Bit w set: way w may hold `mark`. Never misses one, seldom reports one too many.
  std::uint32_t candidates(std::size_t set, std::uint16_t mark) const noexcept {
    std::uint32_t found = 0;
    for (std::size_t word = 0; word < directory_words; ++word) {
      for (std::uint64_t match = matches(set, word, mark); match != 0; match &= match - 1) {
        found |= 1U << way_of(word, match);
      }
    }
    return found;
  }
  void prefetch(std::size_t set) const noexcept { __builtin_prefetch(&directory_word(set, 0)); }

  const std::size_t sets;
  Pages memory;

 private:
  std::atomic<std::uint64_t>& directory_word(std::size_t set, std::size_t word) const noexcept {
    return memory.words()[set * set_words + word];
  }
  /// The top bit of each sixteen that match. The subtraction's borrow can only add matches above one.
  std::uint64_t matches(std::size_t set, std::size_t word, std::uint16_t mark) const noexcept {
    constexpr std::uint64_t every = 0x0001'0001'0001'0001U;
    const std::uint64_t lanes = directory_word(set, word).load(std::memory_order_acquire) ^ mark * every;
    return (lanes - every) & ~lanes & every << 15;
  }
  static std::size_t way_of(std::size_t word, std::uint64_t match) noexcept {
    return word * marks_per_word + static_cast<std::size_t>(std::countr_zero(match)) / 16;
  }
  std::size_t scale(std::uint64_t number) const noexcept {
    return static_cast<std::size_t>(base::uint128{number} * sets >> 64);
  }
};

}  // namespace tokenstore::validate
