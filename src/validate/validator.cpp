#include "validate/validator.hpp"

#include <new>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "base/text_rules.hpp"
#include "text/token_text.hpp"
#include "validate/verdict_writer.hpp"

namespace tokenstore::validate {

namespace {

/// As what an answer is remembered. `none`: not at all.
EntryKind kind_of(Reason reason) noexcept {
  switch (reason) {
    case Reason::none:
      return EntryKind::live;
    // They stay true of a text until its token's record changes, which the feed would tell.
    case Reason::unknown:
    case Reason::revoked:
    case Reason::expired:
    case Reason::retired_key:
      return EntryKind::gone;
    // Until its time comes, or its owner's or workspace's record changes.
    case Reason::pending:
    case Reason::owner_suspended:
    case Reason::owner_may_not_use:
    case Reason::tokens_disabled:
      return EntryKind::refused;
    default:
      return EntryKind::none;
  }
}

}  // namespace

Validator::Validator(ValidatorParts parts)
    : parts_(std::move(parts)),
      id_at_(parts_.prefix.size() + 1 + (text::handle_size - text::id_size)),
      text_size_(parts_.prefix.size() + text::size_without_prefix),
      full_check_(parts_.backend, parts_.sealer, parts_.clock, parts_.place, failures_),
      stored_settings_(parts_.backend, parts_.sealer, parts_.clock, parts_.place, failures_),
      memory_(new_memory().release()) {}

Validator::~Validator() {
  // In a child that never used it, the parent's memory is left alone: its locks may be held.
  if (!fork_guard_.forked()) delete memory_.load();
}

std::unique_ptr<Memory> Validator::new_memory() {
  return std::make_unique<Memory>(parts_.backend, parts_.sealer, parts_.clock, parts_.random, parts_.place,
                                  stored_settings_, parts_.cache_bytes, parts_.use_interval);
}

void Validator::start_afresh() {
  // Nothing that can be locked at a fork is used here: of several threads of the child one goes ahead.
  const int self = static_cast<int>(::getpid());
  for (;;) {
    int at_it = adopting_.load(std::memory_order_acquire);
    if (at_it != self && adopting_.compare_exchange_strong(at_it, self, std::memory_order_acq_rel)) break;
    while (adopting_.load(std::memory_order_acquire) == self && fork_guard_.forked()) std::this_thread::yield();
    if (!fork_guard_.forked()) return;
  }
  struct Done {
    std::atomic<int>& flag;
    ~Done() { flag.store(0, std::memory_order_release); }
  } done{adopting_};
  if (!fork_guard_.forked()) return;
  // The inherited memory is not freed, for the same reason as above.
  auto fresh = new_memory();
  fresh->denials.inherit(memory_.load(std::memory_order_acquire)->denials);
  memory_.store(fresh.release(), std::memory_order_release);
  failures_.start_afresh();
  fork_guard_.adopt();
  if (parts_.after_fork) parts_.after_fork();
}

/// Settings as remembered, else from storage, for one call.
class Validator::SettingsOfCall final : public SettingsSource {
 public:
  SettingsOfCall(Memory& memory, StoredSettings& stored, Seen& seen) : memory_(memory), stored_(stored), seen_(seen) {}

  OwnerStanding owner_standing(std::string_view owner) override {
    seen_.owner = memory_.owners.of(memory_.owners.group_of(owner));
    if (const auto known = memory_.settings.recall_owner(owner, seen_.owner)) return *known;
    const OwnerStanding standing = stored_.owner_standing(owner);
    if (standing.reason != Reason::storage && memory_.freshness->unmoved(seen_.pulse)) {
      memory_.settings.remember_owner(owner, seen_.owner, standing);
    }
    return standing;
  }
  Reason workspace_permits() override {
    if (const auto known = memory_.settings.recall_workspace(seen_.workspace)) return *known;
    const Reason reason = stored_.workspace_permits();
    memory_.settings.remember_workspace(seen_.workspace, reason);
    return reason;
  }

