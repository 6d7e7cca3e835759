#include "validate/freshness.hpp"

#include "text/token_text.hpp"

namespace tokenstore::validate {

bool Freshness::catch_up(const Pulse& seen) {
  const std::lock_guard lock(mutex_);
  if (synced_.load(std::memory_order_relaxed) == seen.counter) return true;
  // Read before the feed: a commit in between costs one more catch-up instead of being missed.
  const Pulse before = backend_.pulse();
  auto changes = backend_.changes(workspace_, revision_);
  if (!changes.ok()) return false;
  catch_ups_.fetch_add(1, std::memory_order_relaxed);
  forget(*changes, before.trusted_until == std::numeric_limits<std::int64_t>::max());
  revision_ = changes->revision;
  synced_.store(before.counter, std::memory_order_release);
  return true;
}

void Freshness::forget(const Changes& changes, bool exact_pulse) {
  if (changes.everything) {
    dropped_all_.fetch_add(1, std::memory_order_relaxed);
    settings_.forget_workspace();
    tokens_.raise_all();
    owners_.raise_all();
    return;
  }
  std::vector<Use> displaced;
  for (const Changes::Item& item : changes.items) {
    switch (item.kind) {
      case RecordKind::token:
        // Raised before the entry is dropped: a load that began earlier can no longer fill it in.
        tokens_.raise(Generations::group_of(item.key));
        if (text::is_id(item.key)) table_.drop(item.key, unwritten_since_.load(), displaced);
        break;
      case RecordKind::owner:
        // A pulse that lags behind storage cannot tell that what is remembered is not newer than it.
        if (!exact_pulse || settings_.owner_changed(item.key)) owners_.raise(Generations::group_of(item.key));
        break;
      case RecordKind::workspace:
        // In this order: see Validator::remember.
        settings_.forget_workspace();
        owners_.raise_all();
        break;
    }
  }
  for (const Use& use : displaced) uses_.note(use.id, use.used_at, use.used_from);
}

}  // namespace tokenstore::validate
