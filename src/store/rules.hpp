/// Rules of the model that need no storage: limits of arguments, who may do what, states, and what of
/// a record may be shown. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "tokenstore/backend.hpp"
#include "tokenstore/model.hpp"
#include "tokenstore/status.hpp"

namespace tokenstore::rules {

Result<void> check_actor(const Actor& actor);
/// "user:alice", "administrator:root" or "host": who did it, in records.
std::string actor_label(const Actor& actor);
/// May the actor see and end tokens of `owner`?
bool may_act_on(const Actor& actor, std::string_view owner) noexcept;
/// `permission_denied` for a user.
Result<void> require_administrator(const Actor& actor);
/// For what concerns every workspace: an administrator is one of the workspace that is open. `permission_denied` for
/// anybody but the host.
Result<void> require_host(const Actor& actor);

Result<void> check_owner_name(std::string_view owner);
Result<void> check_workspace_name(std::string_view workspace);
Result<void> check_reason(std::string_view reason);
/// Everything of a request that can be judged without storage.
Result<void> check_request(const IssueRequest& request);
Result<void> check_policy(const Policy& policy);

/// Sorted, without repeats, separated by single spaces.
std::string canonical_scopes(std::vector<std::string> scopes);

/// When a token created now ends, by policy. `refused` if the policy forbids that lifetime.
Result<UnixMillis> end_of_life(const Policy& policy, Lifetime lifetime, UnixMillis now);

TokenState state_at(const TokenRecord& record, UnixMillis now) noexcept;

TokenInfo describe(const TokenRecord& record, UnixMillis now);
/// What may be said of a record whose seal does not verify: its id.
TokenInfo describe_tampered(const TokenRecord& record);
OwnerInfo describe(const OwnerRecord& record);
Policy policy_of(const WorkspaceRecord& record) noexcept;
void set_policy(WorkspaceRecord& record, const Policy& policy) noexcept;

/// Whether a change failed in a way that may leave storage saying what it said before.
bool storage_was_not_told(Status status) noexcept;

Error no_such_token();
Error no_such_owner();
/// Whether nobody has revoked a token or expired it by hand.
bool was_not_ended(const TokenRecord& record) noexcept;
/// Whether a genuine token may still be used, now or later, as far as its record and its owner's "revoke all" tell.
bool is_living(const TokenRecord& record, std::uint64_t revoke_all_count, UnixMillis now) noexcept;
/// `what` as in "the record of this token".
Error tampered(std::string_view what);
Error rolled_back(std::string_view what);

}  // namespace tokenstore::rules