 private:
  Memory& memory_;
  StoredSettings& stored_;
  Seen& seen_;
};

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
  try {
    check(text, demand, verdict);
  } catch (...) {
    // No memory, or a backend that broke its contract: not a reason to call a token bad.
    VerdictWriter(verdict).refuse(Outcome::unavailable, Reason::storage);
    note_exception();
  }
  if (verdict.outcome() == Outcome::unavailable) counters_.raise(Count::unavailable);
}

void Validator::check(std::string_view text, const Demand& demand, Verdict& verdict) {
  if (text.size() != text_size_) {
    counters_.raise(Count::malformed);
    return VerdictWriter(verdict).refuse(Outcome::invalid, Reason::malformed);
  }
  // What is needed from memory is asked for first, and what needs none is done while it is on its way.
  __builtin_prefetch(text.data());
  __builtin_prefetch(text.data() + text.size() - 1);
  Memory& known = memory();
  if (!known.table) return check_fully(known, text, demand, std::nullopt, verdict);

  const std::string_view id = text.substr(id_at_, text::id_size);
  const CacheTable::Home home = known.table->locate(known.fingerprinter.place(IdWords::of(id.data())));
  if (!demand.client_address.empty()) home.slot.prefetch_address();
  const std::optional<std::uint64_t> current = known.freshness->current();
  const Asked asked{known.table->scope_sets().wanted(demand.scope),
                    demand.client_address.empty() ? PackedAddress{} : PackedAddress::parse(demand.client_address),
                    parts_.clock.coarse_now()};
  if (current) {
    const Fingerprint print = known.fingerprinter.fingerprint(text);
    Found found;
    if (known.table->find(home, print, found) && answer_from_memory(known, found, home.place, id, asked, verdict))
      return;
  }
  check_fully(known, text, demand, current, verdict);
}

// Short on purpose: what depends on the slot waits for memory, and while little waits the processor goes on to the
// next call.
bool Validator::answer_from_memory(Memory& memory, const Found& found, std::uint64_t place, std::string_view id,
                                   const Asked& asked, Verdict& verdict) {
  const Slot slot = found.slot;
  const EntryTraits traits = EntryTraits::unpack(slot.load(Slot::traits));
  const std::uint64_t generation_and_text = slot.load(Slot::generation_and_text);
  if (traits.kind != EntryKind::live) return refuse_from_memory(memory, found, asked, verdict);
  if (memory.owners.of(traits.owner_group) != static_cast<std::uint32_t>(generation_and_text)) return false;
  const auto expires_at = static_cast<UnixMillis>(slot.load(Slot::expires_at));
  const std::optional<UnixMillis> now = before_end(expires_at, asked);
  if (!now) return false;

  VerdictWriter answer(verdict);
  bool in_scope = false;
  if (generation_and_text >> 32 == 0) {
    const ScopeSets::Set scopes = memory.table->scope_sets().at(traits.scope_set);
    in_scope = asked.scope.bit == 0 || (scopes.bits() & asked.scope.bit) != 0;
    answer.identify<slot_owner_words>(
        in_scope ? Reason::none : Reason::insufficient_scope, id,
        [&slot](std::size_t word) { return slot.load(Slot::owner + word); }, traits.owner_size,
        [&scopes](std::size_t word) { return scopes.word(word); }, scopes.size(), expires_at);
    // The set may be another's by now: only the copy is searched.
    if (asked.scope.bit == 0) in_scope = base::has_scope(verdict.scopes(), asked.scope.scope);
    if (!in_scope) answer.lack_scope();
  } else if (!identify_by_text(memory, slot, id, asked, expires_at, in_scope, verdict)) {
    return false;
  }
  const UseWord use = slot.use_word();
  // Unchanged: everything read above belongs together.
  if (!found.unchanged()) return false;
  if (memory.denials.any() && memory.denials.may_deny(place, traits.owner_group) &&
      memory.denials.denies(id, verdict.owner())) {
    answer.refuse(Outcome::invalid, Reason::revoked);
    return true;
  }
  counters_.raise(Count::hits);
  if (in_scope && !note_use(slot, use, *now, asked.from)) memory.uses.note(id, *now, asked.from.text());
  return true;
}

