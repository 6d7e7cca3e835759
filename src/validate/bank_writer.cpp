#include "validate/bank_writer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "validate/slot_use.hpp"

namespace tokenstore::validate {

namespace {

/// Sets in which room for a long text is made by evicting.
constexpr std::size_t near_by = 16;
static_assert(near_by * CacheBank::ways > LongText::most_slots && near_by <= text_reach);

EntryTraits traits_of(Slot slot) noexcept {
  return EntryTraits::unpack(slot.load(Slot::traits));
}

}  // namespace

// --- who goes ---

Position BankWriter::owner_of(Position at) const noexcept {
  if (bank_.mark(at) == 0) return {};
  const Position head = bank_.holds_entry(at) ? at : head_of_text(bank_, at);
  return bank_.slot(head).use_word().locked() ? Position{} : head;
}

std::uint64_t BankWriter::rank(Position head, UnixMillis returned) const noexcept {
  const Slot slot = bank_.slot(head);
  const UseWord use = slot.use_word();
  // The gone first, then what has not been used since what comes back was, then by heat. Of the same, by age.
  std::uint64_t first = 2 + std::uint64_t{use.heat()};
  if (use.time() < returned) first = 1;
  if (traits_of(slot).kind != EntryKind::live) first = 0;
  return first << 48 | static_cast<std::uint64_t>(use.time());
}

Position BankWriter::coldest(std::uint64_t place, UnixMillis returned) const noexcept {
  Position victim;
  std::uint64_t lowest = ~std::uint64_t{0};
  for (const std::size_t set : {bank_.first_set(place), bank_.second_set(place)}) {
    for (std::size_t way = 0; way < ways; ++way) {
      const Position head = owner_of({set, way});
      const std::uint64_t found = head ? rank(head, returned) : lowest;
      if (found >= lowest) continue;
      lowest = found;
      victim = {set, way};
    }
  }
  return victim;
}

void BankWriter::cool(std::size_t set) const noexcept {
  for (std::size_t way = 0; way < ways; ++way) {
    if (!bank_.holds_entry({set, way})) continue;
    const Slot slot = bank_.slot(set, way);
    std::uint64_t before = slot.load(Slot::use);
    const UseWord use{before};
    if (use.locked() || use.heat() == 0) continue;
    slot.at[Slot::use].compare_exchange_strong(before, before - (std::uint64_t{1} << UseWord::heat_at));
  }
}

bool BankWriter::evict(Position at, Departures& departures) {
  const Slot slot = bank_.slot(at);
  if (traits_of(slot).kind == EntryKind::live) evicted_.note(place_of(slot.id()), slot.use_word().time());
  figures_.evictions.fetch_add(1, std::memory_order_relaxed);
  return remove(at, departures);
}

void BankWriter::clear(Position at) const noexcept {
  const Slot slot = bank_.slot(at);
  slot.store(Slot::print_high, 0);
  slot.store(Slot::print_low, 0);
  slot.store(Slot::traits, 0);
  slot.store(Slot::generation_and_text, 0);
  slot.end_write();
  bank_.set_mark(at, 0);
}

bool BankWriter::remove(Position at, Departures& departures) {
  // Nothing below may fail half-way.
  std::vector<Use>& displaced = departures.displaced;
  if (displaced.size() == displaced.capacity()) displaced.reserve(2 * displaced.size() + 1);
  const Slot slot = bank_.slot(at);
  const EntryTraits traits = traits_of(slot);
  const std::uint64_t text = slot.load(Slot::generation_and_text);
  slot.begin_write();
  clear(at);
  for_each_text_slot(bank_, text, [this](Position part) {
    clear(part);
    --used_;
  });
  scope_sets_.release(traits.scope_set);
  --used_;
  if (traits.kind == EntryKind::live) figures_.live.fetch_sub(1, std::memory_order_relaxed);
  // After the entry, so that whoever found it before either has booked his use or fails to.
  const UseWord use = take_use(slot);
  if (traits.kind == EntryKind::live && use.time() >= departures.unwritten_since) {
    if (auto noted = use_in(slot, use)) displaced.push_back(std::move(*noted));
  }
  return !use.locked();
}

// --- where to ---

bool BankWriter::put(const NewEntry& entry, std::uint16_t scope_set, const LongText* text, bool may_evict,
                     Departures& departures) {
  const std::uint64_t place = fingerprinter_.place(IdWords::of(entry.id.data()));
  if (entry.kind != EntryKind::live) {
    const Position room = room_for_gone(place, departures);
    if (room) write(room, entry, ScopeSets::none, {}, nullptr, place);
    return static_cast<bool>(room);
  }
  const UnixMillis returned = may_evict ? evicted_.take(place) : 0;
  const Position room = room_for_live(place, returned, may_evict, departures);
  if (!room) return false;
  TextSlots slots;
  const std::span<Position> wanted(slots.data(), text != nullptr ? text->slots() : 0);
  if (!room_for_text(room, wanted, returned, may_evict, departures)) return false;
  write(room, entry, scope_set, wanted, text, place);
  return true;
}

void BankWriter::write(Position at, const NewEntry& entry, std::uint16_t scope_set,
                       std::span<const Position> text_slots, const LongText* text, std::uint64_t place) {
  EntryTraits traits;
  traits.kind = entry.kind;
  traits.reason = entry.reason;
  traits.owner_group = entry.owner_group;
  const PackedId id = PackedId::of(entry.id);
  std::array<std::uint64_t, slot_owner_words> owner{};
  std::uint64_t text_at = 0;
  if (text != nullptr) {
    write_long_text(bank_, text_slots, at, *text);
    owner[0] = text->packed_sizes();
    text_at = std::uint64_t{CacheBank::number(text_slots.front())} + 1;
  } else if (entry.kind == EntryKind::live) {
    traits.scope_set = scope_set;
    traits.owner_size = static_cast<std::uint8_t>(entry.owner.size());
    std::memcpy(owner.data(), entry.owner.data(), entry.owner.size());
  }
  owner.back() = (owner.back() & 0xFFFF'FFFFU) | std::uint64_t{id.low} << 32;

  const Slot slot = bank_.slot(at);
  slot.begin_write();
  slot.store(Slot::print_high, entry.print.high);
  slot.store(Slot::print_low, entry.print.low);
  slot.store(Slot::expires_at, static_cast<std::uint64_t>(entry.expires_at));
  slot.store(Slot::traits, traits.pack());
  slot.store(Slot::generation_and_text, std::uint64_t{entry.owner_generation} | text_at << 32);
  for (std::size_t word = 0; word < owner.size(); ++word) slot.store(Slot::owner + word, owner[word]);
  slot.store(Slot::address_high, entry.used_from.high);
  slot.store(Slot::address_low, entry.used_from.low);
  slot.store(Slot::id_high, id.high);
  slot.store(Slot::use, UseWord::pack(entry.used_at, slot.use_word().version() + 1, 0, entry.used_from.kind));
  slot.end_write();
  bank_.set_mark(at, CacheBank::mark_of(place));
  scope_sets_.hold(traits.scope_set);
  used_ += 1 + text_slots.size();
  if (entry.kind == EntryKind::live) figures_.live.fetch_add(1, std::memory_order_relaxed);
}

Position BankWriter::room_for_live(std::uint64_t place, UnixMillis returned, bool may_evict, Departures& departures) {
  const std::array<std::size_t, 2> sets{bank_.first_set(place), bank_.second_set(place)};
  for (const std::size_t set : sets) {
    if (const Position found = bank_.free_way(set)) return home_or(place, found);
  }
  // In a bank as full as it gets, looking for another set's room is mostly in vain.
  if (!crowded(1)) {
    for (const std::size_t set : sets) {
      if (const Position freed = make_room(set)) return home_or(place, freed);
    }
  }
  if (!may_evict) return {};
  const Position victim = coldest(place, returned);
  if (!victim) return {};
  const Position head = owner_of(victim);
  if (bank_.slot(head).use_word().heat() != 0 && bank_.slot(head).use_word().time() >= returned) {
    // Everybody here was in use of late: all of them cool by one, so that the idle come to light.
    for (const std::size_t set : sets) cool(set);
  }
  return evict(head, departures) && bank_.is_free(victim) ? home_or(place, victim) : Position{};
}

Position BankWriter::room_for_gone(std::uint64_t place, Departures& departures) {
  const std::size_t set = bank_.first_set(place);
  std::size_t gone = 0;
  Position oldest;
  for (std::size_t way = 0; way < ways; ++way) {
    const Position at{set, way};
    if (!bank_.holds_entry(at) || traits_of(bank_.slot(at)).kind == EntryKind::live) continue;
    ++gone;
    if (!oldest || bank_.slot(at).use_word().time() < bank_.slot(oldest).use_word().time()) oldest = at;
  }
  if (gone < most_gone) return bank_.free_way(set);
  return remove(oldest, departures) ? oldest : Position{};
}

bool BankWriter::room_for_text(Position head, std::span<Position> slots, UnixMillis returned, bool may_evict,
                               Departures& departures) {
  if (slots.empty() || gather_free(head, text_reach, true, slots) == slots.size()) return true;
  if (!may_evict) return false;
  evict_near(head, near_by, slots.size(), returned, departures);
  return gather_free(head, near_by, false, slots) == slots.size();
}

std::size_t BankWriter::gather_free(Position head, std::size_t sets, bool leave_some,
                                    std::span<Position> slots) const noexcept {
  sets = std::min(sets, bank_.sets);
  const std::size_t first = std::min(head.set, bank_.sets - sets);
  std::size_t found = 0;
  for (std::size_t step = 0; step < sets && found < slots.size(); ++step) {
    const std::size_t set = first + (head.set - first + step) % sets;
    std::array<std::size_t, ways> free;
    std::size_t count = 0;
    for (std::size_t way = 0; way < ways; ++way)
      if (bank_.is_free({set, way}) && Position{set, way} != head) free[count++] = way;
    // Entries have two sets alone to go to.
    if (leave_some) count = (count + 1) / 2;
    for (std::size_t i = 0; i < count && found < slots.size(); ++i) slots[found++] = {set, free[i]};
  }
  return found;
}

void BankWriter::evict_near(Position head, std::size_t sets, std::size_t wanted, UnixMillis returned,
                            Departures& departures) {
  sets = std::min(sets, bank_.sets);
  const std::size_t first = std::min(head.set, bank_.sets - sets);
  std::array<std::pair<std::uint64_t, Position>, near_by * ways> found;
  std::size_t count = 0;
  std::size_t free = 0;
  for (std::size_t set = first; set < first + sets; ++set) {
    for (std::size_t way = 0; way < ways; ++way) {
      const Position at{set, way};
      if (bank_.is_free(at) && at != head) ++free;
      if (const Position entry = owner_of(at)) found[count++] = {rank(entry, returned), at};
    }
  }
  std::sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count),
            [](const auto& one, const auto& other) { return one.first < other.first; });
  const std::uint64_t hot = (std::uint64_t{3} << 48);
  for (std::size_t i = 0; i < count && free < wanted; ++i) {
    if (i == 0 && found[i].first >= hot) {
      for (std::size_t set = first; set < first + sets; ++set) cool(set);
    }
    // A text stands in several slots: it went with the first of them.
    const Position entry = owner_of(found[i].second);
    if (!entry) continue;
    const auto counts = [&](Position at) {
      if (at.set >= first && at.set < first + sets) ++free;
    };
    for_each_text_slot(bank_, bank_.slot(entry).load(Slot::generation_and_text), counts);
    if (evict(entry, departures)) counts(entry);
  }
}

