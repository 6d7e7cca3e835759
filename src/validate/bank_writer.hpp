/// The writer's half of a bank: where an entry goes, who moves aside for it, and who has to go.
///
/// Every id has two sets where it may live, so that a bank fills up to 97 per cent before anything is evicted: a full
/// set may move an entry to that entry's other set. Long texts go to free slots of the sets after their entry's.
///
/// Eviction is by heat, in the manner of S3-FIFO with the sets as queues: a new entry is cold and goes first; one that
/// was used again in a later clock tick is kept until its heat is spent. What comes back after it had to go takes the
/// place of what was not used in between, whatever its heat (evicted.hpp). What is known to be denied never takes
/// more than two ways of a set and never pushes out a live token, so that a flood of dead tokens costs the ones in
/// use nothing. Chosen over W-TinyLFU because it needs no counters beside the entries, and over plain CLOCK because one
/// pass of strangers does not clear it.
///
/// Guarded by the table's mutex; readers of the bank need nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "tokenstore/backend.hpp"
#include "validate/cache_bank.hpp"
#include "validate/evicted.hpp"
#include "validate/long_text.hpp"
#include "validate/scope_sets.hpp"

namespace tokenstore::validate {

/// What a writer puts in.
struct NewEntry {
  Fingerprint print;
  EntryKind kind = EntryKind::live;
  Reason reason = Reason::none;  ///< of a token that is not live
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

/// Where uses go whose entries go.
struct Departures {
  UnixMillis unwritten_since;  ///< earlier uses are in storage
  std::vector<Use>& displaced;
};

/// Of all banks of a table. Read by anybody.
struct CacheFigures {
  std::atomic<std::uint64_t> live{0}, evictions{0}, bytes{0};
};

class BankWriter {
 public:
  BankWriter(std::size_t sets, const Fingerprinter& fingerprinter, ScopeSets& scope_sets, CacheFigures& figures)
      : bank_(sets),
        fingerprinter_(fingerprinter),
        scope_sets_(scope_sets),
        figures_(figures),
        evicted_(sets * CacheBank::ways) {}

  /// Memory for each set.
  static constexpr std::size_t set_bytes = CacheBank::set_bytes + Evicted::bytes_for(CacheBank::ways);
  std::size_t bytes() const noexcept { return bank_.sets * set_bytes; }

  CacheBank& bank() noexcept { return bank_; }
  /// So full that making room for so many slots more is mostly in vain.
  bool crowded(std::size_t more) const noexcept { return (used_ + more) * 100 >= bank_.sets * CacheBank::ways * 97; }

  /// Puts an entry in; nothing with its id is there. `scope_set`: of its scopes; its text, if it needs one, is long.
  /// False: there is no room, or none without evicting somebody.
  bool put(const NewEntry& entry, std::uint16_t scope_set, const LongText* text, bool may_evict,
           Departures& departures);
  /// Takes the entry of another bank, which is read and not written. False: no room without evicting somebody.
  bool adopt(Slot entry, UseWord use, const LongText* text);
  /// Empties a slot, and those of its text. False: a reader is still booking a use on it, so it cannot be filled yet.
  bool remove(Position at, Departures& departures);
  Position find(std::uint64_t place, const PackedId& id) const noexcept { return bank_.find(place, id); }
  std::uint64_t place_of(const PackedId& id) const noexcept {
    return fingerprinter_.place(IdWords::of(id.text().data()));
  }
  /// Goes a little further through the bank and gives entries texts of their own whose set of scopes retires.
  void replace_retiring_scopes(Departures& departures);

  /// Its entries are another's by now, and readers see nothing of them: what can be given back is.
  void retire() noexcept { evicted_ = Evicted(0); }

  /// How often entries have moved within the bank, and the latest that did, for whoever goes through it meanwhile.
  std::uint64_t moves() const noexcept { return moves_; }
  static constexpr std::size_t remembered_moves = 256;
  const PackedId& moved(std::uint64_t number) const noexcept { return moved_[number % remembered_moves]; }

 private:
  static constexpr std::size_t ways = CacheBank::ways;
  static constexpr std::size_t most_gone = 2;  ///< ways of a set
  using TextSlots = std::array<Position, LongText::most_slots>;

  /// Who goes first: the lowest. `returned`: when what comes now was last used before it had to go, or 0.
  std::uint64_t rank(Position head, UnixMillis returned) const noexcept;
  /// The entry that a slot belongs to. Empty: none, or one that nobody may move now.
  Position owner_of(Position at) const noexcept;
  Position coldest(std::uint64_t place, UnixMillis returned) const noexcept;
  Position room_for_live(std::uint64_t place, UnixMillis returned, bool may_evict, Departures& departures);
  Position room_for_gone(std::uint64_t place, Departures& departures);
  /// Free slots for the text of an entry that will stand at `head`.
  bool room_for_text(Position head, std::span<Position> slots, UnixMillis returned, bool may_evict,
                     Departures& departures);
  std::size_t gather_free(Position head, std::size_t sets, bool leave_some, std::span<Position> slots) const noexcept;
  void evict_near(Position head, std::size_t sets, std::size_t wanted, UnixMillis returned, Departures& departures);
  bool evict(Position at, Departures& departures);
  void write(Position at, const NewEntry& entry, std::uint16_t scope_set, std::span<const Position> text_slots,
             const LongText* text, std::uint64_t place);
  void give_own_text(Position at, Departures& departures);
  /// Moves an entry of a full set to its other set. The freed way, if any.
  Position make_room(std::size_t set);
  /// Moves an entry to a free way. False: a reader is still booking a use on the old one, so it cannot be filled.
  bool move(Position from, Position to);
  /// The home of a place if it is free or a guest there can go to `room`; else `room`.
  Position home_or(std::uint64_t place, Position room);
  /// Leaves nothing in a slot whose write has begun, and ends the write.
  void clear(Position at) const noexcept;
  void cool(std::size_t set) const noexcept;
  bool has_text(Position at) const noexcept { return bank_.slot(at).load(Slot::generation_and_text) >> 32 != 0; }

  CacheBank bank_;
  const Fingerprinter& fingerprinter_;
  ScopeSets& scope_sets_;
  CacheFigures& figures_;
  Evicted evicted_;
  std::size_t used_ = 0;  ///< slots with entries or texts
  std::size_t hand_ = 0;  ///< set at which replace_retiring_scopes() goes on
  std::array<PackedId, remembered_moves> moved_{};
  std::uint64_t moves_ = 0;
};

/// Whoever moves a bank's entries from its first set to its last may give back what lies so many sets behind: no entry
/// further on has text there.
inline constexpr std::size_t text_reach = 64;  // sets

}  // namespace tokenstore::validate
