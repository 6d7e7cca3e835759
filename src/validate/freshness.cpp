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
    return forget_everything();
  }
  // A pulse that lags behind storage cannot tell that what is remembered is not newer than it.
  const auto owner_matters = [&](std::string_view owner) { return !exact_pulse || settings_.owner_changed(owner); };
  std::vector<Use> displaced;
  for (const Changes::Item& item : changes.items) forget_one(item.kind, item.key, owner_matters, displaced);
  keep_uses(displaced);
}

void Freshness::committed(std::span<const Mutation> batch, bool surely) noexcept {
  try {
    std::vector<Use> displaced;
    for (const Mutation& step : batch) {
      if (step.action == Mutation::Action::check) continue;
      // Whatever stops an owner counts: what is remembered of them came by the pulse, which is not relied on here. An
      // issue under a cap changes their record too, and is told from that without asking storage.
      const auto owner_matters = [&](std::string_view owner) {
        const auto* record = std::get_if<OwnerRecord>(&step.record);
        if (!surely || record == nullptr) return true;
        const Reason now = StoredSettings::permits(*record);
        return now != Reason::none || settings_.owner_changed(owner, now);
      };
      forget_one(step.kind, step.key, owner_matters, displaced);
    }
    keep_uses(displaced);
  } catch (...) {
    // The batch is in storage: a lack of memory may cost what is remembered, not make it a failure.
    forget_everything();
  }
}

template <typename OwnerMatters>
void Freshness::forget_one(RecordKind kind, std::string_view key, const OwnerMatters& owner_matters,
                           std::vector<Use>& displaced) {
  switch (kind) {
    case RecordKind::token:
      // Raised before the entry is dropped: a load that began earlier can no longer fill it in.
      tokens_.raise(tokens_.group_of(key));
      if (text::is_id(key)) table_.drop(key, unwritten_since_.load(), displaced);
      break;
    case RecordKind::owner:
      if (owner_matters(key)) owners_.raise(owners_.group_of(key));
      break;
    case RecordKind::workspace:
      // In this order: see Validator::remember.
      settings_.forget_workspace();
      owners_.raise_all();
      break;
  }
}

void Freshness::forget_everything() noexcept {
  settings_.forget_workspace();
  tokens_.raise_all();
  owners_.raise_all();
}

void Freshness::keep_uses(const std::vector<Use>& displaced) {
  for (const Use& use : displaced) uses_.note(use.id, use.used_at, use.used_from);
}

}  // namespace tokenstore::validate