// --- moving ---

bool BankWriter::move(Position from, Position to) {
  // A reader who comes in between finds it in neither and asks storage.
  const Slot slot = bank_.slot(from);
  const Slot target = bank_.slot(to);
  target.begin_write();
  slot.begin_write();
  const UseWord use = take_use(slot);
  for (std::size_t word = Slot::print_high; word < Slot::words; ++word) {
    if (word != Slot::use) target.store(word, slot.load(word));
  }
  const auto kind = use.locked() ? PackedAddress::Kind::none : use.address_kind();
  target.store(Slot::use, UseWord::pack(use.time(), target.use_word().version() + 1, use.heat(), kind));
  target.end_write();
  bank_.set_mark(to, bank_.mark(from));
  moved_[moves_++ % moved_.size()] = target.id();
  clear(from);
  return !use.locked();
}

Position BankWriter::make_room(std::size_t set) {
  for (std::size_t way = 0; way < ways; ++way) {
    const Position from{set, way};
    // A text stays near its entry.
    if (!bank_.holds_entry(from) || bank_.slot(from).use_word().locked() || has_text(from)) continue;
    const std::uint64_t place = place_of(bank_.slot(from).id());
    const std::size_t first = bank_.first_set(place);
    const std::size_t other = first == set ? bank_.second_set(place) : first;
    if (other == set) continue;
    const Position to = bank_.free_way(other);
    if (to && move(from, to)) return from;
  }
  return {};
}

