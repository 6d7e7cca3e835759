/// What does not fit into an entry's slot: long owner names, scope sets that few tokens have, metadata.
///
/// It stands in slots of the same bank as its entry: one kind of room for everything, so that whatever is cold makes
/// room for whatever comes. Such a slot holds twelve words of text, and where the next is. Its sequence stays
/// odd, so that no reader takes it for an entry, and its use word belongs to nobody.
///
/// Reading takes no lock: whoever reads a text that is being given up reads rubbish, sees by the sequence of the
/// entry's slot that it is, and drops it. Writers hold the table's mutex.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "tokenstore/model.hpp"
#include "validate/cache_bank.hpp"

namespace tokenstore::validate {

struct LongText {
  std::string_view owner, scopes, metadata;

  static constexpr std::size_t slot_words = 12;
  static constexpr std::size_t slot_octets = slot_words * sizeof(std::uint64_t);
  static constexpr std::size_t most_octets = owner_max + scopes_max * (scope_max + 1) + metadata_max;
  static constexpr std::size_t most_slots = (most_octets + slot_octets - 1) / slot_octets;

  std::size_t octets() const noexcept { return owner.size() + scopes.size() + metadata.size(); }
  /// How many slots it takes: one at least.
  std::size_t slots() const noexcept { return octets() == 0 ? 1 : (octets() + slot_octets - 1) / slot_octets; }
  /// For the entry's slot.
  std::uint64_t packed_sizes() const noexcept {
    return std::uint64_t{owner.size()} | std::uint64_t{scopes.size()} << 16 | std::uint64_t{metadata.size()} << 32;
  }
};

/// A reader's copy. Meaningful once copy_long_text() has filled it.
struct LongTextCopy {
  std::uint64_t sizes;
  std::array<std::uint64_t, LongText::most_slots * LongText::slot_words> words;
  /// What it says; rubbish if the text was given up meanwhile, but never more than there is.
  LongText text() const noexcept;
};

/// Writes a text into empty slots of a bank, for the entry in `head`. Precondition: text.slots() of them.
void write_long_text(const CacheBank& bank, std::span<const Position> slots, Position head, const LongText& text);
/// Copies the text of an entry. False if it is impossible: it has been given up meanwhile.
bool copy_long_text(const CacheBank& bank, Slot head, LongTextCopy& to) noexcept;
/// The entry that a slot with text belongs to.
Position head_of_text(const CacheBank& bank, Position at) noexcept;
/// Calls `visit` with every slot of the text of an entry, whose word `generation_and_text` is given. Only for writers.
template <typename Visit>
void for_each_text_slot(const CacheBank& bank, std::uint64_t generation_and_text, const Visit& visit);

namespace detail {
// The words of a slot with text: all but `sequence` and `use`. The first is where the next is, and the entry.
inline constexpr std::size_t text_link = Slot::print_high;
inline constexpr std::array<std::size_t, LongText::slot_words> text_words = {2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14};
static_assert(text_words.back() == Slot::words - 1 && Slot::use == 6);
}  // namespace detail

template <typename Visit>
void for_each_text_slot(const CacheBank& bank, std::uint64_t generation_and_text, const Visit& visit) {
  for (auto number = static_cast<std::uint32_t>(generation_and_text >> 32); number != 0;) {
    const Position at = CacheBank::position(number - 1);
    number = static_cast<std::uint32_t>(bank.slot(at).load(detail::text_link));
    visit(at);
  }
}

}  // namespace tokenstore::validate
