/// The validator's cache: token ids to slots, within a budget of octets.
///
/// Sets of sixteen ways. Every id has two sets where it may live, so that the table fills up to 97 per cent
/// before it evicts (a full set may move an entry to that entry's other set), and in the first of them a
/// way that is its home: two of three entries and more stand there. A lookup fetches the home's memory
/// before it computes the fingerprint, and only if another token is there asks the set's directory, which
/// holds sixteen bits of each slot's place. The table grows by half as it fills, up to the budget.
///
/// Eviction is by heat, in the manner of S3-FIFO with the sets as queues: a new entry is cold and goes
/// first; one that was used again in a later clock tick is kept until its heat is spent. What is known
/// to be gone never takes more than two ways of a set and never pushes out a live token, so that a
/// flood of dead tokens costs the ones in use nothing. Chosen over W-TinyLFU because it needs no
/// counters beside the entries, and over plain CLOCK because one pass of strangers does not clear it.
///
/// Readers (find, note_use) take no lock and write nothing but the use of the token found. Writers
/// serialise themselves on one mutex, which a filling reader only tries for.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "tokenstore/backend.hpp"
#include "validate/cache_bank.hpp"
#include "validate/extra_pool.hpp"
#include "validate/scope_sets.hpp"
#include "validate/slot.hpp"

namespace tokenstore::validate {

/// What a reader found: the slot, as it was when the fingerprint matched. What is read out of it belongs together
/// only if unchanged() says so afterwards.
struct Found {
  Slot slot;
  std::uint64_t sequence = 0;
  bool unchanged() const noexcept { return slot.load(Slot::sequence) == sequence; }
};

/// What a writer puts in.
struct NewEntry {
  Fingerprint print;
  EntryKind kind = EntryKind::live;
  Reason reason = Reason::none;  ///< of a gone token
  std::string_view id;
  std::string_view owner;
  std::string_view scopes;
  std::string_view metadata;
  std::uint16_t owner_group = 0;
  std::uint32_t owner_generation = 0;
  UnixMillis expires_at = 0;
  UnixMillis used_at = 0;  ///< 0: not used
  PackedAddress used_from;
};

class CacheTable {
 public:
  static constexpr std::size_t first_sets = 64;
  static constexpr std::size_t smallest_budget = first_sets * CacheBank::set_bytes + 8192;

  /// A smaller budget than `smallest_budget` is taken as that.
  CacheTable(std::size_t budget, const Fingerprinter& fingerprinter);
  ~CacheTable();

  /// Where a token's entry lives if it can.
  struct Home {
    std::uint64_t place = 0;
    Slot slot;
  };
  /// The first half of a lookup: fetches the home's memory, so that the fingerprint can be computed meanwhile.
  Home locate(std::uint64_t place) const noexcept;
  /// The second half. False: not in the cache.
  bool find(const Home& home, const Fingerprint& print, Found& found) const noexcept;
  /// Copies the text of an entry that has its own. False: it has been given up meanwhile.
  bool copy_extra(std::uint32_t block, ExtraCopy& extra) const noexcept { return extras_.copy(block, extra); }
  /// Books a use on a slot whose use word was `before`, unless another use at the same moment does. False: the slot
  /// has been given up meanwhile, and the use must be noted elsewhere.
  static bool note_use(Slot slot, UseWord before, UnixMillis now, const PackedAddress& from) noexcept;
  const ScopeSets& scope_sets() const noexcept { return scope_sets_; }

  /// Puts an entry in unless somebody else is writing, or `still_true` (asked under the lock) denies.
  /// What it pushes out with unwritten uses (at or after `unwritten_since`) goes to `displaced`.
  /// True if the entry is in.
  template <typename Predicate>
  bool try_put(const NewEntry& entry, UnixMillis unwritten_since, std::vector<Use>& displaced, Predicate still_true) {
    const std::unique_lock lock(writer_, std::try_to_lock);
    return lock.owns_lock() && still_true() && put(entry, unwritten_since, displaced);
  }
  /// Takes an id out. Its use, if it may be unwritten, goes to `displaced`.
  void drop(std::string_view id, UnixMillis unwritten_since, std::vector<Use>& displaced);

  std::optional<Use> use_of(std::string_view id);
  std::optional<Use> use_of(const PackedId& id);
  /// The tokens that were used at or after a time, in the order of their ids.
  std::vector<PackedId> used_since(UnixMillis since);

  std::uint64_t live() const noexcept { return live_.load(std::memory_order_relaxed); }
  std::uint64_t evictions() const noexcept { return evictions_.load(std::memory_order_relaxed); }
  std::uint64_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  using Bank = CacheBank;
  static constexpr std::size_t ways = Bank::ways;
  static constexpr std::size_t set_bytes = Bank::set_bytes;
  static constexpr std::size_t most_gone = 2;  ///< ways of a set

