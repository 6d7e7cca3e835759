#include "validate/slot_use.hpp"

namespace tokenstore::validate {

bool note_use_from(Slot slot, UseWord before, std::uint64_t after, const PackedAddress& from) noexcept {
  // Three words that belong together: the one who sets the lock bit writes, others let it be.
  std::atomic<std::uint64_t>& use = slot.at[Slot::use];
  std::uint64_t expected = before.word;
  std::uint64_t held = after | UseWord::lock;
  if (!use.compare_exchange_strong(expected, held, std::memory_order_acq_rel, std::memory_order_acquire)) {
    return UseWord{expected}.version() == before.version();
  }
  slot.store(Slot::address_high, from.high);
  slot.store(Slot::address_low, from.low);
  use.compare_exchange_strong(held, after, std::memory_order_acq_rel, std::memory_order_relaxed);
  return true;
}

UseWord take_use(Slot slot) noexcept {
  std::uint64_t word = slot.load(Slot::use);
  for (;;) {
    const UseWord use{word};
    // Its reader unlocks it in a moment; nobody else can book on it any more.
    if (use.locked()) return use;
    const std::uint64_t given_up = UseWord::pack(0, use.version() + 1, 0, PackedAddress::Kind::none);
    if (slot.at[Slot::use].compare_exchange_weak(word, given_up, std::memory_order_acq_rel)) return use;
  }
}

std::optional<Use> use_in(Slot slot, UseWord use) {
  if (use.time() == 0) return std::nullopt;
  const PackedAddress address = slot.address(use);
  const auto id = slot.id().text();
  Use noted;
  noted.id.assign(id.data(), id.size());
  noted.used_at = use.time();
  // An address that is being written is left to the next time.
  if (!use.locked()) noted.used_from = address.text();
  return noted;
}

std::optional<Use> current_use(Slot slot) {
  // Somebody may be booking another: the words of an address belong together only if the use is still the same.
  for (;;) {
    const UseWord use = slot.use_word();
    std::optional<Use> noted = use_in(slot, use);
    if (slot.use_word().word == use.word) return noted;
  }
}

}  // namespace tokenstore::validate
