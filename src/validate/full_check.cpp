#include "validate/full_check.hpp"

#include <limits>
#include <optional>

namespace tokenstore::validate {

namespace {

constexpr UnixMillis not_ended = std::numeric_limits<UnixMillis>::max();

/// Why a record with this seal decides nothing; `none` if it is genuine.
Reason distrust(seal::SealCheck check) noexcept {
  switch (check) {
    case seal::SealCheck::genuine:
      return Reason::none;
    case seal::SealCheck::retired_key:
      return Reason::retired_key;
    case seal::SealCheck::tampered:
    case seal::SealCheck::unknown_key:
      break;
  }
  return Reason::tampered;
}

/// What the journal says of a stored record: `none`, `rolled_back`, or `storage` if it could not be asked.
Reason objection(std::optional<RecordRevision> least, RecordRevision revision,
                 const std::unique_ptr<journal::Journal>& journal, Failures& failures, UnixMillis now) {
  if (least) return revision < *least ? Reason::rolled_back : Reason::none;
  failures.note(journal->trouble().value_or(Error(Status::unavailable, "the journal cannot be read")), now);
  return Reason::storage;
}

TokenRecord record_of_nobody(const seal::Sealer& sealer, const seal::Place& place) {
  TokenRecord record;
  record.id = std::string(text::id_size, '0');
  record.key_id = sealer.active_key_id();
  record.owner = "nobody.in.particular";
  record.scopes = "none";
  record.created_by = "user:nobody.in.particular";
  sealer.seal(place, record);
  return record;
}

}  // namespace

OwnerStanding StoredSettings::owner_standing(std::string_view owner) {
  const auto least = journal::least_revision(journal_, RecordKind::owner, owner);
  const auto loaded = backend_.load_owner(place_.workspace, owner);
  if (!loaded.ok()) {
    failures_.note(loaded.error(), clock_.now());
    return {Reason::storage};
  }
  if (!loaded->has_value() || (*loaded)->owner != owner) return {Reason::tampered};
  const OwnerRecord& record = **loaded;
  if (const Reason why = distrust(sealer_.verify(place_, record)); why != Reason::none) return {why};
  const Reason put_back = objection(least, record.revision, journal_, failures_, clock_.now());
  if (put_back != Reason::none) return {put_back};
  return standing_in(record);
}

OwnerStanding StoredSettings::standing_in(const OwnerRecord& record) noexcept {
  Reason reason = record.may_use ? Reason::none : Reason::owner_may_not_use;
  if (record.suspended_at != not_ended) reason = Reason::owner_suspended;
  return {reason, record.birth, record.revoke_all_count};
}

Reason StoredSettings::workspace_permits() {
  const auto least = journal::least_revision(journal_, RecordKind::workspace, place_.workspace);
  const auto loaded = backend_.load_workspace(place_.workspace);
  if (!loaded.ok()) {
    failures_.note(loaded.error(), clock_.now());
    return Reason::storage;
  }
  if (!loaded->has_value()) return Reason::tampered;
  const WorkspaceRecord& record = **loaded;
  // One that was born later is another workspace of the same name.
  if (record.workspace != place_.workspace || record.birth != place_.workspace_birth) return Reason::tampered;
  if (const Reason why = distrust(sealer_.verify(place_.store, record)); why != Reason::none) return why;
  const Reason put_back = objection(least, record.revision, journal_, failures_, clock_.now());
  if (put_back != Reason::none) return put_back;
  return record.tokens_enabled ? Reason::none : Reason::tokens_disabled;
}

FullCheck::FullCheck(Backend& backend, seal::LiveSealer& sealer, base::EffectiveClock& clock, const seal::Place& place,
                     const std::unique_ptr<journal::Journal>& journal, Failures& failures)
    : backend_(backend),
      sealer_(sealer),
      clock_(clock),
      place_(place),
      journal_(journal),
      failures_(failures),
      nobody_(record_of_nobody(sealer.now(), place)) {}

CheckedToken FullCheck::run(const text::ParsedToken& token, SettingsSource& settings) const {
  CheckedToken checked;
  const auto least = journal::least_revision(journal_, RecordKind::token, token.id);
  auto loaded = backend_.load_token(place_.workspace, token.id);
  if (!loaded.ok()) {
    failures_.note(loaded.error(), clock_.now());
    return checked;
  }

  const bool found = loaded->has_value();
  if (found) checked.record = std::move(**loaded);
  const TokenRecord& record = found ? checked.record : nobody_;
  // Both MACs whatever comes out, so that the time does not tell what was found.
  const seal::Sealer& keys = sealer_.now();
  const bool right_secret = keys.verifier_matches(place_.workspace, token, record.verifier);
  Reason seal = Reason::none;
  if (found) {
    seal = distrust(sealer_.verify(place_, record));
  } else {
    keys.work_like_verify(place_, record);
  }

  if (!found) {
    checked.reason = Reason::unknown;
  } else if (!right_secret) {
    // A key that was taken out since the tag was checked compares with nothing.
    checked.reason = keys.key_use(token.key_id) ? Reason::wrong_secret : Reason::forged;
  } else if (record.id != token.id || record.key_id != token.key_id) {
    checked.reason = Reason::tampered;
  } else if (seal != Reason::none) {
    checked.reason = seal;
  } else {
    checked.reason = judge(token, record, least, settings);
  }
  return checked;
}

Reason FullCheck::judge(const text::ParsedToken& token, const TokenRecord& record, std::optional<RecordRevision> least,
                        SettingsSource& settings) const {
  if (has_ended(token.key_id)) return Reason::retired_key;
  const Reason put_back = objection(least, record.revision, journal_, failures_, clock_.now());
  if (put_back != Reason::none) return put_back;
  if (const Reason workspace = settings.workspace_permits(); workspace != Reason::none) return workspace;
  const OwnerStanding owner = settings.owner_standing(record.owner);
  if (owner.reason == Reason::storage || owner.reason == Reason::tampered || owner.reason == Reason::retired_key ||
      owner.reason == Reason::rolled_back) {
    return owner.reason;
  }
  // Bound to an owner's record that is gone, or to a later state of this one: somebody put records back or away.
  if (record.owner_birth != owner.birth || record.revoke_all_count > owner.revoke_all_count) return Reason::tampered;
  if (owner.reason != Reason::none) return owner.reason;
  const Reason state = state_reason(record, clock_.now());
  const bool has_ended = state != Reason::none && state != Reason::pending;
  return !has_ended && record.revoke_all_count < owner.revoke_all_count ? Reason::revoked : state;
}

bool FullCheck::has_ended(std::string_view key_id) const noexcept {
  const auto ended_in = [key_id](const seal::Sealer& keys) {
    const std::optional<KeyUse> use = keys.key_use(key_id);
    return !use || *use == KeyUse::retired;
  };
  const seal::Sealer& known = sealer_.now();
  return ended_in(known) && (!sealer_.look(known) || ended_in(sealer_.now()));
}

Outcome FullCheck::outcome_of(Reason reason) noexcept {
  if (reason == Reason::none) return Outcome::valid;
  return reason == Reason::storage ? Outcome::unavailable : Outcome::invalid;
}

Reason FullCheck::state_reason(const TokenRecord& record, UnixMillis now) noexcept {
  if (record.revoked_at != not_ended) return Reason::revoked;
  if (record.expired_at != not_ended || record.expires_at <= now) return Reason::expired;
  if (record.not_before > now) return Reason::pending;
  return Reason::none;
}

}  // namespace tokenstore::validate
