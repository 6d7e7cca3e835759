#include "validate/cache_table.hpp"

#include <algorithm>
#include <bit>

namespace tokenstore::validate {

CacheTable::CacheTable(std::size_t budget, const Fingerprinter& fingerprinter)
    : budget_(std::max(budget, smallest_budget)),
      fingerprinter_(fingerprinter),
      // The more tokens, the less each costs: a little is room enough for the sets that many share.
      scope_sets_(budget_ / 128) {
  writers_.push_back(std::make_unique<BankWriter>(first_sets, fingerprinter_, scope_sets_, figures_));
  if (!writer().bank().usable()) throw std::bad_alloc();
  bank_.store(&writer().bank());
  account();
}

CacheTable::~CacheTable() = default;

bool CacheTable::find_elsewhere(const Home& home, const Fingerprint& print, Found& found) const noexcept {
  const CacheBank& bank = *bank_.load(std::memory_order_acquire);
  const std::uint16_t mark = CacheBank::mark_of(home.place);
  for (const std::size_t set : {bank.first_set(home.place), bank.second_set(home.place)}) {
    for (std::uint32_t left = bank.candidates(set, mark); left != 0; left &= left - 1) {
      const Slot slot = bank.slot(set, static_cast<std::size_t>(std::countr_zero(left)));
      if (matches(slot, print, found)) return true;
    }
  }
  return false;
}

Kept CacheTable::put(const NewEntry& entry, Departures departures) {
  const PackedId id = PackedId::of(entry.id);
  const std::uint64_t place = writer().place_of(id);
  if (const Position old = writer().find(place, id)) static_cast<void>(writer().remove(old, departures));
  if (scope_sets_.any_retiring()) writer().replace_retiring_scopes(departures);

  const bool live = entry.kind == EntryKind::live;
  const LongText text{entry.owner, entry.scopes, entry.metadata};
  if (live && text.octets() > LongText::most_octets) return Kept::no_room;
  const std::uint16_t scope_set = live ? scope_sets_.add(entry.scopes) : ScopeSets::none;
  const bool fits = !live || (entry.metadata.empty() && entry.owner.size() <= slot_owner_max &&
                              (scope_set != ScopeSets::none || entry.scopes.empty()));
  const LongText* const long_text = fits ? nullptr : &text;
  const std::size_t slots = fits ? 1 : 1 + text.slots();

  while (live && writer().crowded(slots) && grow()) continue;
  bool written = writer().put(entry, scope_set, long_text, false, departures);
  if (!written && live) {
    // A small bank may have to grow more than once for a long text.
    for (int step = 0; !written && step < 4 && grow(); ++step) {
      written = writer().put(entry, scope_set, long_text, false, departures);
    }
    if (!written) written = writer().put(entry, scope_set, long_text, true, departures);
  }
  account();
  return written ? Kept::yes : Kept::no_room;
}

bool CacheTable::grow() {
  BankWriter& old = writer();
  const std::size_t for_sets = budget_ - scope_sets_.limit();
  const std::size_t sets = std::min(old.bank().sets + old.bank().sets / 2, for_sets / BankWriter::set_bytes);
  // Less than a twentieth more is not worth moving everything.
  if (sets < old.bank().sets + old.bank().sets / 20 + 1) return false;
  auto made = std::make_unique<BankWriter>(sets, fingerprinter_, scope_sets_, figures_);
  if (!made->bank().usable()) return false;
  writers_.reserve(writers_.size() + 1);
  move_all(old.bank(), *made);
  bank_.store(&made->bank(), std::memory_order_release);
  old.retire();
  writers_.push_back(std::move(made));
  return true;
}

void CacheTable::move_all(CacheBank& from, BankWriter& to) {
  // What has been moved is given back as the work goes on, so that both banks together stay within the
  // budget; a reader of the old one finds nothing there and asks storage.
  constexpr std::size_t step = 4096;
  LongTextCopy copy;  // NOLINT(cppcoreguidelines-pro-type-member-init): only read where it was written
  for (std::size_t set = 0; set < from.sets; ++set) {
    if (set % step == text_reach && set > step) {
      from.memory.discard((set - text_reach - step) * CacheBank::set_bytes, step * CacheBank::set_bytes);
    }
    for (std::size_t way = 0; way < CacheBank::ways; ++way) {
      if (!from.holds_entry({set, way})) continue;
      const Slot slot = from.slot(set, way);
      // Odd for good: a reader between two pages of which one has been given back must not take the rest for whole.
      slot.begin_write();
      const UseWord use = take_use(slot);
      const bool has_text = slot.load(Slot::generation_and_text) >> 32 != 0;
      if (has_text && !copy_long_text(from, slot, copy)) continue;
      const LongText text = has_text ? copy.text() : LongText{};
      if (to.adopt(slot, use, has_text ? &text : nullptr)) continue;
      // Not seen with half as many sets again; the token is then simply asked of storage.
      const EntryTraits traits = EntryTraits::unpack(slot.load(Slot::traits));
      scope_sets_.release(traits.scope_set);
      if (traits.kind == EntryKind::live) figures_.live.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  from.memory.discard(0, from.memory.bytes());
}

void CacheTable::drop(std::string_view id, UnixMillis unwritten_since, std::vector<Use>& displaced) {
  const PackedId packed = PackedId::of(id);
  const std::lock_guard lock(writer_mutex_);
  Departures departures{unwritten_since, displaced};
  if (const Position found = writer().find(writer().place_of(packed), packed)) {
    static_cast<void>(writer().remove(found, departures));
  }
}

void CacheTable::account() noexcept {
  figures_.bytes.store(writer().bytes() + scope_sets_.bytes(), std::memory_order_relaxed);
}

}  // namespace tokenstore::validate
