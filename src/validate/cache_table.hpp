/// The validator's cache: token ids to slots, within a budget of octets.
///
/// Sets of sixteen ways. A small directory holds sixteen bits of each slot's place, so that a lookup
/// goes to the right slot at once; every id has two sets where it may live, and a full set may move an
/// entry to that entry's other set, so that the table fills up to 97 per cent before it evicts. It
/// grows by half as it fills, up to the budget.
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

/// What a reader found, copied out of the slot.
struct Found {
  EntryTraits traits;
  std::uint32_t owner_generation = 0;
  UnixMillis expires_at = 0;
  bool has_extra = false;
  UseWord use;
  Slot slot;
  std::array<std::uint64_t, Slot::owner_end - Slot::owner> owner;
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

  /// The first half of a lookup: finds the likely slot and fetches its memory, so that the fingerprint
  /// can be computed meanwhile.
  struct Likely {
    std::uint64_t place = 0;
    Slot slot;  ///< null: nothing there
  };
  Likely locate(std::uint64_t place) const noexcept;
  /// The second half. Fills `extra` if the entry has any. False: not in the cache.
  bool find(const Likely& likely, const Fingerprint& print, Found& found, ExtraCopy& extra) const noexcept;
  /// Books a use on what find() found, unless another use at the same moment does. False: the slot has been
  /// given up meanwhile, and the use must be noted elsewhere.
  static bool note_use(const Found& found, UnixMillis now, std::string_view from) noexcept;
  std::string_view scopes(std::uint16_t scope_set) const noexcept { return scope_sets_.at(scope_set); }

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
  /// Uses at or after a time, of every entry.
  std::vector<Use> uses_since(UnixMillis since);

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
  bool read(Slot slot, const Fingerprint& print, Found& found, ExtraCopy& extra) const noexcept;
  bool find_elsewhere(const Likely& likely, const Fingerprint& print, Found& found, ExtraCopy& extra) const noexcept;
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
  Position coldest(const Bank& bank, std::uint64_t place) const noexcept;
  /// Empties a slot. False: a reader is still booking a use on it, so it cannot be filled yet.
  bool evict(Bank& bank, Position at, UnixMillis unwritten_since, std::vector<Use>& displaced);
  /// Puts a text into the pool; if that is full, in the place of the coldest near by that is as large.
  std::uint32_t put_extra(Bank& bank, const ExtraText& text, std::uint64_t place, UnixMillis unwritten_since,
                          std::vector<Use>& displaced);
  void cool(const Bank& bank, std::size_t set) noexcept;
  /// Takes the use out of a slot that is given up; from here on readers fail to book on it.
  static UseWord take_use(Slot slot) noexcept;
  bool grow();
  void move_all(Bank& from, Bank& to);
  static std::optional<Use> use_in(Slot slot, UseWord use);
  void account() noexcept;

  const std::size_t budget_;
  const Fingerprinter& fingerprinter_;
  std::mutex writer_;
  std::atomic<Bank*> bank_;
  std::vector<std::unique_ptr<Bank>> banks_;
  ExtraPool extras_;
  ScopeSets scope_sets_;
  std::size_t entries_ = 0;
  std::atomic<std::uint64_t> live_{0}, evictions_{0}, bytes_{0};
};

// The readers' half is defined here so that it is compiled into the one place that calls it.

inline CacheTable::Likely CacheTable::locate(std::uint64_t place) const noexcept {
  const Bank& bank = *bank_.load(std::memory_order_acquire);
  const std::uint16_t mark = mark_of(place);
  const std::size_t second = bank.second_set(place);
  bank.prefetch(second);
  Likely likely{place, bank.first_candidate(bank.first_set(place), mark)};
  if (likely.slot.at == nullptr) likely.slot = bank.first_candidate(second, mark);
  // All lines that a hit reads; the one with the use is written.
  __builtin_prefetch(likely.slot.at);
  __builtin_prefetch(likely.slot.at + Slot::use, 1);
  __builtin_prefetch(likely.slot.at + Slot::owner_end - 1);
  return likely;
}

inline bool CacheTable::read(Slot slot, const Fingerprint& print, Found& found, ExtraCopy& extra) const noexcept {
  const std::uint64_t sequence = slot.load(Slot::sequence);
  if (sequence % 2 != 0) return false;
  if (slot.load(Slot::print_high) != print.high || slot.load(Slot::print_low) != print.low) return false;
  found.slot = slot;
  found.expires_at = static_cast<UnixMillis>(slot.load(Slot::expires_at));
  found.traits = EntryTraits::unpack(slot.load(Slot::traits));
  const std::uint64_t generation_and_extra = slot.load(Slot::generation_and_extra);
  found.owner_generation = static_cast<std::uint32_t>(generation_and_extra);
  found.use = slot.use_word();
  const auto block = static_cast<std::uint32_t>(generation_and_extra >> 32);
  found.has_extra = block != 0;
  if (found.has_extra) {
    if (!extras_.copy(block, extra)) return false;
  } else {
    for (std::size_t word = 0; word < found.owner.size(); ++word) found.owner[word] = slot.load(Slot::owner + word);
  }
  // Unchanged: everything copied above belongs together.
  return slot.load(Slot::sequence) == sequence && found.traits.kind != EntryKind::none;
}

inline bool CacheTable::find(const Likely& likely, const Fingerprint& print, Found& found,
                             ExtraCopy& extra) const noexcept {
  if (likely.slot.at == nullptr) return false;
  return read(likely.slot, print, found, extra) || find_elsewhere(likely, print, found, extra);
}

}  // namespace tokenstore::validate
