#include "backend/records.hpp"

#include <algorithm>
#include <cstring>

#include "structs.hpp"
#include "tokenstore/model.hpp"
#include "values.hpp"

namespace tokenstore::capi {
namespace {

static_assert(TOKENSTORE_SEAL_SIZE == std::tuple_size_v<Bytes32> &&
              TOKENSTORE_BIRTH_SIZE == std::tuple_size_v<Bytes16>);
static_assert(TOKENSTORE_OWNER_MAX == owner_max && TOKENSTORE_OWNER_MAX == workspace_max);
static_assert(TOKENSTORE_DESCRIPTION_MAX == description_max && TOKENSTORE_DESCRIPTION_MAX == reason_max);
static_assert(TOKENSTORE_METADATA_MAX == metadata_max && TOKENSTORE_ID_SIZE == token_id_size);
static_assert(TOKENSTORE_USED_FROM_MAX == client_address_max);

void show(const std::string& text, const char*& data, std::size_t& size) noexcept {
  data = text.data();
  size = text.size();
}

template <std::size_t size>
void show(const std::array<std::uint8_t, size>& bytes, std::uint8_t (&place)[size]) noexcept {
  std::memcpy(place, bytes.data(), size);
}

template <std::size_t size>
std::array<std::uint8_t, size> copy_bytes(const std::uint8_t (&place)[size]) noexcept {
  std::array<std::uint8_t, size> bytes;
  std::memcpy(bytes.data(), place, size);
  return bytes;
}

}  // namespace

std::string cut_text(const char* data, std::size_t size, std::size_t most, std::string_view what) {
  return std::string(text(data, size, what).substr(0, most));
}

tokenstore_token_record view(const TokenRecord& record) noexcept {
  tokenstore_token_record out{};
  out.struct_size = sizeof out;
  show(record.id, out.id, out.id_size);
  show(record.key_id, out.key_id, out.key_id_size);
  show(record.owner, out.owner, out.owner_size);
  show(record.description, out.description, out.description_size);
  show(record.scopes, out.scopes, out.scopes_size);
  show(record.metadata, out.metadata, out.metadata_size);
  show(record.created_by, out.created_by, out.created_by_size);
  show(record.revoked_by, out.revoked_by, out.revoked_by_size);
  show(record.revoke_reason, out.revoke_reason, out.revoke_reason_size);
  show(record.seal_key_id, out.seal_key_id, out.seal_key_id_size);
  show(record.last_used_from, out.last_used_from, out.last_used_from_size);
  out.created_at = record.created_at;
  out.not_before = record.not_before;
  out.expires_at = record.expires_at;
  out.expired_at = record.expired_at;
  out.revoked_at = record.revoked_at;
  out.revoke_all_count = record.revoke_all_count;
  show(record.owner_birth, out.owner_birth);
  out.last_used_at = record.last_used_at;
  out.revision = record.revision;
  show(record.verifier, out.verifier);
  show(record.seal, out.seal);
  return out;
}

TokenRecord copy(const tokenstore_token_record* record) {
  constexpr std::string_view what = "a text of a token's record";
  const auto in = TOKENSTORE_READ(tokenstore_token_record, TOKEN_RECORD, record, "a token's record");
  TokenRecord out;
  out.id = cut_text(in.id, in.id_size, TOKENSTORE_ID_SIZE, what);
  out.key_id = cut_text(in.key_id, in.key_id_size, TOKENSTORE_KEY_ID_SIZE, what);
  out.owner = cut_text(in.owner, in.owner_size, TOKENSTORE_OWNER_MAX, what);
  out.description = cut_text(in.description, in.description_size, TOKENSTORE_DESCRIPTION_MAX, what);
  out.scopes = cut_text(in.scopes, in.scopes_size, TOKENSTORE_SCOPES_TEXT_MAX, what);
  out.metadata = cut_text(in.metadata, in.metadata_size, TOKENSTORE_METADATA_MAX, what);
  out.created_by = cut_text(in.created_by, in.created_by_size, TOKENSTORE_ACTOR_MAX, what);
  out.revoked_by = cut_text(in.revoked_by, in.revoked_by_size, TOKENSTORE_ACTOR_MAX, what);
  out.revoke_reason = cut_text(in.revoke_reason, in.revoke_reason_size, TOKENSTORE_DESCRIPTION_MAX, what);
  out.seal_key_id = cut_text(in.seal_key_id, in.seal_key_id_size, TOKENSTORE_KEY_ID_SIZE, what);
  out.last_used_from = cut_text(in.last_used_from, in.last_used_from_size, TOKENSTORE_USED_FROM_MAX, what);
  out.created_at = in.created_at;
  out.not_before = in.not_before;
  out.expires_at = in.expires_at;
  out.expired_at = in.expired_at;
  out.revoked_at = in.revoked_at;
  out.revoke_all_count = in.revoke_all_count;
  out.owner_birth = copy_bytes(in.owner_birth);
  out.last_used_at = in.last_used_at;
  out.revision = in.revision;
  out.verifier = copy_bytes(in.verifier);
  out.seal = copy_bytes(in.seal);
  return out;
}

tokenstore_owner_record view(const OwnerRecord& record) noexcept {
  tokenstore_owner_record out{};
  out.struct_size = sizeof out;
  show(record.owner, out.owner, out.owner_size);
  show(record.suspended_by, out.suspended_by, out.suspended_by_size);
  show(record.suspend_reason, out.suspend_reason, out.suspend_reason_size);
  show(record.seal_key_id, out.seal_key_id, out.seal_key_id_size);
  out.suspended_at = record.suspended_at;
  out.revoke_all_count = record.revoke_all_count;
  out.revision = record.revision;
  out.may_issue = flag(record.may_issue);
  out.may_use = flag(record.may_use);
  show(record.birth, out.birth);
  show(record.seal, out.seal);
  return out;
}

OwnerRecord copy(const tokenstore_owner_record* record) {
  constexpr std::string_view what = "a text of an owner's record";
  const auto in = TOKENSTORE_READ(tokenstore_owner_record, OWNER_RECORD, record, "an owner's record");
  OwnerRecord out;
  out.owner = cut_text(in.owner, in.owner_size, TOKENSTORE_OWNER_MAX, what);
  out.suspended_by = cut_text(in.suspended_by, in.suspended_by_size, TOKENSTORE_ACTOR_MAX, what);
  out.suspend_reason = cut_text(in.suspend_reason, in.suspend_reason_size, TOKENSTORE_DESCRIPTION_MAX, what);
  out.seal_key_id = cut_text(in.seal_key_id, in.seal_key_id_size, TOKENSTORE_KEY_ID_SIZE, what);
  out.suspended_at = in.suspended_at;
  out.revoke_all_count = in.revoke_all_count;
  out.revision = in.revision;
  out.may_issue = flag(in.may_issue, "may_issue");
  out.may_use = flag(in.may_use, "may_use");
  out.birth = copy_bytes(in.birth);
  out.seal = copy_bytes(in.seal);
  return out;
}

tokenstore_workspace_record view(const WorkspaceRecord& record) noexcept {
  tokenstore_workspace_record out{};
  out.struct_size = sizeof out;
  show(record.workspace, out.workspace, out.workspace_size);
  show(record.seal_key_id, out.seal_key_id, out.seal_key_id_size);
  out.longest_lifetime = record.longest_lifetime;
  out.default_lifetime = record.default_lifetime;
  out.created_at = record.created_at;
  out.revision = record.revision;
  out.most_active_per_owner = record.most_active_per_owner;
  out.tokens_enabled = flag(record.tokens_enabled);
  out.users_may_issue = flag(record.users_may_issue);
  out.never_allowed = flag(record.never_allowed);
  show(record.birth, out.birth);
  show(record.seal, out.seal);
  return out;
}

WorkspaceRecord copy(const tokenstore_workspace_record* record) {
  constexpr std::string_view what = "a text of a workspace's record";
  const auto in = TOKENSTORE_READ(tokenstore_workspace_record, WORKSPACE_RECORD, record, "a workspace's record");
  WorkspaceRecord out;
  out.workspace = cut_text(in.workspace, in.workspace_size, TOKENSTORE_OWNER_MAX, what);
  out.seal_key_id = cut_text(in.seal_key_id, in.seal_key_id_size, TOKENSTORE_KEY_ID_SIZE, what);
  out.longest_lifetime = in.longest_lifetime;
  out.default_lifetime = in.default_lifetime;
  out.created_at = in.created_at;
  out.revision = in.revision;
  out.most_active_per_owner = in.most_active_per_owner;
  out.tokens_enabled = flag(in.tokens_enabled, "tokens_enabled");
  out.users_may_issue = flag(in.users_may_issue, "users_may_issue");
  out.never_allowed = flag(in.never_allowed, "never_allowed");
  out.birth = copy_bytes(in.birth);
  out.seal = copy_bytes(in.seal);
  return out;
}

tokenstore_store_record view(const StoreRecord& record) noexcept {
  tokenstore_store_record out{};
  out.struct_size = sizeof out;
  show(record.seal_key_id, out.seal_key_id, out.seal_key_id_size);
  out.created_at = record.created_at;
  out.revision = record.revision;
  show(record.id, out.id);
  show(record.seal, out.seal);
  return out;
}

StoreRecord copy(const tokenstore_store_record* record) {
  const auto in = TOKENSTORE_READ(tokenstore_store_record, STORE_RECORD, record, "the store's record");
  StoreRecord out;
  out.seal_key_id =
      cut_text(in.seal_key_id, in.seal_key_id_size, TOKENSTORE_KEY_ID_SIZE, "a text of the store's record");
  out.created_at = in.created_at;
  out.revision = in.revision;
  out.id = copy_bytes(in.id);
  out.seal = copy_bytes(in.seal);
  return out;
}

RecordKind record_kind(std::int32_t kind) {
  if (kind < TOKENSTORE_RECORD_TOKEN || kind > TOKENSTORE_RECORD_STORE) refuse("the kind of a record is not known");
  return static_cast<RecordKind>(kind);
}

std::int32_t state_filter(TokenQuery::State state) noexcept {
  switch (state) {
    case TokenQuery::State::any:
      break;
    case TokenQuery::State::active:
      return TOKENSTORE_STATE_ACTIVE;
    case TokenQuery::State::pending:
      return TOKENSTORE_STATE_PENDING;
    case TokenQuery::State::expired:
      return TOKENSTORE_STATE_EXPIRED;
    case TokenQuery::State::revoked:
      return TOKENSTORE_STATE_REVOKED;
  }
  return 0;
}

TokenQuery::State state_filter(std::int32_t state) {
  for (const auto one : {TokenQuery::State::any, TokenQuery::State::active, TokenQuery::State::pending,
                         TokenQuery::State::expired, TokenQuery::State::revoked}) {
    if (state_filter(one) == state) return one;
  }
  refuse("the state is not known");
}

}  // namespace tokenstore::capi
