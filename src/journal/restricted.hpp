/// What the journal restricts, in memory: for each record the revision below which a stored one is an older state.
///
/// 16 octets a record: a keyed hash of its name, its revision, and when it would have ended by itself, after which it
/// is dropped. Two names of one hash would share the higher revision: nobody can choose such names, and by chance it
/// needs billions of records. Thread-safe; whoever looks takes one of many locks for a moment.
///
/// One set is of one workspace: a name says which record it is within one alone, and is all that is hashed. Who reads a
/// journal of several has a set for each.
#pragma once

#include <sodium/crypto_shorthash.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/wipe.hpp"
#include "journal/entry.hpp"

namespace tokenstore::journal {

class Restricted {
 public:
  explicit Restricted(RandomSource& random) noexcept;

  /// Never lowers what is known. Throws std::bad_alloc, and then knows what it knew before.
  void note(RecordKind kind, std::string_view key, RecordRevision revision, UnixMillis until, UnixMillis now);
  /// The revision that a stored record has to have at least: 0 if nothing is known of it, `gone` if it must not be
  /// there.
  RecordRevision least_revision(RecordKind kind, std::string_view key) const noexcept;

  bool empty() const noexcept { return size_.load(std::memory_order_acquire) == 0; }
  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Slot {
    std::uint64_t hash = 0;  ///< 0: free
    std::uint64_t word = 0;  ///< revision and end, see restricted.cpp
  };
  struct Shard {
    mutable std::mutex mutex;
    std::vector<Slot> slots;
    std::size_t used = 0;
  };
  static constexpr std::size_t shards = 64;

  std::uint64_t hash_of(RecordKind kind, std::string_view key) const noexcept;
  static std::size_t home_of(const std::vector<Slot>& slots, std::uint64_t hash) noexcept;
  static std::size_t after(const std::vector<Slot>& slots, std::size_t at) noexcept {
    return at + 1 == slots.size() ? 0 : at + 1;
  }
  /// Where a record is, or is to be inserted. There is always a free slot.
  static std::size_t place_of(const std::vector<Slot>& slots, std::uint64_t hash) noexcept;
  /// Puts a record at its place; those that stand from there on make room.
  static void insert(std::vector<Slot>& slots, std::size_t at, Slot slot) noexcept;
  void make_room(Shard& shard, UnixMillis now);

  base::WipedBytes<crypto_shorthash_KEYBYTES> hash_key_;
  std::array<Shard, shards> shards_;
  std::atomic<std::size_t> size_{0};
  std::atomic<std::size_t> bytes_{0};
};

}  // namespace tokenstore::journal
