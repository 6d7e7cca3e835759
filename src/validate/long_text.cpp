#include "validate/long_text.hpp"

#include <algorithm>
#include <cstring>

namespace tokenstore::validate {

LongText LongTextCopy::text() const noexcept {
  const char* from = reinterpret_cast<const char*>(words.data());
  LongText text;
  text.owner = std::string_view(from, sizes & 0xFFFF);
  text.scopes = std::string_view(from + text.owner.size(), sizes >> 16 & 0xFFFF);
  text.metadata = std::string_view(text.scopes.data() + text.scopes.size(), sizes >> 32 & 0xFFFF);
  return text;
}

void write_long_text(const CacheBank& bank, std::span<const Position> slots, Position head, const LongText& text) {
  std::array<std::uint64_t, LongText::most_slots * LongText::slot_words> image;
  std::fill_n(image.begin(), slots.size() * LongText::slot_words, 0);
  char* to = reinterpret_cast<char*>(image.data());
  for (const std::string_view part : {text.owner, text.scopes, text.metadata})
    to = std::copy(part.begin(), part.end(), to);
  const std::uint64_t belongs_to = std::uint64_t{CacheBank::number(head)} << 32;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const Slot slot = bank.slot(slots[i]);
    const std::uint64_t next = i + 1 < slots.size() ? CacheBank::number(slots[i + 1]) + 1U : 0U;
    slot.begin_write();  // and never ended while it holds text
    slot.store(Slot::use, UseWord::pack(0, slot.use_word().version() + 1, 0, PackedAddress::Kind::none));
    slot.store(detail::text_link, belongs_to | next);
    for (std::size_t word = 0; word < LongText::slot_words; ++word)
      slot.store(detail::text_words[word], image[i * LongText::slot_words + word]);
    bank.set_mark(slots[i], CacheBank::text_mark);
  }
}

bool copy_long_text(const CacheBank& bank, Slot head, LongTextCopy& to) noexcept {
  to.sizes = head.load(Slot::owner);
  const std::size_t octets = (to.sizes & 0xFFFF) + (to.sizes >> 16 & 0xFFFF) + (to.sizes >> 32 & 0xFFFF);
  if (octets > LongText::most_octets) return false;
  auto number = static_cast<std::uint32_t>(head.load(Slot::generation_and_text) >> 32);
  for (std::size_t done = 0; done * sizeof(std::uint64_t) < octets; done += LongText::slot_words) {
    if (number == 0 || number > bank.sets * CacheBank::ways) return false;
    const Slot slot = bank.slot(CacheBank::position(number - 1));
    number = static_cast<std::uint32_t>(slot.load(detail::text_link));
    for (std::size_t word = 0; word < LongText::slot_words; ++word)
      to.words[done + word] = slot.load(detail::text_words[word]);
  }
  return true;
}

Position head_of_text(const CacheBank& bank, Position at) noexcept {
  return CacheBank::position(static_cast<std::uint32_t>(bank.slot(at).load(detail::text_link) >> 32));
}

}  // namespace tokenstore::validate