std::optional<UnixMillis> Validator::before_end(UnixMillis expires_at, const Asked& asked) noexcept {
  // The exact time is asked only where the end is near. Before 1970 it always is: no lag can be taken from
  // such an end without overflow.
  if (expires_at > 0 && asked.coarse_now < expires_at - parts_.clock.coarse_lag()) return asked.coarse_now;
  const UnixMillis now = parts_.clock.now();
  return now < expires_at ? std::optional(now) : std::nullopt;
}

bool Validator::refuse_from_memory(Memory& memory, const Found& found, const Asked& asked, Verdict& verdict) {
  const EntryTraits traits = EntryTraits::unpack(found.slot.load(Slot::traits));
  const auto generation = static_cast<std::uint32_t>(found.slot.load(Slot::generation_and_text));
  if (traits.kind == EntryKind::none) return false;
  const Generations& generations = traits.kind == EntryKind::gone ? memory.tokens : memory.owners;
  if (generations.of(traits.owner_group) != generation) return false;
  const auto until = static_cast<UnixMillis>(found.slot.load(Slot::expires_at));
  if (traits.kind == EntryKind::refused && !before_end(until, asked)) return false;
  if (!found.unchanged()) return false;
  counters_.raise(Count::gone_hits);
  VerdictWriter(verdict).refuse(Outcome::invalid, traits.reason);
  return true;
}

bool Validator::identify_by_text(Memory& memory, Slot entry, std::string_view id, const Asked& asked,
                                 UnixMillis expires_at, bool& in_scope, Verdict& verdict) {
  LongTextCopy copy;  // NOLINT(cppcoreguidelines-pro-type-member-init): only written where it is read
  if (!memory.table->copy_text(entry, copy)) return false;
  const LongText text = copy.text();
  in_scope = base::has_scope(text.scopes, asked.scope.scope);
  VerdictWriter(verdict).identify(in_scope ? Reason::none : Reason::insufficient_scope, id, text.owner, text.scopes,
                                  text.metadata, expires_at);
  return true;
}

void Validator::check_fully(Memory& memory, std::string_view text, const Demand& demand,
                            std::optional<std::uint64_t> pulse, Verdict& verdict) {
  VerdictWriter answer(verdict);
  const auto token = text::parse(text, parts_.prefix);
  if (!token) {
    counters_.raise(Count::malformed);
    return answer.refuse(Outcome::invalid, Reason::malformed);
  }
  if (!parts_.sealer.tag_matches(*token)) {
    counters_.raise(Count::forged);
    return answer.refuse(Outcome::invalid, Reason::forged);
  }
  counters_.raise(Count::misses);

  Seen seen;
  const CheckedToken checked = check_at_once(memory, *token, pulse, seen);
  const TokenRecord& record = checked.record;
  bool used = false;
  if (checked.reason != Reason::none) {
    answer.refuse(FullCheck::outcome_of(checked.reason), checked.reason);
    if (kind_of(checked.reason) == EntryKind::none) return;
  } else if (memory.denials.any() && memory.denials.denies(record.id, record.owner)) {
    return answer.refuse(Outcome::invalid, Reason::revoked);
  } else {
    used = base::has_scope(record.scopes, demand.scope);
    answer.identify(used ? Reason::none : Reason::insufficient_scope, record.id, record.owner, record.scopes,
                    record.metadata, record.expires_at);
  }
  if (pulse) {
    remember(memory, *token, text, checked, demand, used, seen);
  } else if (used) {
    const bool known_address = base::is_client_address(demand.client_address);
    memory.uses.note(record.id, parts_.clock.now(), known_address ? demand.client_address : std::string_view());
  }
}

