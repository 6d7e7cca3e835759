#include "validate/cache_table.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/base62.hpp"
#include "text/token_text.hpp"

namespace tokenstore::validate {

namespace {

PackedId pack_id(std::string_view id) noexcept {
  const auto number = base::base62_decode(id).value_or(0);
  return {static_cast<std::uint64_t>(number >> 32), static_cast<std::uint32_t>(number)};
}

void unpack_id(const PackedId& id, std::span<char> text) noexcept {
  base::base62_encode(base::uint128{id.high} << 32 | id.low, text);
}

}  // namespace

// --- readers ---

CacheTable::CacheTable(std::size_t budget, const Fingerprinter& fingerprinter)
    : budget_(std::max(budget, smallest_budget)),
      fingerprinter_(fingerprinter),
      extras_(budget_),
      // The more tokens, the less each costs: 1.5 per cent is room enough for the sets that many share.
      scope_sets_(std::min(ScopeSets::most_octets, budget_ / 64)) {
  banks_.push_back(std::make_unique<Bank>(first_sets));
  if (!banks_.back()->usable()) throw std::bad_alloc();
  bank_.store(banks_.back().get());
  account();
}

CacheTable::~CacheTable() = default;

bool CacheTable::find_elsewhere(const Home& home, const Fingerprint& print, Found& found) const noexcept {
  const Bank& bank = *bank_.load(std::memory_order_acquire);
  const std::uint16_t mark = mark_of(home.place);
  for (const std::size_t set : {bank.first_set(home.place), bank.second_set(home.place)}) {
    for (std::uint32_t left = bank.candidates(set, mark); left != 0; left &= left - 1) {
      const Slot slot = bank.slot(set, static_cast<std::size_t>(std::countr_zero(left)));
      if (matches(slot, print, found)) return true;
    }
  }
  return false;
}

bool CacheTable::note_use_from(Slot slot, UseWord before, std::uint64_t after, const PackedAddress& from) noexcept {
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

// --- writers ---

std::uint64_t CacheTable::place_of(const PackedId& id) const noexcept {
  std::array<char, text::id_size> text;
  unpack_id(id, text);
  return fingerprinter_.place(IdWords::of(text.data()));
}

CacheTable::Position CacheTable::find_id(const Bank& bank, std::uint64_t place, const PackedId& id) const noexcept {
  const std::uint16_t mark = mark_of(place);
  for (const std::size_t set : {bank.first_set(place), bank.second_set(place)}) {
    for (std::uint32_t left = bank.candidates(set, mark); left != 0; left &= left - 1) {
      const auto way = static_cast<std::size_t>(std::countr_zero(left));
      if (bank.mark(set, way) == mark && bank.slot(set, way).id() == id) return {set, way};
    }
  }
  return {};
}

CacheTable::Position CacheTable::empty_way(const Bank& bank, std::size_t set) noexcept {
  for (std::size_t way = 0; way < ways; ++way) {
    // A reader may still be booking a use on what was here.
    if (bank.mark(set, way) == 0 && !bank.slot(set, way).use_word().locked()) return {set, way};
  }
  return {};
}

std::optional<Use> CacheTable::use_in(Slot slot, UseWord use) {
  if (use.time() == 0) return std::nullopt;
  const PackedAddress address = slot.address(use);
  Use noted;
  noted.id.resize(text::id_size);
  unpack_id(slot.id(), noted.id);
  noted.used_at = use.time();
  // An address that is being written is left to the next time.
  if (!use.locked()) noted.used_from = address.text();
  return noted;
}

std::optional<Use> CacheTable::current_use(Slot slot) {
  // Somebody may be booking another: the words of an address belong together only if the use is still the same.
  for (;;) {
    const UseWord use = slot.use_word();
    std::optional<Use> noted = use_in(slot, use);
    if (slot.use_word().word == use.word) return noted;
  }
}

UseWord CacheTable::take_use(Slot slot) noexcept {
  std::uint64_t word = slot.load(Slot::use);
  for (;;) {
    const UseWord use{word};
    // Its reader unlocks it in a moment; nobody else can book on it any more.
    if (use.locked()) return use;
    const std::uint64_t given_up = UseWord::pack(0, use.version() + 1, 0, PackedAddress::Kind::none);
    if (slot.at[Slot::use].compare_exchange_weak(word, given_up, std::memory_order_acq_rel)) return use;
  }
}

void CacheTable::clear(const Bank& bank, Position at) noexcept {
  const Slot slot = bank.slot(at.set, at.way);
  slot.store(Slot::print_high, 0);
  slot.store(Slot::print_low, 0);
  slot.store(Slot::traits, 0);
  slot.store(Slot::generation_and_extra, 0);
  slot.end_write();
  bank.set_mark(at.set, at.way, 0);
}

bool CacheTable::evict(Bank& bank, Position at, UnixMillis unwritten_since, std::vector<Use>& displaced) {
  // Nothing below may fail half-way.
  if (displaced.size() == displaced.capacity()) displaced.reserve(2 * displaced.size() + 1);
  const Slot slot = bank.slot(at.set, at.way);
  const EntryTraits traits = EntryTraits::unpack(slot.load(Slot::traits));
  const auto block = static_cast<std::uint32_t>(slot.load(Slot::generation_and_extra) >> 32);
  slot.begin_write();
  clear(bank, at);
  if (block != 0) extras_.recycle(block);
  --entries_;
  if (traits.kind == EntryKind::live) live_.fetch_sub(1, std::memory_order_relaxed);
  // After the entry, so that whoever found it before either has booked his use or fails to.
  const UseWord use = take_use(slot);
  if (traits.kind == EntryKind::live && use.time() >= unwritten_since) {
    if (auto noted = use_in(slot, use)) displaced.push_back(std::move(*noted));
  }
  return !use.locked();
}

void CacheTable::cool(const Bank& bank, std::size_t set) noexcept {
  for (std::size_t way = 0; way < ways; ++way) {
    const Slot slot = bank.slot(set, way);
    std::uint64_t before = slot.load(Slot::use);
    const UseWord use{before};
    if (use.locked() || use.heat() == 0) continue;
    slot.at[Slot::use].compare_exchange_strong(before, before - (std::uint64_t{1} << UseWord::heat_at));
  }
}

std::uint32_t CacheTable::put_extra(Bank& bank, const ExtraText& text, std::uint64_t place, UnixMillis unwritten_since,
                                    std::vector<Use>& displaced) {
  const std::size_t others = bank.memory.bytes() + scope_sets_.limit();
  const std::size_t room = budget_ > others ? budget_ - others : 0;
  if (const std::uint32_t block = extras_.put(text, room); block != 0 || room == 0) return block;
  constexpr std::size_t near_by = 32;  // sets
  Position victim;
  unsigned victim_heat = UseWord::hottest + 1;
  const std::size_t first = bank.first_set(place);
  for (std::size_t step = 0; step < std::min(near_by, bank.sets); ++step) {
    const std::size_t set = (first + step) % bank.sets;
    for (std::size_t way = 0; way < ways; ++way) {
      const Slot slot = bank.slot(set, way);
      const auto block = static_cast<std::uint32_t>(slot.load(Slot::generation_and_extra) >> 32);
      if (block == 0 || slot.use_word().heat() >= victim_heat || !extras_.fits_exactly(text, block)) continue;
      victim = {set, way};
      victim_heat = slot.use_word().heat();
    }
  }
  if (!victim) return 0;
  if (victim_heat != 0) {
    for (std::size_t step = 0; step < std::min(near_by, bank.sets); ++step) cool(bank, (first + step) % bank.sets);
  }
  static_cast<void>(evict(bank, victim, unwritten_since, displaced));
  evictions_.fetch_add(1, std::memory_order_relaxed);
  return extras_.put(text, room);
}

bool CacheTable::write(Bank& bank, Position at, const NewEntry& entry, const PackedId& id, std::uint64_t place,
                       std::uint32_t block) {
  EntryTraits traits;
  traits.kind = entry.kind;
  traits.reason = entry.reason;
  traits.owner_group = entry.owner_group;
  traits.scope_set = ScopeSets::none;
  std::array<std::uint64_t, slot_owner_words> owner{};
  if (entry.kind == EntryKind::live && block == 0) {
    traits.scope_set = scope_sets_.add(entry.scopes);
    traits.owner_size = static_cast<std::uint8_t>(entry.owner.size());
    std::memcpy(owner.data(), entry.owner.data(), entry.owner.size());
  }
  owner.back() = (owner.back() & 0xFFFF'FFFFU) | std::uint64_t{id.low} << 32;

  const Slot slot = bank.slot(at.set, at.way);
  slot.begin_write();
  slot.store(Slot::print_high, entry.print.high);
  slot.store(Slot::print_low, entry.print.low);
  slot.store(Slot::expires_at, static_cast<std::uint64_t>(entry.expires_at));
  slot.store(Slot::traits, traits.pack());
  slot.store(Slot::generation_and_extra, std::uint64_t{entry.owner_generation} | std::uint64_t{block} << 32);
  for (std::size_t word = 0; word < owner.size(); ++word) slot.store(Slot::owner + word, owner[word]);
  slot.store(Slot::address_high, entry.used_from.high);
  slot.store(Slot::address_low, entry.used_from.low);
  slot.store(Slot::id_high, id.high);
  slot.store(Slot::use, UseWord::pack(entry.used_at, slot.use_word().version() + 1, 0, entry.used_from.kind));
  slot.end_write();
  bank.set_mark(at.set, at.way, mark_of(place));
  ++entries_;
  if (entry.kind == EntryKind::live) live_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

bool CacheTable::put(const NewEntry& entry, UnixMillis unwritten_since, std::vector<Use>& displaced) {
  const PackedId id = pack_id(entry.id);
  const std::uint64_t place = fingerprinter_.place(IdWords::of(entry.id.data()));
  Bank& bank = *bank_.load(std::memory_order_relaxed);
  if (const Position old = find_id(bank, place, id)) evict(bank, old, unwritten_since, displaced);
  std::uint32_t block = 0;
  if (entry.kind == EntryKind::live && (!entry.metadata.empty() || entry.owner.size() > slot_owner_max ||
                                        scope_sets_.add(entry.scopes) == ScopeSets::none)) {
    block = put_extra(bank, {entry.owner, entry.scopes, entry.metadata}, place, unwritten_since, displaced);
    if (block == 0) return false;  // no room for its text: the token is asked of storage
  }
  const Position room = entry.kind == EntryKind::live ? room_for_live(place, unwritten_since, displaced)
                                                      : room_for_gone(place, unwritten_since, displaced);
  const bool written = room && write(*bank_.load(std::memory_order_relaxed), room, entry, id, place, block);
  if (!written && block != 0) extras_.recycle(block);
  account();
  return written;
}

bool CacheTable::move(Bank& bank, Position from, Position to) {
  // A reader who comes in between finds it in neither and asks storage.
  const Slot slot = bank.slot(from.set, from.way);
  const Slot target = bank.slot(to.set, to.way);
  target.begin_write();
  slot.begin_write();
  const UseWord use = take_use(slot);
  for (std::size_t word = Slot::print_high; word < Slot::words; ++word) {
    if (word != Slot::use) target.store(word, slot.load(word));
  }
  const auto kind = use.locked() ? PackedAddress::Kind::none : use.address_kind();
  target.store(Slot::use, UseWord::pack(use.time(), target.use_word().version() + 1, use.heat(), kind));
  target.end_write();
  bank.set_mark(to.set, to.way, bank.mark(from.set, from.way));
  moved_[moves_++ % moved_.size()] = target.id();
  clear(bank, from);
  return !use.locked();
}

CacheTable::Position CacheTable::make_room(Bank& bank, std::size_t set) {
  for (std::size_t way = 0; way < ways; ++way) {
    const Slot slot = bank.slot(set, way);
    if (slot.use_word().locked() || bank.mark(set, way) == 0) continue;
    const std::uint64_t place = place_of(slot.id());
    const std::size_t first = bank.first_set(place);
    const std::size_t other = first == set ? bank.second_set(place) : first;
    if (other == set) continue;
    const Position to = empty_way(bank, other);
    if (to && move(bank, {set, way}, to)) return {set, way};
  }
  return {};
}

CacheTable::Position CacheTable::home_or(Bank& bank, std::uint64_t place, Position room) {
  const Position home{bank.first_set(place), Bank::home_way(place)};
  if (room.set == home.set && room.way == home.way) return home;
  const Slot slot = bank.slot(home.set, home.way);
  if (slot.use_word().locked()) return room;
  if (bank.mark(home.set, home.way) == 0) return home;
  const std::uint64_t guest = place_of(slot.id());
  const bool lives_there = bank.first_set(guest) == home.set && Bank::home_way(guest) == home.way;
  if (lives_there || room.set != home.set) return room;
  return move(bank, home, room) ? home : Position{};
}

CacheTable::Position CacheTable::coldest(const Bank& bank, std::uint64_t place) const noexcept {
  Position victim;
  std::uint64_t victim_rank = ~std::uint64_t{0};
  for (const std::size_t set : {bank.first_set(place), bank.second_set(place)}) {
    for (std::size_t way = 0; way < ways; ++way) {
      const Slot slot = bank.slot(set, way);
      const UseWord use = slot.use_word();
      if (use.locked()) continue;
      const bool gone = EntryTraits::unpack(slot.load(Slot::traits)).kind == EntryKind::gone;
      // The gone first, then by heat, then by age.
      const std::uint64_t rank =
          (gone ? 0 : std::uint64_t{use.heat()} + 1) << 48 | static_cast<std::uint64_t>(use.time());
      if (rank < victim_rank) {
        victim_rank = rank;
        victim = {set, way};
      }
    }
  }
  return victim;
}

CacheTable::Position CacheTable::room_for_live(std::uint64_t place, UnixMillis unwritten_since,
                                               std::vector<Use>& displaced) {
  for (;;) {
    Bank& bank = *bank_.load(std::memory_order_relaxed);
    const std::size_t slots = bank.sets * ways;
    const bool crowded = entries_ * 100 >= slots * 97;
    if (!crowded || !grow()) {
      for (const std::size_t set : {bank.first_set(place), bank.second_set(place)}) {
        if (const Position found = empty_way(bank, set)) return home_or(bank, place, found);
      }
      // In a table as full as it gets, looking for another set's room is mostly in vain.
      if (!crowded) {
        for (const std::size_t set : {bank.first_set(place), bank.second_set(place)}) {
          if (const Position freed = make_room(bank, set)) return home_or(bank, place, freed);
        }
        if (grow()) continue;
      }
      const Position victim = coldest(bank, place);
      if (!victim) return {};
      const unsigned heat = bank.slot(victim.set, victim.way).use_word().heat();
      if (heat != 0) {
        // Everybody here was in use of late: all of them cool by one, so that the idle come to light.
        for (const std::size_t set : {bank.first_set(place), bank.second_set(place)}) cool(bank, set);
      }
      const bool free = evict(bank, victim, unwritten_since, displaced);
      evictions_.fetch_add(1, std::memory_order_relaxed);
      return free ? home_or(bank, place, victim) : Position{};
    }
  }
}

CacheTable::Position CacheTable::room_for_gone(std::uint64_t place, UnixMillis unwritten_since,
                                               std::vector<Use>& displaced) {
  Bank& bank = *bank_.load(std::memory_order_relaxed);
  const std::size_t set = bank.first_set(place);
  std::size_t gone = 0;
  Position oldest;
  for (std::size_t way = 0; way < ways; ++way) {
    const Slot slot = bank.slot(set, way);
    if (EntryTraits::unpack(slot.load(Slot::traits)).kind != EntryKind::gone) continue;
    ++gone;
    if (!oldest || slot.use_word().time() < bank.slot(set, oldest.way).use_word().time()) oldest = {set, way};
  }
  if (gone < most_gone) return empty_way(bank, set);
  return evict(bank, oldest, unwritten_since, displaced) ? oldest : Position{};
}

bool CacheTable::grow() {
  Bank& old = *bank_.load(std::memory_order_relaxed);
  const std::size_t for_sets =
      budget_ > extras_.bytes() + scope_sets_.limit() ? budget_ - extras_.bytes() - scope_sets_.limit() : 0;
  const std::size_t sets = std::min(old.sets + old.sets / 2, for_sets / set_bytes);
  // Less than a twentieth more is not worth moving everything.
  if (sets < old.sets + old.sets / 20 + 1) return false;
  auto bank = std::make_unique<Bank>(sets);
  if (!bank->usable()) return false;
  Bank& fresh = *bank;
  banks_.push_back(std::move(bank));
  move_all(old, fresh);
  bank_.store(&fresh, std::memory_order_release);
  old.memory.discard(0, old.memory.bytes());
  return true;
}

void CacheTable::move_all(Bank& from, Bank& to) {
  // What has been moved is given back as the work goes on, so that both banks together stay within the
  // budget; a reader of the old one finds nothing there and asks storage.
  constexpr std::size_t step = 4096;
  for (std::size_t set = 0; set < from.sets; ++set) {
    if (set % step == 0 && set != 0) from.memory.discard((set - step) * set_bytes, step * set_bytes);
    for (std::size_t way = 0; way < ways; ++way) {
      if (from.mark(set, way) == 0) continue;
      const Slot slot = from.slot(set, way);
      // Odd for good: a reader between two pages of which one has been given back must not take the rest for whole.
      slot.begin_write();
      const UseWord use = take_use(slot);
      const std::uint64_t place = place_of(slot.id());
      Position room = empty_way(to, to.first_set(place));
      if (!room) room = empty_way(to, to.second_set(place));
      if (!room) room = make_room(to, to.first_set(place));
      if (room) room = home_or(to, place, room);
      if (!room) {
        // Not seen with half as many sets again; the token is then simply asked of storage.
        const auto block = static_cast<std::uint32_t>(slot.load(Slot::generation_and_extra) >> 32);
        if (block != 0) extras_.recycle(block);
        --entries_;
        if (EntryTraits::unpack(slot.load(Slot::traits)).kind == EntryKind::live) {
          live_.fetch_sub(1, std::memory_order_relaxed);
        }
        continue;
      }
      const Slot target = to.slot(room.set, room.way);
      for (std::size_t word = Slot::print_high; word < Slot::words; ++word) target.store(word, slot.load(word));
      const auto kind = use.locked() ? PackedAddress::Kind::none : use.address_kind();
      target.store(Slot::use, UseWord::pack(use.time(), use.version() + 1, use.heat(), kind));
      target.store(Slot::sequence, 2);
      to.set_mark(room.set, room.way, mark_of(place));
    }
  }
}

void CacheTable::drop(std::string_view id, UnixMillis unwritten_since, std::vector<Use>& displaced) {
  const PackedId packed = pack_id(id);
  const std::uint64_t place = fingerprinter_.place(IdWords::of(id.data()));
  const std::lock_guard lock(writer_);
  Bank& bank = *bank_.load(std::memory_order_relaxed);
  if (const Position found = find_id(bank, place, packed)) evict(bank, found, unwritten_since, displaced);
}

std::optional<Use> CacheTable::use_of(std::string_view id) {
  return use_at(fingerprinter_.place(IdWords::of(id.data())), pack_id(id));
}

std::optional<Use> CacheTable::use_of(const PackedId& id) {
  return use_at(place_of(id), id);
}

std::optional<Use> CacheTable::use_at(std::uint64_t place, const PackedId& id) {
  const std::lock_guard lock(writer_);
  const Bank& bank = *bank_.load(std::memory_order_relaxed);
  const Position found = find_id(bank, place, id);
  if (!found || EntryTraits::unpack(bank.slot(found.set, found.way).load(Slot::traits)).kind != EntryKind::live) {
    return std::nullopt;
  }
  return current_use(bank.slot(found.set, found.way));
}

bool CacheTable::used_in(const Bank& bank, Position at, UnixMillis since) noexcept {
  const Slot slot = bank.slot(at.set, at.way);
  const UseWord word = slot.use_word();
  return bank.mark(at.set, at.way) != 0 && word.time() != 0 && word.time() >= since &&
         EntryTraits::unpack(slot.load(Slot::traits)).kind == EntryKind::live;
}

std::vector<PackedId> CacheTable::used_since(UnixMillis since) {
  // In steps, so that whoever has to drop an entry meanwhile does not wait for the whole table.
  constexpr std::size_t step = 512;
  std::vector<PackedId> ids;
  const Bank* seen = nullptr;
  std::uint64_t moves_seen = 0;
  for (std::size_t set = 0;;) {
    const std::lock_guard lock(writer_);
    const Bank& bank = *bank_.load(std::memory_order_relaxed);
    if (&bank != seen || moves_ - moves_seen > moved_.size()) {
      set = 0;  // it grew, or more moved than is known: what was read is read again
    } else {
      // From a set that is still to be read into one that was.
      for (; moves_seen != moves_; ++moves_seen) {
        const PackedId& id = moved_[moves_seen % moved_.size()];
        if (const Position at = find_id(bank, place_of(id), id); at && used_in(bank, at, since)) ids.push_back(id);
      }
    }
    seen = &bank;
    moves_seen = moves_;
    const std::size_t end = std::min(set + step, bank.sets);
    for (; set < end; ++set) {
      for (std::size_t way = 0; way < ways; ++way) {
        if (used_in(bank, {set, way}, since)) ids.push_back(bank.slot(set, way).id());
      }
    }
    if (set == bank.sets) break;
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

void CacheTable::account() noexcept {
  const Bank& bank = *bank_.load(std::memory_order_relaxed);
  bytes_.store(bank.memory.bytes() + extras_.bytes() + scope_sets_.bytes(), std::memory_order_relaxed);
}

}  // namespace tokenstore::validate
