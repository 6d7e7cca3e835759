/// One size of the validator's cache: sets of sixteen slots, each behind a directory of its own.
///
/// The words of this cache, all of which come from keyed hashes, so that no client can aim at one:
///   print   the fingerprint of a token's text; alone decides whose entry it is
///   place   64 bits made from a token's id: says where its entry may stand
///   set     of the two that the place gives, one
///   way     one of the sixteen slots of a set
///   home    the first set, and the way that the place gives: where a reader looks first
///   guest   an entry in its first set, on a way that is another's home; or in its second set
///   mark    sixteen bits of the place, odd, kept in the set's directory: finds guests. 0: the slot is empty;
///           `text_mark`: it holds a part of a long text
///   group   of an owner or an id, one of a few thousand; what is remembered counts while its group's generation stands
///
/// A set is one piece of memory, so that all of it is mostly on one page: to learn where a page is costs as much as
/// to fetch from it. Reading is lock-free; writers serialise themselves.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include "base/uint128.hpp"
#include "validate/pages.hpp"
#include "validate/slot.hpp"

namespace tokenstore::validate {

struct Position {
  static constexpr std::size_t ways = 16;
  std::size_t set = 0;
  std::size_t way = ways;  ///< `ways`: none
  explicit operator bool() const noexcept { return way != ways; }
  friend bool operator==(const Position&, const Position&) = default;
};

class CacheBank {
 public:
  static constexpr std::size_t ways = Position::ways;
  static constexpr unsigned marks_per_word = 4;
  static constexpr std::size_t directory_words = ways / marks_per_word;
  static constexpr std::size_t set_words = directory_words + ways * Slot::words;
  static constexpr std::size_t set_bytes = set_words * sizeof(std::uint64_t);
  static constexpr std::uint16_t text_mark = 2;

  explicit CacheBank(std::size_t set_count) : sets(set_count), memory(sets * set_bytes) {}
  /// False: there was no memory.
  bool usable() const noexcept { return memory.words() != nullptr; }

  std::size_t first_set(std::uint64_t place) const noexcept { return scale(place); }
  std::size_t second_set(std::uint64_t place) const noexcept {
    return scale(std::rotl(place, 29) * 0x9E37'79B9'7F4A'7C15U);
  }

  /// The way of its first set where an id lives if it can. Of other bits than the set and the mark.
  static std::size_t home_way(std::uint64_t place) noexcept { return place >> 16 & (ways - 1); }

  static std::uint16_t mark_of(std::uint64_t place) noexcept { return static_cast<std::uint16_t>(place) | 1U; }
  Position home(std::uint64_t place) const noexcept { return {first_set(place), home_way(place)}; }
  /// Slots as numbers, for entries to refer to.
  static std::uint32_t number(Position at) noexcept { return static_cast<std::uint32_t>(at.set * ways + at.way); }
  static Position position(std::uint32_t number) noexcept { return {number / ways, number % ways}; }

  Slot slot(std::size_t set, std::size_t way) const noexcept {
    return {memory.words() + set * set_words + directory_words + way * Slot::words};
  }
  Slot slot(Position at) const noexcept { return slot(at.set, at.way); }
  /// Not empty, and not text.
  bool holds_entry(Position at) const noexcept { return mark(at) % 2 == 1; }
  std::uint16_t mark(Position at) const noexcept { return mark(at.set, at.way); }
  void set_mark(Position at, std::uint16_t mark) const noexcept { set_mark(at.set, at.way, mark); }
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
  /// For writers: where an id's entry stands.
  Position find(std::uint64_t place, const PackedId& id) const noexcept {
    const std::uint16_t mark = mark_of(place);
    for (const std::size_t set : {first_set(place), second_set(place)}) {
      for (std::uint32_t left = candidates(set, mark); left != 0; left &= left - 1) {
        const Position at{set, static_cast<std::size_t>(std::countr_zero(left))};
        if (this->mark(at) == mark && slot(at).id() == id) return at;
      }
    }
    return {};
  }
  /// For writers: may it be filled? A reader may still be booking a use on what was here.
  bool is_free(Position at) const noexcept { return mark(at) == 0 && !slot(at).use_word().locked(); }
  Position free_way(std::size_t set) const noexcept {
    for (std::size_t way = 0; way < ways; ++way)
      if (is_free({set, way})) return {set, way};
    return {};
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
