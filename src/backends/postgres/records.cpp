#include "backends/postgres/records.hpp"

namespace tokenstore::postgres {
namespace {

/// Hands out the columns of one row from left to right.
class Columns {
 public:
  Columns(const Answer& answer, int row) noexcept : answer_(answer), row_(row) {}
  std::string octets() { return std::string(answer_.octets(row_, at_++)); }
  std::int64_t number() noexcept { return answer_.number(row_, at_++); }
  std::uint64_t counter() noexcept { return answer_.counter(row_, at_++); }
  bool boolean() noexcept { return answer_.boolean(row_, at_++); }
  template <typename Bytes>
  Bytes bytes() noexcept {
    return answer_.bytes<Bytes>(row_, at_++);
  }

 private:
  const Answer& answer_;
  int row_;
  int at_ = 0;
};

}  // namespace

TokenRecord read_token(const Answer& answer, int row) {
  Columns column(answer, row);
  TokenRecord token;
  token.id = column.octets();
  token.key_id = column.octets();
  token.verifier = column.bytes<Bytes32>();
  token.owner = column.octets();
  token.owner_birth = column.bytes<Bytes16>();
  token.revoke_all_count = column.counter();
  token.description = column.octets();
  token.scopes = column.octets();
  token.metadata = column.octets();
  token.created_at = column.number();
  token.created_by = column.octets();
  token.not_before = column.number();
  token.expires_at = column.number();
  token.expired_at = column.number();
  token.revoked_at = column.number();
  token.revoked_by = column.octets();
  token.revoke_reason = column.octets();
  token.revision = column.counter();
  token.seal_key_id = column.octets();
  token.seal = column.bytes<Bytes32>();
  token.last_used_at = column.number();
  token.last_used_from = column.octets();
  return token;
}

OwnerRecord read_owner(const Answer& answer, int row) {
  Columns column(answer, row);
  OwnerRecord owner;
  owner.owner = column.octets();
  owner.birth = column.bytes<Bytes16>();
  owner.may_issue = column.boolean();
  owner.may_use = column.boolean();
  owner.suspended_at = column.number();
  owner.suspended_by = column.octets();
  owner.suspend_reason = column.octets();
  owner.revoke_all_count = column.counter();
  owner.revision = column.counter();
  owner.seal_key_id = column.octets();
  owner.seal = column.bytes<Bytes32>();
  return owner;
}

WorkspaceRecord read_workspace(const Answer& answer, int row) {
  Columns column(answer, row);
  WorkspaceRecord workspace;
  workspace.workspace = column.octets();
  workspace.birth = column.bytes<Bytes16>();
  workspace.tokens_enabled = column.boolean();
  workspace.users_may_issue = column.boolean();
  workspace.never_allowed = column.boolean();
  workspace.longest_lifetime = column.number();
  workspace.default_lifetime = column.number();
  // The column is wider than the field; a number that does not fit was not written by this library.
  const std::int64_t most = column.number();
  workspace.most_active_per_owner = static_cast<std::uint32_t>(most);
  workspace.created_at = column.number();
  workspace.revision = column.counter();
  workspace.seal_key_id = column.octets();
  workspace.seal = column.bytes<Bytes32>();
  if (most != static_cast<std::int64_t>(workspace.most_active_per_owner)) workspace.seal = {};
  return workspace;
}

StoreRecord read_store(const Answer& answer, int row) {
  Columns column(answer, row);
  StoreRecord store;
  store.id = column.bytes<Bytes16>();
  store.created_at = column.number();
  store.revision = column.counter();
  store.seal_key_id = column.octets();
  store.seal = column.bytes<Bytes32>();
  return store;
}

Params changed_token(std::string_view workspace, const TokenRecord& token) {
  Params params;
  params.octets(workspace).octets(token.id).octets(token.key_id).octets(token.verifier).octets(token.owner);
  params.octets(token.owner_birth).counter(token.revoke_all_count);
  params.octets(token.description).octets(token.scopes).octets(token.metadata);
  params.number(token.created_at).octets(token.created_by).number(token.not_before).number(token.expires_at);
  params.number(token.expired_at)
      .number(token.revoked_at)
      .octets(token.revoked_by)
      .octets(token.revoke_reason)
      .counter(token.revision);
  params.octets(token.seal_key_id).octets(token.seal);
  return params;
}

Params new_token(std::string_view workspace, const TokenRecord& token) {
  Params params = changed_token(workspace, token);
  params.number(token.last_used_at).octets(token.last_used_from);
  return params;
}

Params owner_row(std::string_view workspace, const OwnerRecord& owner) {
  Params params;
  params.octets(workspace).octets(owner.owner).octets(owner.birth).boolean(owner.may_issue).boolean(owner.may_use);
  params.number(owner.suspended_at).octets(owner.suspended_by).octets(owner.suspend_reason);
  params.counter(owner.revoke_all_count).counter(owner.revision).octets(owner.seal_key_id).octets(owner.seal);
  return params;
}

Params workspace_row(const WorkspaceRecord& workspace) {
  Params params;
  params.octets(workspace.workspace)
      .octets(workspace.birth)
      .boolean(workspace.tokens_enabled)
      .boolean(workspace.users_may_issue);
  params.boolean(workspace.never_allowed).number(workspace.longest_lifetime).number(workspace.default_lifetime);
  params.number(workspace.most_active_per_owner).number(workspace.created_at).counter(workspace.revision);
  params.octets(workspace.seal_key_id).octets(workspace.seal);
  return params;
}

Params store_row(const StoreRecord& store) {
  Params params;
  params.octets(store.id).number(store.created_at).counter(store.revision);
  params.octets(store.seal_key_id).octets(store.seal);
  return params;
}

}  // namespace tokenstore::postgres
