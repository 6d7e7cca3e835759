#include "backends/sqlite/records.hpp"

#include <algorithm>

namespace tokenstore::sqlite {
namespace {

constexpr UnixMillis not_ended = std::numeric_limits<UnixMillis>::max();

template <typename Bytes>
Bytes bytes_at(const Query& row, int column) noexcept {
  Bytes bytes{};
  const std::string_view stored = row.text_at(column);
  if (stored.size() == bytes.size()) std::copy(stored.begin(), stored.end(), bytes.begin());
  return bytes;
}

std::string string_at(const Query& row, int column) {
  return std::string(row.text_at(column));
}

std::uint64_t unsigned_at(const Query& row, int column) noexcept {
  return static_cast<std::uint64_t>(row.number_at(column));
}

std::int64_t stored(std::uint64_t value) noexcept {
  return static_cast<std::int64_t>(value);
}

std::span<const std::uint8_t> octets(const std::string& text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

TokenRecord read_token(const Query& row) {
  TokenRecord token;
  token.id = string_at(row, 0);
  token.key_id = string_at(row, 1);
  token.verifier = bytes_at<Bytes32>(row, 2);
  token.owner = string_at(row, 3);
  token.owner_birth = bytes_at<Bytes16>(row, 4);
  token.revoke_all_count = unsigned_at(row, 5);
  token.description = string_at(row, 6);
  token.scopes = string_at(row, 7);
  token.metadata = string_at(row, 8);
  token.created_at = row.number_at(9);
  token.created_by = string_at(row, 10);
  token.not_before = row.number_at(11);
  token.expires_at = row.number_at(12);
  token.expired_at = row.number_at(13);
  token.revoked_at = row.number_at(14);
  token.revoked_by = string_at(row, 15);
  token.revoke_reason = string_at(row, 16);
  token.revision = unsigned_at(row, 17);
  token.seal_key_id = string_at(row, 18);
  token.seal = bytes_at<Bytes32>(row, 19);
  token.last_used_at = row.number_at(20);
  token.last_used_from = string_at(row, 21);
  return token;
}

OwnerRecord read_owner(const Query& row) {
  OwnerRecord owner;
  owner.owner = string_at(row, 0);
  owner.birth = bytes_at<Bytes16>(row, 1);
  owner.may_issue = row.number_at(2) == 1;
  owner.may_use = row.number_at(3) == 1;
  owner.suspended_at = row.number_at(4);
  owner.suspended_by = string_at(row, 5);
  owner.suspend_reason = string_at(row, 6);
  owner.revoke_all_count = unsigned_at(row, 7);
  owner.revision = unsigned_at(row, 8);
  owner.seal_key_id = string_at(row, 9);
  owner.seal = bytes_at<Bytes32>(row, 10);
  return owner;
}

WorkspaceRecord read_workspace(const Query& row) {
  WorkspaceRecord workspace;
  workspace.workspace = string_at(row, 0);
  workspace.birth = bytes_at<Bytes16>(row, 1);
  workspace.tokens_enabled = row.number_at(2) == 1;
  workspace.users_may_issue = row.number_at(3) == 1;
  workspace.never_allowed = row.number_at(4) == 1;
  workspace.longest_lifetime = row.number_at(5);
  workspace.default_lifetime = row.number_at(6);
  // The column is wider than the field; a number that does not fit was not written by this library.
  const std::int64_t most = row.number_at(7);
  workspace.most_active_per_owner = static_cast<std::uint32_t>(most);
  workspace.created_at = row.number_at(8);
  workspace.revision = unsigned_at(row, 9);
  workspace.seal_key_id = string_at(row, 10);
  workspace.seal = bytes_at<Bytes32>(row, 11);
  if (most != static_cast<std::int64_t>(workspace.most_active_per_owner)) workspace.seal = {};
  return workspace;
}

StoreRecord read_store(const Query& row) {
  StoreRecord store;
  store.id = bytes_at<Bytes16>(row, 0);
  store.created_at = row.number_at(1);
  store.revision = unsigned_at(row, 2);
  store.seal_key_id = string_at(row, 3);
  store.seal = bytes_at<Bytes32>(row, 4);
  return store;
}

Bytes32 read_link(const Query& row, int column) noexcept {
  return bytes_at<Bytes32>(row, column);
}

TokenQuery::State read_state(const Query& row, UnixMillis now) noexcept {
  if (row.number_at(14) != not_ended) return TokenQuery::State::revoked;
  if (row.number_at(13) != not_ended || row.number_at(12) <= now) return TokenQuery::State::expired;
  return row.number_at(11) > now ? TokenQuery::State::pending : TokenQuery::State::active;
}

std::string_view read_id(const Query& row) noexcept {
  return row.text_at(0);
}
std::string_view read_description(const Query& row) noexcept {
  return row.text_at(6);
}

void bind_token(Query& query, std::string_view workspace, const TokenRecord& token) noexcept {
  query.text(1, workspace)
      .text(2, token.id)
      .text(3, token.key_id)
      .blob(4, token.verifier)
      .text(5, token.owner)
      .blob(6, token.owner_birth)
      .number(7, stored(token.revoke_all_count))
      .text(8, token.description)
      .text(9, token.scopes)
      .blob(10, octets(token.metadata))
      .number(11, token.created_at)
      .text(12, token.created_by)
      .number(13, token.not_before)
      .number(14, token.expires_at)
      .number(15, token.expired_at)
      .number(16, token.revoked_at)
      .text(17, token.revoked_by)
      .text(18, token.revoke_reason)
      .number(19, stored(token.revision))
      .text(20, token.seal_key_id)
      .blob(21, token.seal);
}

void bind_new_uses(Query& query, const TokenRecord& token) noexcept {
  query.number(22, token.last_used_at).text(23, token.last_used_from);
}

void bind_owner(Query& query, std::string_view workspace, const OwnerRecord& owner) noexcept {
  query.text(1, workspace)
      .text(2, owner.owner)
      .blob(3, owner.birth)
      .number(4, owner.may_issue ? 1 : 0)
      .number(5, owner.may_use ? 1 : 0)
      .number(6, owner.suspended_at)
      .text(7, owner.suspended_by)
      .text(8, owner.suspend_reason)
      .number(9, stored(owner.revoke_all_count))
      .number(10, stored(owner.revision))
      .text(11, owner.seal_key_id)
      .blob(12, owner.seal);
}

void bind_workspace(Query& query, const WorkspaceRecord& workspace) noexcept {
  query.text(1, workspace.workspace)
      .blob(2, workspace.birth)
      .number(3, workspace.tokens_enabled ? 1 : 0)
      .number(4, workspace.users_may_issue ? 1 : 0)
      .number(5, workspace.never_allowed ? 1 : 0)
      .number(6, workspace.longest_lifetime)
      .number(7, workspace.default_lifetime)
      .number(8, workspace.most_active_per_owner)
      .number(9, workspace.created_at)
      .number(10, stored(workspace.revision))
      .text(11, workspace.seal_key_id)
      .blob(12, workspace.seal);
}

void bind_store(Query& query, const StoreRecord& store) noexcept {
  query.blob(1, store.id)
      .number(2, store.created_at)
      .number(3, stored(store.revision))
      .text(4, store.seal_key_id)
      .blob(5, store.seal);
}

}  // namespace tokenstore::sqlite
