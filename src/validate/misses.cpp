#include "validate/misses.hpp"

#include <vector>

#include "base/text_rules.hpp"
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

Misses::Misses(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, const seal::Place& place,
               const std::unique_ptr<journal::Journal>& journal, Failures& failures)
    : backend_(backend),
      sealer_(sealer),
      clock_(clock),
      journal_(journal),
      full_check_(backend, sealer, clock, place, journal, failures),
      stored_settings_(backend, sealer, clock, place, journal, failures) {}

/// Settings as remembered, else from storage, for one call.
class Misses::SettingsOfCall final : public SettingsSource {
 public:
  SettingsOfCall(Memory& memory, StoredSettings& stored, Seen& seen) : memory_(memory), stored_(stored), seen_(seen) {}

  OwnerStanding owner_standing(std::string_view owner) override {
    seen_.owner = memory_.owners.of(memory_.owners.group_of(owner));
    if (const auto known = memory_.settings.recall_owner(owner, seen_.owner)) return *known;
    const OwnerStanding standing = stored_.owner_standing(owner);
    const bool passing = standing.reason == Reason::storage || standing.reason == Reason::rolled_back;
    if (!passing && memory_.freshness->unmoved(seen_.pulse)) {
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

void Misses::answer(Memory& memory, const text::ParsedToken& token, std::string_view text, const Demand& demand,
                    std::optional<std::uint64_t> pulse, Verdict& verdict) {
  VerdictWriter answer(verdict);
  Seen seen;
  // Who remembers nothing follows no feed, and the journal is read with it.
  if (journal_ && !memory.freshness) {
    std::optional<std::vector<seal::ChangedRecord>> nothing;
    journal_->read_on(nothing);
  }
  const CheckedToken checked = check_at_once(memory, token, pulse, seen);
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
    remember(memory, token, text, checked, demand, used, seen);
  } else if (used) {
    const bool known_address = base::is_client_address(demand.client_address);
    memory.uses.note(record.id, clock_.now(), known_address ? demand.client_address : std::string_view());
  }
}

CheckedToken Misses::check_at_once(Memory& memory, const text::ParsedToken& token, std::optional<std::uint64_t>& pulse,
                                   Seen& seen) {
  // Record and settings are loaded one after the other. If both say "valid" but something was committed in between,
  // there may never have been a moment at which both did. A refusal was true when it was loaded.
  constexpr int most_repeats = 3;
  for (int repeats = 0;; ++repeats) {
    // Read before storage is: whatever changes from here on forbids remembering what is loaded.
    seen.pulse = pulse ? *pulse : backend_.pulse().counter;
    sealer_.look_if_due(seen.pulse);
    const std::uint16_t group = memory.tokens.group_of(token.id);
    seen.token = memory.tokens.of(group);
    seen.owner = memory.owners.of(group);
    seen.workspace = memory.settings.workspace_generation();
    SettingsOfCall remembered(memory, stored_settings_, seen);
    CheckedToken checked = full_check_.run(token, pulse ? static_cast<SettingsSource&>(remembered) : stored_settings_);
    const bool certain = checked.reason != Reason::none || backend_.pulse().counter == seen.pulse;
    if (certain || repeats == most_repeats) return checked;
    if (memory.freshness) pulse = memory.freshness->current();
  }
}

void Misses::remember(Memory& memory, const text::ParsedToken& token, std::string_view text,
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
  if (used || !live) entry.used_at = clock_.now();
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

}  // namespace tokenstore::validate