Position BankWriter::home_or(std::uint64_t place, Position room) {
  const Position home = bank_.home(place);
  if (room == home || bank_.is_free(home)) return home;
  if (!bank_.holds_entry(home) || bank_.slot(home).use_word().locked() || has_text(home)) return room;
  const bool lives_there = bank_.home(place_of(bank_.slot(home).id())) == home;
  if (lives_there || room.set != home.set) return room;
  return move(home, room) ? home : Position{};
}

bool BankWriter::adopt(Slot entry, UseWord use, const LongText* text) {
  std::vector<Use> none;
  Departures departures{0, none};
  const std::uint64_t place = place_of(entry.id());
  const Position room = room_for_live(place, 0, false, departures);
  if (!room) return false;
  TextSlots slots;
  const std::span<Position> wanted(slots.data(), text != nullptr ? text->slots() : 0);
  if (!room_for_text(room, wanted, 0, false, departures)) return false;
  std::uint64_t generation_and_text = entry.load(Slot::generation_and_text) & 0xFFFF'FFFFU;
  if (text != nullptr) {
    write_long_text(bank_, wanted, room, *text);
    generation_and_text |= (std::uint64_t{CacheBank::number(wanted.front())} + 1) << 32;
  }
  const Slot target = bank_.slot(room);
  target.begin_write();
  for (std::size_t word = Slot::print_high; word < Slot::words; ++word) target.store(word, entry.load(word));
  target.store(Slot::generation_and_text, generation_and_text);
  const auto kind = use.locked() ? PackedAddress::Kind::none : use.address_kind();
  target.store(Slot::use, UseWord::pack(use.time(), use.version() + 1, use.heat(), kind));
  target.end_write();
  bank_.set_mark(room, CacheBank::mark_of(place));
  used_ += 1 + wanted.size();
  return true;
}

