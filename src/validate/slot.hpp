/// One slot of the validator's cache: fifteen words, read without a lock. It holds an entry, or a part of an entry's
/// long text (long_text.hpp).
///
/// A slot is a sequence lock over atomic words. The one writer (who holds the table's mutex) makes the
/// sequence odd, stores, and makes it even again; a reader copies and then looks whether the sequence
/// moved. Words are stored with release and loaded with acquire, so that a reader who saw any new word
/// also sees the sequence that announced it; on x86-64 both are plain moves.
///
/// The word `use` is apart: readers write it. It holds when the token was last used and how often of
/// late, and its version bits change whenever the slot is given to another token, so that a late
/// reader's compare-and-swap cannot book a use on a stranger.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "tokenstore/environment.hpp"
#include "tokenstore/verdict.hpp"
#include "validate/fingerprint.hpp"
#include "validate/packed_address.hpp"
#include "validate/packed_id.hpp"

namespace tokenstore::validate {

enum class EntryKind : std::uint8_t {
  none = 0,
  live = 1,     ///< valid while its owner's generation stands, until `expires_at`
  gone = 2,     ///< denied while its id's generation stands
  refused = 3,  ///< denied while its owner's generation stands, until `expires_at`
};

/// The part of an entry that fits into a word.
struct EntryTraits {
  EntryKind kind = EntryKind::none;
  std::uint8_t owner_size = 0;    ///< octets of `owner`, if it is in the slot
  std::uint16_t scope_set = 0;    ///< index into ScopeSets
  std::uint16_t owner_group = 0;  ///< index into the owners' generations
  Reason reason = Reason::none;   ///< why a token that is not live is denied

  std::uint64_t pack() const noexcept {
    return std::uint64_t{static_cast<std::uint8_t>(kind)} | std::uint64_t{owner_size} << 8 |
           std::uint64_t{scope_set} << 16 | std::uint64_t{owner_group} << 32 |
           std::uint64_t{static_cast<std::uint8_t>(reason)} << 48;
  }
  static EntryTraits unpack(std::uint64_t word) noexcept {
    EntryTraits traits;
    traits.kind = static_cast<EntryKind>(word & 0xFF);
    traits.owner_size = static_cast<std::uint8_t>(word >> 8);
    traits.scope_set = static_cast<std::uint16_t>(word >> 16);
    traits.owner_group = static_cast<std::uint16_t>(word >> 32);
    traits.reason = static_cast<Reason>(word >> 48 & 0xFF);
    return traits;
  }
};

/// The word that readers write.
struct UseWord {
  static constexpr unsigned kind_bits = 2, lock_bits = 1, heat_bits = 2, version_bits = 11;
  static constexpr unsigned lock_at = kind_bits, heat_at = lock_at + lock_bits, version_at = heat_at + heat_bits,
                            time_at = version_at + version_bits;
  static constexpr std::uint64_t lock = std::uint64_t{1} << lock_at;
  static constexpr std::uint64_t hottest = (1U << heat_bits) - 1;

  std::uint64_t word = 0;

  UnixMillis time() const noexcept { return static_cast<UnixMillis>(word >> time_at); }
  bool locked() const noexcept { return (word & lock) != 0; }
  unsigned heat() const noexcept { return static_cast<unsigned>(word >> heat_at & hottest); }
  unsigned version() const noexcept { return static_cast<unsigned>(word >> version_at & ((1U << version_bits) - 1)); }
  PackedAddress::Kind address_kind() const noexcept { return static_cast<PackedAddress::Kind>(word & 3); }

  static std::uint64_t pack(UnixMillis time, unsigned version, std::uint64_t heat, PackedAddress::Kind kind) noexcept {
    return static_cast<std::uint64_t>(time) << time_at |
           std::uint64_t{version & ((1U << version_bits) - 1)} << version_at | heat << heat_at |
           std::uint64_t{static_cast<std::uint8_t>(kind)};
  }
};

inline constexpr std::size_t slot_owner_max = 36;   ///< octets: a UUID's text form fits
inline constexpr std::size_t slot_owner_words = 5;  ///< with 32 bits of the id at the end

/// The words of a slot, in the order in which a hit needs them.
struct Slot {
  enum Word : std::size_t {
    sequence,
    print_high,
    print_low,
    expires_at,
    traits,
    generation_and_text,  ///< the lower half; where its long text begins, as a number of a slot plus one, or 0
    use,
    owner,  ///< 36 octets, then the low 32 bits of the id; the first word is the sizes of its long text, if it has one
    owner_end = owner + slot_owner_words,
    address_high = owner_end,
    address_low,
    id_high,
    words
  };
  static constexpr std::size_t bytes = words * sizeof(std::uint64_t);

  std::atomic<std::uint64_t>* at = nullptr;

  std::uint64_t load(std::size_t word) const noexcept { return at[word].load(std::memory_order_acquire); }
  void store(std::size_t word, std::uint64_t value) const noexcept { at[word].store(value, std::memory_order_release); }

  /// All lines that a hit reads, unless the request says where it comes from.
  void prefetch() const noexcept {
    __builtin_prefetch(at);
    __builtin_prefetch(at + use);
    __builtin_prefetch(at + owner_end - 1);
  }
  void prefetch_address() const noexcept { __builtin_prefetch(at + address_low); }

  PackedId id() const noexcept { return {load(id_high), static_cast<std::uint32_t>(load(owner_end - 1) >> 32)}; }
  UseWord use_word() const noexcept { return {load(use)}; }
  /// Where the use came from. Belongs to it only if the use word is still the same, and not locked.
  PackedAddress address(UseWord of) const noexcept {
    return {of.address_kind(), load(address_high), load(address_low)};
  }
  void begin_write() const noexcept { store(sequence, load(sequence) + 1); }
  void end_write() const noexcept { store(sequence, load(sequence) + 1); }
};
static_assert(Slot::bytes == 120);

}  // namespace tokenstore::validate