  struct Position {
    std::size_t set = 0;
    std::size_t way = ways;  ///< `ways`: none
    explicit operator bool() const noexcept { return way != ways; }
  };

  static std::uint16_t mark_of(std::uint64_t place) noexcept { return static_cast<std::uint16_t>(place) | 1U; }
  static bool matches(Slot slot, const Fingerprint& print, Found& found) noexcept;
  bool find_elsewhere(const Home& home, const Fingerprint& print, Found& found) const noexcept;
  static bool note_use_from(Slot slot, UseWord before, std::uint64_t after, const PackedAddress& from) noexcept;
  std::uint64_t place_of(const PackedId& id) const noexcept;

  bool put(const NewEntry& entry, UnixMillis unwritten_since, std::vector<Use>& displaced);
  bool write(Bank& bank, Position at, const NewEntry& entry, const PackedId& id, std::uint64_t place,
             std::uint32_t block);
  Position find_id(const Bank& bank, std::uint64_t place, const PackedId& id) const noexcept;
  static Position empty_way(const Bank& bank, std::size_t set) noexcept;
  Position room_for_live(std::uint64_t place, UnixMillis unwritten_since, std::vector<Use>& displaced);
  Position room_for_gone(std::uint64_t place, UnixMillis unwritten_since, std::vector<Use>& displaced);
  /// Moves an entry of a full set to its other set. The freed way, if any.
  Position make_room(Bank& bank, std::size_t set);
  /// Moves an entry to a free way. False: a reader is still booking a use on the old one, so it cannot be filled.
  bool move(Bank& bank, Position from, Position to);
  /// The home of a place if it is free or a guest there can go to `room`; else `room`.
  Position home_or(Bank& bank, std::uint64_t place, Position room);
  Position coldest(const Bank& bank, std::uint64_t place) const noexcept;
  /// Empties a slot. False: a reader is still booking a use on it, so it cannot be filled yet.
  bool evict(Bank& bank, Position at, UnixMillis unwritten_since, std::vector<Use>& displaced);
  /// Puts a text into the pool; if that is full, in the place of the coldest near by that is as large.
  std::uint32_t put_extra(Bank& bank, const ExtraText& text, std::uint64_t place, UnixMillis unwritten_since,
                          std::vector<Use>& displaced);
  /// Leaves nothing in a slot whose write has begun, and ends the write.
  static void clear(const Bank& bank, Position at) noexcept;
  void cool(const Bank& bank, std::size_t set) noexcept;
  /// Takes the use out of a slot that is given up; from here on readers fail to book on it.
  static UseWord take_use(Slot slot) noexcept;
  bool grow();
  void move_all(Bank& from, Bank& to);
  static std::optional<Use> use_in(Slot slot, UseWord use);
  static std::optional<Use> current_use(Slot slot);
  std::optional<Use> use_at(std::uint64_t place, const PackedId& id);
  static bool used_in(const Bank& bank, Position at, UnixMillis since) noexcept;
  void account() noexcept;

  const std::size_t budget_;
  const Fingerprinter& fingerprinter_;
  std::mutex writer_;
  std::atomic<Bank*> bank_;
  std::vector<std::unique_ptr<Bank>> banks_;
  ExtraPool extras_;
  ScopeSets scope_sets_;
  std::size_t entries_ = 0;
  std::array<PackedId, 256> moved_{};  ///< the latest, for whoever goes through the table meanwhile
  std::uint64_t moves_ = 0;
  std::atomic<std::uint64_t> live_{0}, evictions_{0}, bytes_{0};
};

// The readers' half is defined here so that it is compiled into the one place that calls it.

inline CacheTable::Home CacheTable::locate(std::uint64_t place) const noexcept {
  const Bank& bank = *bank_.load(std::memory_order_acquire);
  const std::size_t first = bank.first_set(place);
  const Home home{place, bank.slot(first, Bank::home_way(place))};
  home.slot.prefetch();
  bank.prefetch(first);
  return home;
}

inline bool CacheTable::matches(Slot slot, const Fingerprint& print, Found& found) noexcept {
  found = {slot, slot.load(Slot::sequence)};
  return found.sequence % 2 == 0 && slot.load(Slot::print_high) == print.high &&
         slot.load(Slot::print_low) == print.low;
}

inline bool CacheTable::find(const Home& home, const Fingerprint& print, Found& found) const noexcept {
  return matches(home.slot, print, found) || find_elsewhere(home, print, found);
}

inline bool CacheTable::note_use(Slot slot, UseWord before, UnixMillis now, const PackedAddress& from) noexcept {
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

}  // namespace tokenstore::validate
