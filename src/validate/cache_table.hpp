/// The validator's cache: token ids to entries, within a budget of octets.
///
/// One bank of slots at a time (cache_bank.hpp says what its words mean), which grows by half as it fills, up
/// to the budget. Entries and the texts that do not fit into them stand in the same slots, so that no mixture of them
/// that fits into the budget is short of room, whatever came before.
///
/// Readers (locate, find, copy_text) take no lock and write nothing. A lookup fetches the home's memory before it
/// computes the fingerprint, and only if another token is there asks the set's directory: two of three entries and
/// more stand at their home. Writers serialise themselves on one mutex, which a filling reader only tries for.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "tokenstore/backend.hpp"
#include "validate/bank_writer.hpp"
#include "validate/slot_use.hpp"

namespace tokenstore::validate {

/// What a reader found: the slot, as it was when the fingerprint matched. What is read out of it belongs together
/// only if unchanged() says so afterwards.
struct Found {
  Slot slot;
  std::uint64_t sequence = 0;
  bool unchanged() const noexcept { return slot.load(Slot::sequence) == sequence; }
};

/// What became of an entry.
enum class Kept : std::uint8_t {
  yes,
  busy,     ///< somebody else was writing
  changed,  ///< it is not true any more
  no_room,  ///< nothing near by may be moved or evicted, or the text is longer than any that the library writes
};

class CacheTable {
 public:
  static constexpr std::size_t first_sets = 16;
  static constexpr std::size_t smallest_budget = first_sets * BankWriter::set_bytes + 8192;

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
  bool copy_text(Slot entry, LongTextCopy& text) const noexcept {
    return copy_long_text(*bank_.load(std::memory_order_acquire), entry, text);
  }
  const ScopeSets& scope_sets() const noexcept { return scope_sets_; }

  /// Puts an entry in unless somebody else is writing, or `still_true` (asked under the lock) denies.
  /// What it pushes out with unwritten uses (at or after `unwritten_since`) goes to `displaced`.
  template <typename Predicate>
  Kept try_put(const NewEntry& entry, UnixMillis unwritten_since, std::vector<Use>& displaced, Predicate still_true) {
    const std::unique_lock lock(writer_mutex_, std::try_to_lock);
    const Kept kept = !lock.owns_lock() ? Kept::busy
                      : !still_true()   ? Kept::changed
                                        : put(entry, {unwritten_since, displaced});
    if (kept != Kept::yes) not_kept_[static_cast<std::size_t>(kept)].fetch_add(1, std::memory_order_relaxed);
    return kept;
  }
  /// Takes an id out. Its use, if it may be unwritten, goes to `displaced`.
  void drop(std::string_view id, UnixMillis unwritten_since, std::vector<Use>& displaced);

  std::optional<Use> use_of(std::string_view id) { return use_of(PackedId::of(id)); }
  std::optional<Use> use_of(const PackedId& id);
  /// The tokens that were used at or after a time, in the order of their ids.
  std::vector<PackedId> used_since(UnixMillis since);

  std::uint64_t live() const noexcept { return figures_.live.load(std::memory_order_relaxed); }
  std::uint64_t evictions() const noexcept { return figures_.evictions.load(std::memory_order_relaxed); }
  std::uint64_t bytes() const noexcept { return figures_.bytes.load(std::memory_order_relaxed); }
  /// Entries that were not kept, by the reason.
  std::uint64_t not_kept(Kept why) const noexcept {
    return not_kept_[static_cast<std::size_t>(why)].load(std::memory_order_relaxed);
  }

 private:
  static bool matches(Slot slot, const Fingerprint& print, Found& found) noexcept;
  bool find_elsewhere(const Home& home, const Fingerprint& print, Found& found) const noexcept;

  BankWriter& writer() noexcept { return *writers_.back(); }
  Kept put(const NewEntry& entry, Departures departures);
  bool grow();
  void move_all(CacheBank& from, BankWriter& to);
  void account() noexcept;

  const std::size_t budget_;
  const Fingerprinter& fingerprinter_;
  CacheFigures figures_;
  std::array<std::atomic<std::uint64_t>, 4> not_kept_{};  ///< by Kept
  std::mutex writer_mutex_;
  ScopeSets scope_sets_;
  std::atomic<CacheBank*> bank_;
  /// The last is the one in use. A reader may still look at the others, whose memory has been given back.
  std::vector<std::unique_ptr<BankWriter>> writers_;
};

// The readers' half is defined here so that it is compiled into the one place that calls it.

inline CacheTable::Home CacheTable::locate(std::uint64_t place) const noexcept {
  const CacheBank& bank = *bank_.load(std::memory_order_acquire);
  const Position home = bank.home(place);
  const Home found{place, bank.slot(home)};
  found.slot.prefetch();
  bank.prefetch(home.set);
  return found;
}

inline bool CacheTable::matches(Slot slot, const Fingerprint& print, Found& found) noexcept {
  found = {slot, slot.load(Slot::sequence)};
  return found.sequence % 2 == 0 && slot.load(Slot::print_high) == print.high &&
         slot.load(Slot::print_low) == print.low;
}

inline bool CacheTable::find(const Home& home, const Fingerprint& print, Found& found) const noexcept {
  return matches(home.slot, print, found) || find_elsewhere(home, print, found);
}

}  // namespace tokenstore::validate
