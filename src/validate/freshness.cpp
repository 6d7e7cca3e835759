#include "validate/freshness.hpp"

#include <algorithm>

#include "text/token_text.hpp"

namespace tokenstore::validate {

std::optional<std::uint64_t> Freshness::catch_up(const Pulse& seen) {
  const std::uint64_t begun = begun_.load(std::memory_order_acquire);
  const std::lock_guard lock(mutex_);
  // Who waited for a reading that began after their call did has no need of another one, however often the pulse has
  // moved since: under many commits the threads share one.
  const std::uint64_t synced = synced_.load(std::memory_order_relaxed);
  const bool read_meanwhile = read_ > begun;
  if (synced == seen.counter || read_meanwhile) return synced;
  begun_.fetch_add(1, std::memory_order_acq_rel);
  if (!read_feed()) return std::nullopt;
  read_ = begun_.load(std::memory_order_relaxed);
  return synced_.load(std::memory_order_relaxed);
}

bool Freshness::read_feed() {
  // Read before the feed: a commit in between costs one more catch-up instead of being missed.
  const Pulse before = backend_.pulse();
  // Who changes keys announces it, and the pulse that was moved by it has just been read.
  sealer_.look_by_mark(before.counter);
  const std::uint64_t committed = committed_revision_.load(std::memory_order_acquire);
  auto changes = backend_.changes(place_.workspace, revision_.value_or(seal::far_ahead));
  if (!changes.ok()) return false;
  // Before this call goes by anything: an ending is in the journal before it is acknowledged.
  read_journal();
  catch_ups_.fetch_add(1, std::memory_order_relaxed);
  if (!revision_) {
    // Nothing can be remembered yet but by a pulse that began at 0.
    forget_everything();
    revision_ = changes->revision;
    link_ = changes->link;
    synced_.store(before.counter, std::memory_order_release);
    return true;
  }
  auto named = read_on(*changes);
  if (changes->revision < std::max(committed, *revision_)) {
    // The feed was put back behind what this process has announced or read.
    named.reset();
    feed_mismatches_.fetch_add(1, std::memory_order_relaxed);
    std::uint64_t known = committed;
    committed_revision_.compare_exchange_strong(known, changes->revision, std::memory_order_acq_rel);
  }
  forget(named, before.trusted_until == std::numeric_limits<std::int64_t>::max());
  revision_ = changes->revision;
  link_ = changes->link;
  synced_.store(before.counter, std::memory_order_release);
  return true;
}

std::optional<std::vector<seal::ChangedRecord>> Freshness::read_on(const Changes& changes) {
  const auto is_unknown = [this](const Changes::Entry& entry) {
    return !sealer_.now().key_use(seal::key_of_entry(entry.text));
  };
  if (std::any_of(changes.entries.begin(), changes.entries.end(), is_unknown)) sealer_.look(sealer_.now());
  auto reading = seal::read_on(sealer_.now(), place_, *revision_, link_, changes);
  const auto tells_of_keys = [](const seal::ChangedRecord& changed) { return changed.kind == RecordKind::store; };
  if (reading.named && std::any_of(reading.named->begin(), reading.named->end(), tells_of_keys)) {
    sealer_.look(sealer_.now(), seal::LiveSealer::Ask::outright);
  }
  if (!reading.fits) feed_mismatches_.fetch_add(1, std::memory_order_relaxed);
  return std::move(reading.named);
}

void Freshness::forget(const std::optional<std::vector<seal::ChangedRecord>>& named, bool exact_pulse) {
  if (!named) {
    dropped_all_.fetch_add(1, std::memory_order_relaxed);
    return forget_everything();
  }
  // A pulse that lags behind storage cannot tell that what is remembered is not newer than it.
  const auto owner_matters = [&](std::string_view owner) { return !exact_pulse || settings_.owner_changed(owner); };
  std::vector<Use> displaced;
  for (const seal::ChangedRecord& changed : *named) forget_one(changed.kind, changed.key, owner_matters, displaced);
  keep_uses(displaced);
}

void Freshness::read_journal() {
  if (!journal_) return;
  try {
    std::optional<std::vector<seal::ChangedRecord>> named(std::in_place);
    journal_->read_on(named);
    if (!named) return forget_everything();
    std::vector<Use> displaced;
    const auto always = [](std::string_view) { return true; };
    for (const seal::ChangedRecord& one : *named) forget_one(one.kind, one.key, always, displaced);
    keep_uses(displaced);
  } catch (...) {
    // It will not be named a second time.
    forget_everything();
    throw;
  }
}

void Freshness::committed(std::span<const Mutation> batch, std::string_view entry, std::uint64_t revision) noexcept {
  const bool surely = revision != 0;
  std::uint64_t known = committed_revision_.load(std::memory_order_relaxed);
  while (surely && !entry.empty() && known < revision &&
         !committed_revision_.compare_exchange_weak(known, revision, std::memory_order_acq_rel)) {
  }
  try {
    std::vector<Use> displaced;
    for (const Mutation& step : batch) {
      if (step.action == Mutation::Action::check) continue;
      // Whatever stops an owner counts: what is remembered of them came by the pulse, which is not relied on here. An
      // issue under a cap changes their record too, and is told from that without asking storage.
      const auto owner_matters = [&](std::string_view owner) {
        const auto* record = std::get_if<OwnerRecord>(&step.record);
        if (!surely || record == nullptr) return true;
        const OwnerStanding now = StoredSettings::standing_in(*record);
        return now.reason != Reason::none || settings_.owner_changed(owner, now);
      };
      forget_one(step.kind, step.key, owner_matters, displaced);
    }
    // An ending is announced also where there was nothing left to change.
    if (batch.empty() && !entry.empty()) {
      const auto named = seal::changes_named(entry);
      if (!named) return forget_everything();
      for (const seal::ChangedRecord& changed : *named) {
        forget_one(
            changed.kind, changed.key, [](std::string_view) { return true; }, displaced);
      }
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
    case RecordKind::store:
      break;  // sealed anew, or named for the sake of keys
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
