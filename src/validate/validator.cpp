#include "validate/validator.hpp"

#include <new>
#include <utility>

#include "text/token_text.hpp"
#include "validate/verdict_writer.hpp"

namespace tokenstore::validate {

Validator::Validator(ValidatorParts parts)
    : parts_(std::move(parts)),
      text_size_(parts_.prefix.size() + text::size_without_prefix),
      hits_(parts_.prefix, parts_.clock, counters_),
      misses_(parts_.backend, parts_.sealer, parts_.clock, parts_.place, parts_.journal, failures_),
      memory_(new_memory().release()) {}

Validator::~Validator() {
  // In a child that never used it, the parent's memory is left alone: its locks may be held.
  if (!fork_guard_.forked()) delete memory_.load();
}

std::unique_ptr<Memory> Validator::new_memory() {
  return std::make_unique<Memory>(parts_.backend, parts_.sealer, parts_.clock, parts_.random, parts_.place,
                                  parts_.journal, misses_.stored_settings(), parts_.cache_bytes, parts_.use_interval);
}

void Validator::start_afresh() {
  bool by_this_thread = false;
  fork_guard_.adopt([&] {
    // The inherited memory is not freed, for the same reason as above.
    auto fresh = new_memory();
    fresh->denials.inherit(memory_.load(std::memory_order_acquire)->denials);
    memory_.store(fresh.release(), std::memory_order_release);
    failures_.start_afresh();
    return by_this_thread = true;
  });
  if (by_this_thread && parts_.after_fork) parts_.after_fork();
}

/// Of the exception that is being handled.
void Validator::note_exception() noexcept {
  try {
    try {
      throw;
    } catch (const std::bad_alloc&) {
      failures_.note(Error(Status::out_of_memory, "no memory is left; free some and try again"), parts_.clock.now());
    } catch (...) {
      failures_.note(Error(Status::internal, "storage has thrown an exception: see its own log"), parts_.clock.now());
    }
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for the line either
  }
}

void Validator::validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept {
  decide(text, demand, Asking::storage_too, verdict);
  if (verdict.outcome() == Outcome::unavailable) counters_.raise(Count::unavailable);
}

bool Validator::try_validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept {
  // The memory of a forked child is made by whoever may wait.
  const bool decided = !fork_guard_.forked() && decide(text, demand, Asking::memory_alone, verdict);
  if (!decided) VerdictWriter(verdict).refuse(Outcome::unavailable, Reason::storage);
  return decided;
}

bool Validator::decide(std::string_view text, const Demand& demand, Asking asking, Verdict& verdict) noexcept {
  try {
    return check(text, demand, asking, verdict);
  } catch (...) {
    // No memory, or a backend that broke its contract: not a reason to call a token bad.
    VerdictWriter(verdict).refuse(Outcome::unavailable, Reason::storage);
    note_exception();
    return asking == Asking::storage_too;
  }
}

bool Validator::check(std::string_view text, const Demand& demand, Asking asking, Verdict& verdict) {
  if (text.size() != text_size_) return deny(Count::malformed, Reason::malformed, verdict);
  Memory& known = memory();
  const bool may_wait = asking == Asking::storage_too;
  std::optional<std::uint64_t> pulse;
  if (hits_.answer(known, text, demand, may_wait ? Hits::CatchUp::yes : Hits::CatchUp::no, pulse, verdict)) return true;

  const auto token = text::parse(text, parts_.prefix);
  if (!token) return deny(Count::malformed, Reason::malformed, verdict);
  const std::optional<bool> tagged = has_right_tag(*token, may_wait);
  if (!tagged) return false;
  if (!*tagged) return deny(Count::forged, Reason::forged, verdict);
  if (!may_wait) return false;
  counters_.raise(Count::misses);
  misses_.answer(known, *token, text, demand, pulse, verdict);
  if (verdict.reason() == Reason::rolled_back) counters_.raise(Count::rolled_back);
  return true;
}

std::optional<bool> Validator::has_right_tag(const text::ParsedToken& token, bool may_wait) noexcept {
  const seal::Sealer& sealer = parts_.sealer.now();
  if (sealer.tag_matches(token)) return true;
  // Made with a key that this process has not heard of yet, perhaps.
  if (!parts_.sealer.can_change() || sealer.key_use(token.key_id)) return false;
  if (!may_wait) return std::nullopt;
  return parts_.sealer.look(sealer) && parts_.sealer.now().tag_matches(token);
}

bool Validator::deny(Count which, Reason reason, Verdict& verdict) {
  counters_.raise(which);
  VerdictWriter(verdict).refuse(Outcome::invalid, reason);
  return true;
}

void Validator::committed(std::span<const Mutation> batch, std::string_view entry, std::uint64_t revision) noexcept {
  // A child that has not used it remembers nothing, and must not touch what its parent did.
  if (fork_guard_.forked()) return;
  const Memory& known = *memory_.load(std::memory_order_acquire);
  if (known.freshness) known.freshness->committed(batch, entry, revision);
}

void Validator::keys_changed() noexcept {
  // As above.
  if (fork_guard_.forked()) return;
  const Memory& known = *memory_.load(std::memory_order_acquire);
  if (known.freshness) known.freshness->forget_everything();
}

void Validator::read_journal() {
  if (!parts_.journal) return;
  if (const Memory& known = memory(); known.freshness) return known.freshness->read_journal();
  std::optional<std::vector<seal::ChangedRecord>> nothing;
  parts_.journal->read_on(nothing);
}

std::optional<Use> Validator::pending_use(std::string_view id) {
  Memory& known = memory();
  auto logged = known.uses.find(id);
  auto cached = known.table ? known.table->use_of(id) : std::nullopt;
  if (!logged || !cached) return logged ? logged : cached;
  return logged->used_at > cached->used_at ? logged : cached;
}

Result<bool> Validator::write_due_uses(std::chrono::milliseconds budget) {
  // A child that did not use the store has nothing of its own to write.
  if (parts_.backend.read_only() || fork_guard_.forked()) return false;
  return memory().use_writer.write_due(budget);
}

Result<void> Validator::write_all_uses() {
  if (parts_.backend.read_only() || fork_guard_.forked()) return {};
  return memory().use_writer.write_all();
}

Statistics Validator::statistics() const noexcept {
  Statistics figures;
  figures.hits = counters_.sum(Count::hits);
  figures.negative_hits = counters_.sum(Count::gone_hits);
  figures.misses = counters_.sum(Count::misses);
  figures.malformed = counters_.sum(Count::malformed);
  figures.forged = counters_.sum(Count::forged);
  figures.unavailable = counters_.sum(Count::unavailable);
  const Memory& known = *memory_.load(std::memory_order_acquire);
  figures.uses_written = known.use_writer.written();
  if (known.table) {
    figures.catch_ups = known.freshness->catch_ups();
    figures.dropped_all = known.freshness->dropped_all();
    figures.feed_mismatches = known.freshness->feed_mismatches();
    figures.evictions = known.table->evictions();
    figures.cached_tokens = known.table->live();
    figures.cache_bytes = known.table->bytes() + known.settings.bytes();
    figures.not_kept_busy = known.table->not_kept(Kept::busy);
    figures.not_kept_changed = known.table->not_kept(Kept::changed);
    figures.not_kept_no_room = known.table->not_kept(Kept::no_room);
  }
  return figures;
}

}  // namespace tokenstore::validate