CheckedToken Validator::check_at_once(Memory& memory, const text::ParsedToken& token,
                                      std::optional<std::uint64_t>& pulse, Seen& seen) {
  // Record and settings are loaded one after the other. If both say "valid" but something was committed in between,
  // there may never have been a moment at which both did. A refusal was true when it was loaded.
  constexpr int most_repeats = 3;
  for (int repeats = 0;; ++repeats) {
    // Read before storage is: whatever changes from here on forbids remembering what is loaded.
    seen.pulse = pulse ? *pulse : parts_.backend.pulse().counter;
    const std::uint16_t group = memory.tokens.group_of(token.id);
    seen.token = memory.tokens.of(group);
    seen.owner = memory.owners.of(group);
    seen.workspace = memory.settings.workspace_generation();
    SettingsOfCall remembered(memory, stored_settings_, seen);
    CheckedToken checked = full_check_.run(token, pulse ? static_cast<SettingsSource&>(remembered) : stored_settings_);
    const bool certain = checked.reason != Reason::none || parts_.backend.pulse().counter == seen.pulse;
    if (certain || repeats == most_repeats) return checked;
    if (memory.freshness) pulse = memory.freshness->current();
  }
}

void Validator::remember(Memory& memory, const text::ParsedToken& token, std::string_view text,
                         const CheckedToken& checked, const Demand& demand, bool used, const Seen& seen) {
  const std::uint16_t token_group = memory.tokens.group_of(token.id);
  const EntryKind kind = kind_of(checked.reason);
  const bool live = kind == EntryKind::live;
  NewEntry entry;
  entry.print = memory.fingerprinter.fingerprint(text);
  entry.kind = kind;
  entry.reason = checked.reason;
  entry.id = token.id;
  entry.owner_group = token_group;
  entry.owner_generation = seen.token;
  if (live) {
    entry.owner = checked.record.owner;
    entry.scopes = checked.record.scopes;
    entry.metadata = checked.record.metadata;
    entry.owner_group = memory.owners.group_of(checked.record.owner);
    entry.owner_generation = seen.owner;
    entry.expires_at = checked.record.expires_at;
  }
  if (kind == EntryKind::refused) {
    // Where the workspace denies, the owner was not asked: any group's generation moves with the workspace's record.
    if (checked.reason != Reason::tokens_disabled) entry.owner_group = memory.owners.group_of(checked.record.owner);
    entry.owner_generation = seen.owner;
    entry.expires_at = checked.reason == Reason::pending ? checked.record.not_before : never;
  }
  if (used || !live) entry.used_at = parts_.clock.now();
  if (used) entry.used_from = PackedAddress::parse(demand.client_address);

  std::vector<Use> displaced;
  // The workspace's record was read before the owner's generation was, so a change of it in between does
  // not show in the entry. A change from here on raises the generation that the entry holds.
  const Kept kept = memory.table->try_put(entry, memory.unwritten_since.load(), displaced, [&] {
    return memory.freshness->unmoved(seen.pulse) && memory.tokens.of(token_group) == seen.token &&
           memory.settings.workspace_generation() == seen.workspace;
  });
  for (const Use& use : displaced) memory.uses.note(use.id, use.used_at, use.used_from);
  if (used && kept != Kept::yes) memory.uses.note(token.id, entry.used_at, entry.used_from.text());
}

void Validator::committed(std::span<const Mutation> batch, std::string_view entry, std::uint64_t revision) noexcept {
  // A child that has not used it remembers nothing, and must not touch what its parent did.
  if (fork_guard_.forked()) return;
  const Memory& known = *memory_.load(std::memory_order_acquire);
  if (known.freshness) known.freshness->committed(batch, entry, revision);
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
