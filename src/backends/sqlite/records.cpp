#include "backends/sqlite/records.hpp"

#include <algorithm>

namespace tokenstore::sqlite {
namespace {

constexpr UnixMillis not_revoked = std::numeric_limits<UnixMillis>::max();

Bytes32 bytes32_at(const Query& row, int column) noexcept {
  Bytes32 bytes{};
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
  token.verifier = bytes32_at(row, 2);
  token.owner = string_at(row, 3);
  token.description = string_at(row, 4);
  token.scopes = string_at(row, 5);
  token.metadata = string_at(row, 6);
  token.created_at = row.number_at(7);
  token.created_by = string_at(row, 8);
  token.not_before = row.number_at(9);
  token.expires_at = row.number_at(10);
  token.revoked_at = row.number_at(11);
  token.revoked_by = string_at(row, 12);
  token.revoke_reason = string_at(row, 13);
  token.revision = unsigned_at(row, 14);
  token.seal_key_id = string_at(row, 15);
  token.seal = bytes32_at(row, 16);
  token.last_used_at = row.number_at(17);
  token.last_used_from = string_at(row, 18);
  return token;
}

OwnerRecord read_owner(const Query& row) {
  OwnerRecord owner;
  owner.owner = string_at(row, 0);
  owner.may_issue = row.number_at(1) == 1;
  owner.may_use = row.number_at(2) == 1;
  owner.suspended_at = row.number_at(3);
  owner.suspended_by = string_at(row, 4);
  owner.suspend_reason = string_at(row, 5);
  owner.revoke_all_count = unsigned_at(row, 6);
  owner.revision = unsigned_at(row, 7);
  owner.seal_key_id = string_at(row, 8);
  owner.seal = bytes32_at(row, 9);
  return owner;
}

WorkspaceRecord read_workspace(const Query& row) {
  WorkspaceRecord workspace;
  workspace.workspace = string_at(row, 0);
  workspace.tokens_enabled = row.number_at(1) == 1;
  workspace.users_may_issue = row.number_at(2) == 1;
  workspace.never_allowed = row.number_at(3) == 1;
  workspace.longest_lifetime = row.number_at(4);
  workspace.default_lifetime = row.number_at(5);
  workspace.most_active_per_owner = static_cast<std::uint32_t>(row.number_at(6));
  workspace.created_at = row.number_at(7);
  workspace.revision = unsigned_at(row, 8);
  workspace.seal_key_id = string_at(row, 9);
  workspace.seal = bytes32_at(row, 10);
  return workspace;
}

TokenQuery::State read_state(const Query& row, UnixMillis now) noexcept {
  if (row.number_at(11) != not_revoked) return TokenQuery::State::revoked;
  if (row.number_at(10) <= now) return TokenQuery::State::expired;
  return row.number_at(9) > now ? TokenQuery::State::pending : TokenQuery::State::active;
}

std::string_view read_id(const Query& row) noexcept {
  return row.text_at(0);
}
std::string_view read_description(const Query& row) noexcept {
  return row.text_at(4);
}

void bind_token(Query& query, std::string_view workspace, const TokenRecord& token) noexcept {
  query.text(1, workspace)
      .text(2, token.id)
      .text(3, token.key_id)
      .blob(4, token.verifier)
      .text(5, token.owner)
      .text(6, token.description)
      .text(7, token.scopes)
      .blob(8, octets(token.metadata))
      .number(9, token.created_at)
      .text(10, token.created_by)
      .number(11, token.not_before)
      .number(12, token.expires_at)
      .number(13, token.revoked_at)
      .text(14, token.revoked_by)
      .text(15, token.revoke_reason)
      .number(16, stored(token.revision))
      .text(17, token.seal_key_id)
      .blob(18, token.seal)
      .number(21, token.ends_at());
}

void bind_owner(Query& query, std::string_view workspace, const OwnerRecord& owner) noexcept {
  query.text(1, workspace)
      .text(2, owner.owner)
      .number(3, owner.may_issue ? 1 : 0)
      .number(4, owner.may_use ? 1 : 0)
      .number(5, owner.suspended_at)
      .text(6, owner.suspended_by)
      .text(7, owner.suspend_reason)
      .number(8, stored(owner.revoke_all_count))
      .number(9, stored(owner.revision))
      .text(10, owner.seal_key_id)
      .blob(11, owner.seal);
}

void bind_workspace(Query& query, const WorkspaceRecord& workspace) noexcept {
  query.text(1, workspace.workspace)
      .number(2, workspace.tokens_enabled ? 1 : 0)
      .number(3, workspace.users_may_issue ? 1 : 0)
      .number(4, workspace.never_allowed ? 1 : 0)
      .number(5, workspace.longest_lifetime)
      .number(6, workspace.default_lifetime)
      .number(7, workspace.most_active_per_owner)
      .number(8, workspace.created_at)
      .number(9, stored(workspace.revision))
      .text(10, workspace.seal_key_id)
      .blob(11, workspace.seal);
}

}  // namespace tokenstore::sqlite
