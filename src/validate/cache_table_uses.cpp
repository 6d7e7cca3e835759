// Collecting the uses that the entries hold, while entries come, go and move.
#include <algorithm>

#include "validate/cache_table.hpp"

namespace tokenstore::validate {

namespace {

bool used_in(const CacheBank& bank, Position at, UnixMillis since) noexcept {
  if (!bank.holds_entry(at)) return false;
  const Slot slot = bank.slot(at);
  const UseWord word = slot.use_word();
  return word.time() != 0 && word.time() >= since &&
         EntryTraits::unpack(slot.load(Slot::traits)).kind == EntryKind::live;
}

}  // namespace

std::optional<Use> CacheTable::use_of(const PackedId& id) {
  const std::lock_guard lock(writer_mutex_);
  const Position found = writer().find(writer().place_of(id), id);
  if (!found || !used_in(writer().bank(), found, 0)) return std::nullopt;
  return current_use(writer().bank().slot(found));
}

std::vector<PackedId> CacheTable::used_since(UnixMillis since) {
  // In steps, so that whoever has to drop an entry meanwhile does not wait for the whole table.
  constexpr std::size_t step = 512;
  std::vector<PackedId> ids;
  const BankWriter* seen = nullptr;
  std::uint64_t moves_seen = 0;
  for (std::size_t set = 0;;) {
    const std::lock_guard lock(writer_mutex_);
    const BankWriter& current = writer();
    const CacheBank& bank = writer().bank();
    if (&current != seen || current.moves() - moves_seen > BankWriter::remembered_moves) {
      set = 0;  // it grew, or more moved than is known: what was read is read again
    } else {
      // From a set that is still to be read into one that was.
      for (; moves_seen != current.moves(); ++moves_seen) {
        const PackedId& id = current.moved(moves_seen);
        if (const Position at = current.find(current.place_of(id), id); at && used_in(bank, at, since))
          ids.push_back(id);
      }
    }
    seen = &current;
    moves_seen = current.moves();
    const std::size_t end = std::min(set + step, bank.sets);
    for (; set < end; ++set) {
      for (std::size_t way = 0; way < CacheBank::ways; ++way) {
        if (used_in(bank, {set, way}, since)) ids.push_back(bank.slot(set, way).id());
      }
    }
    if (set == bank.sets) break;
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace tokenstore::validate
