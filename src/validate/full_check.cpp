#include "validate/full_check.hpp"

#include <limits>

namespace tokenstore::validate {

namespace {

/// What a missing record is compared with, so that its absence costs what its presence does.
const TokenRecord& dummy_record() {
  static const TokenRecord record = [] {
    TokenRecord made;
    made.id = std::string(text::id_size, '0');
    made.key_id = "00";
    made.owner = "nobody.in.particular";
    made.scopes = "none";
    made.created_by = "user:nobody.in.particular";
    return made;
  }();
  return record;
}

}  // namespace

Reason StoredSettings::owner_permits(std::string_view owner) {
  const auto loaded = backend_.load_owner(workspace_, owner);
  if (!loaded.ok()) {
    failures_.note(loaded.error(), clock_.now());
    return Reason::storage;
  }
  if (!loaded->has_value()) return Reason::tampered;
  const OwnerRecord& record = **loaded;
  if (record.owner != owner || sealer_.verify(workspace_, record) != seal::SealCheck::genuine) return Reason::tampered;
  return permits(record);
}

Reason StoredSettings::permits(const OwnerRecord& record) noexcept {
  if (record.suspended_at != std::numeric_limits<UnixMillis>::max()) return Reason::owner_suspended;
  return record.may_use ? Reason::none : Reason::owner_may_not_use;
}

Reason StoredSettings::workspace_permits() {
  const auto loaded = backend_.load_workspace(workspace_);
  if (!loaded.ok()) {
    failures_.note(loaded.error(), clock_.now());
    return Reason::storage;
  }
  if (!loaded->has_value()) return Reason::tampered;
  const WorkspaceRecord& record = **loaded;
  if (record.workspace != workspace_ || sealer_.verify(record) != seal::SealCheck::genuine) return Reason::tampered;
  return record.tokens_enabled ? Reason::none : Reason::tokens_disabled;
}

CheckedToken FullCheck::run(const text::ParsedToken& token, SettingsSource& settings) const {
  CheckedToken checked;
  auto loaded = backend_.load_token(workspace_, token.id);
  if (!loaded.ok()) {
    failures_.note(loaded.error(), clock_.now());
    return checked;
  }

  const bool found = loaded->has_value();
  if (found) checked.record = std::move(**loaded);
  const TokenRecord& record = found ? checked.record : dummy_record();
  const bool right_secret = sealer_.verifier_matches(workspace_, token, record.verifier);
  const bool genuine = sealer_.verify(workspace_, record) == seal::SealCheck::genuine;

  if (!found) {
    checked.reason = Reason::unknown;
  } else if (!right_secret) {
    checked.reason = Reason::wrong_secret;
  } else if (!genuine || record.id != token.id || record.key_id != token.key_id) {
    checked.reason = Reason::tampered;
  } else if (sealer_.key_use(record.key_id) == KeyUse::retired) {
    checked.reason = Reason::retired_key;
  } else if (const Reason workspace = settings.workspace_permits(); workspace != Reason::none) {
    checked.reason = workspace;
  } else if (const Reason owner = settings.owner_permits(record.owner); owner != Reason::none) {
    checked.reason = owner;
  } else {
    checked.reason = state_reason(record, clock_.now());
  }
  return checked;
}

Outcome FullCheck::outcome_of(Reason reason) noexcept {
  if (reason == Reason::none) return Outcome::valid;
  return reason == Reason::storage ? Outcome::unavailable : Outcome::invalid;
}

Reason FullCheck::state_reason(const TokenRecord& record, UnixMillis now) noexcept {
  if (record.revoked_at != std::numeric_limits<UnixMillis>::max()) return Reason::revoked;
  if (record.expires_at <= now) return Reason::expired;
  if (record.not_before > now) return Reason::pending;
  return Reason::none;
}

}  // namespace tokenstore::validate
