#include "journal/restricted.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/uint128.hpp"
#include "journal/summary.hpp"

namespace tokenstore::journal {

namespace {

// A word: 36 bits of revision, then 28 bits of the minute in which the record ends by itself. A revision that does not
// fit is as good as the highest that does; a minute that does not fit lies after the year 2480 and is no end.
constexpr unsigned minute_bits = 28;
constexpr std::uint64_t minute_mask = (std::uint64_t{1} << minute_bits) - 1;
constexpr std::uint64_t revision_gone = (std::uint64_t{1} << (64 - minute_bits)) - 1;
constexpr UnixMillis minute = 60'000;

std::uint64_t minute_of(UnixMillis until) noexcept {
  if (until <= 0) return 0;
  const std::uint64_t whole = static_cast<std::uint64_t>(until - 1) / minute + 1;
  return std::min(whole, minute_mask);
}

UnixMillis end_of(std::uint64_t word) noexcept {
  const std::uint64_t end = word & minute_mask;
  return end == minute_mask ? no_end : static_cast<UnixMillis>(end) * minute;
}

std::uint64_t word_of(RecordRevision revision, UnixMillis until) noexcept {
  const std::uint64_t bounded = revision == gone ? revision_gone : std::min(revision, revision_gone - 1);
  return bounded << minute_bits | minute_of(until);
}

RecordRevision revision_in(std::uint64_t word) noexcept {
  const std::uint64_t revision = word >> minute_bits;
  return revision == revision_gone ? gone : revision;
}

/// The higher of two revisions, and the later of two ends.
std::uint64_t merged(std::uint64_t known, std::uint64_t fresh) noexcept {
  const std::uint64_t revision = std::max(known >> minute_bits, fresh >> minute_bits);
  return revision << minute_bits | std::max(known & minute_mask, fresh & minute_mask);
}

/// How full a shard may be, and by how much it then grows: between 1.2 and 1.5 slots a record.
constexpr std::size_t most_used_percent = 85;
constexpr std::size_t growth_percent = 125;
constexpr std::size_t least_slots = 16;

bool is_full(std::size_t used, std::size_t slots) noexcept {
  return (used + 1) * 100 > slots * most_used_percent;
}

/// Whether so few can still be added that dropping what has ended would soon be needed again, and cost as much as
/// before.
bool is_nearly_full(std::size_t used, std::size_t slots) noexcept {
  return is_full(used + slots / 8, slots);
}

}  // namespace

Restricted::Restricted(RandomSource& random) noexcept {
  random.fill(hash_key_.span());
}

std::uint64_t Restricted::hash_of(RecordKind kind, std::string_view key) const noexcept {
  // The kind goes in front, so that an owner who is called as a token is another record. A name's length is bounded.
  std::array<unsigned char, 1 + 1024> octets;
  octets[0] = static_cast<unsigned char>(kind);
  const std::size_t size = std::min(key.size(), octets.size() - 1);
  if (size != 0) std::memcpy(octets.data() + 1, key.data(), size);
  std::uint64_t hash = 0;
  crypto_shorthash(reinterpret_cast<unsigned char*>(&hash), octets.data(), size + 1, hash_key_.data());
  return hash == 0 ? 1 : hash;
}

// The low bits choose the shard, the high ones the place: the same names do not crowd in both.
std::size_t Restricted::home_of(const std::vector<Slot>& slots, std::uint64_t hash) noexcept {
  return static_cast<std::size_t>(base::uint128{hash} * slots.size() >> 64);
}

// Neighbours stand in the order of their homes ("Robin Hood"). So what is not there, as most tokens are not, is found
// to be missing after a few slots, where one stands that is nearer to its home than the one looked for would be.
std::size_t Restricted::place_of(const std::vector<Slot>& slots, std::uint64_t hash) noexcept {
  const auto behind = [&](std::size_t at, std::size_t home) {
    return at >= home ? at - home : at + slots.size() - home;
  };
  const std::size_t home = home_of(slots, hash);
  std::size_t at = home;
  while (slots[at].hash != hash && slots[at].hash != 0 &&
         behind(at, home_of(slots, slots[at].hash)) >= behind(at, home)) {
    at = after(slots, at);
  }
  return at;
}

void Restricted::insert(std::vector<Slot>& slots, std::size_t at, Slot slot) noexcept {
  for (; slot.hash != 0; at = after(slots, at)) std::swap(slots[at], slot);
}

void Restricted::make_room(Shard& shard, UnixMillis now) {
  if (!is_full(shard.used, shard.slots.size())) return;
  const auto still_counts = [&](const Slot& slot) { return slot.hash != 0 && can_still_live(end_of(slot.word), now); };
  const auto kept = static_cast<std::size_t>(std::count_if(shard.slots.begin(), shard.slots.end(), still_counts));
  std::size_t wanted = std::max(least_slots, shard.slots.size());
  while (is_nearly_full(kept, wanted)) wanted = wanted * growth_percent / 100;
  std::vector<Slot> roomier(wanted);
  for (const Slot& slot : shard.slots) {
    if (still_counts(slot)) insert(roomier, place_of(roomier, slot.hash), slot);
  }
  size_.fetch_sub(shard.used - kept, std::memory_order_relaxed);
  bytes_.fetch_add((roomier.size() - shard.slots.size()) * sizeof(Slot), std::memory_order_relaxed);
  shard.slots.swap(roomier);
  shard.used = kept;
}

void Restricted::note(RecordKind kind, std::string_view key, RecordRevision revision, UnixMillis until,
                      UnixMillis now) {
  if (!can_still_live(until, now)) return;
  const std::uint64_t hash = hash_of(kind, key);
  Shard& shard = shards_[hash % shards];
  const std::lock_guard lock(shard.mutex);
  make_room(shard, now);
  const std::size_t place = place_of(shard.slots, hash);
  Slot& slot = shard.slots[place];
  if (slot.hash == hash) {
    slot.word = merged(slot.word, word_of(revision, until));
    return;
  }
  insert(shard.slots, place, {hash, word_of(revision, until)});
  ++shard.used;
  size_.fetch_add(1, std::memory_order_release);
}

RecordRevision Restricted::least_revision(RecordKind kind, std::string_view key) const noexcept {
  if (empty()) return 0;
  const std::uint64_t hash = hash_of(kind, key);
  const Shard& shard = shards_[hash % shards];
  const std::lock_guard lock(shard.mutex);
  if (shard.slots.empty()) return 0;
  const Slot& slot = shard.slots[place_of(shard.slots, hash)];
  return slot.hash == hash ? revision_in(slot.word) : 0;
}

}  // namespace tokenstore::journal
