/// Booking the use of a token on its slot, and reading it back.
///
/// Booking takes no lock: of two readers at one moment one books, which says as much. The version in the use word
/// changes whenever the slot is given up, so that a late reader books nothing on the slot's next token, and learns it.
#pragma once

#include <algorithm>
#include <optional>

#include "tokenstore/backend.hpp"
#include "validate/slot.hpp"

namespace tokenstore::validate {

/// Of a use that comes from another address than the last, or at the same moment as another.
bool note_use_from(Slot slot, UseWord before, std::uint64_t after, const PackedAddress& from) noexcept;

/// Books a use on a slot whose use word was `before`, unless another use at the same moment does. False: the slot
/// has been given up meanwhile, and the use must be noted elsewhere.
inline bool note_use(Slot slot, UseWord before, UnixMillis now, const PackedAddress& from) noexcept {
  // In the same tick another use says the same: what is hot writes seldom.
  if (now <= before.time() || before.locked()) return true;
  const std::uint64_t heat = std::min<std::uint64_t>(before.heat() + 1U, UseWord::hottest);
  const std::uint64_t after = UseWord::pack(now, before.version(), heat, from.kind);
  // Clients seldom move. If one does, or another books meanwhile, the use word is another than `before` was.
  if (from.kind != PackedAddress::Kind::none && from != slot.address(before)) {
    return note_use_from(slot, before, after, from);
  }
  std::uint64_t expected = before.word;
  return slot.at[Slot::use].compare_exchange_strong(expected, after, std::memory_order_acq_rel,
                                                    std::memory_order_acquire) ||
         UseWord{expected}.version() == before.version();
}

/// Takes the use out of a slot that is given up; from here on readers fail to book on it.
UseWord take_use(Slot slot) noexcept;
/// What a use word of a slot says. Empty: not used.
std::optional<Use> use_in(Slot slot, UseWord use);
/// The latest use, whole, although readers may be booking another.
std::optional<Use> current_use(Slot slot);

}  // namespace tokenstore::validate