// --- scopes ---

void BankWriter::replace_retiring_scopes(Departures& departures) {
  // So much with every entry that comes that all of them are seen before as many have come.
  constexpr std::size_t step = 4;
  for (std::size_t i = 0; i < step && scope_sets_.any_retiring(); ++i, ++hand_) {
    if (hand_ >= bank_.sets) hand_ = 0;
    for (std::size_t way = 0; way < ways; ++way) {
      const Position at{hand_, way};
      if (bank_.holds_entry(at) && scope_sets_.retiring(traits_of(bank_.slot(at)).scope_set))
        give_own_text(at, departures);
    }
  }
}

void BankWriter::give_own_text(Position at, Departures& departures) {
  const Slot slot = bank_.slot(at);
  EntryTraits traits = traits_of(slot);
  std::array<std::uint64_t, slot_owner_words> owner;
  for (std::size_t word = 0; word < owner.size(); ++word) owner[word] = slot.load(Slot::owner + word);
  const std::string scopes = scope_sets_.at(traits.scope_set).text();
  const LongText text{{reinterpret_cast<const char*>(owner.data()), traits.owner_size}, scopes, {}};
  TextSlots slots;
  const std::span<Position> wanted(slots.data(), text.slots());
  if (gather_free(at, text_reach, false, wanted) != wanted.size()) {
    static_cast<void>(evict(at, departures));
    return;
  }
  write_long_text(bank_, wanted, at, text);
  slot.begin_write();
  slot.store(Slot::owner, text.packed_sizes());
  for (std::size_t word = 1; word + 1 < owner.size(); ++word) slot.store(Slot::owner + word, 0);
  slot.store(Slot::owner_end - 1, owner.back() & ~std::uint64_t{0xFFFF'FFFF});
  scope_sets_.release(std::exchange(traits.scope_set, ScopeSets::none));
  traits.owner_size = 0;
  slot.store(Slot::traits, traits.pack());
  slot.store(Slot::generation_and_text, (slot.load(Slot::generation_and_text) & 0xFFFF'FFFFU) |
                                            (std::uint64_t{CacheBank::number(wanted.front())} + 1) << 32);
  slot.end_write();
  used_ += wanted.size();
}

}  // namespace tokenstore::validate
