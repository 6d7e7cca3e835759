#include "store/rules.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text_rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore::rules {

namespace {

Error invalid(std::string message) {
  return {Status::invalid_argument, std::move(message)};
}

/// A length of time for people: exact, in the largest unit that divides it.
std::string duration_text(std::int64_t millis) {
  if (millis % millis_per_day == 0) return fmt::format("{} days", millis / millis_per_day);
  if (millis % 1000 == 0) return fmt::format("{} seconds", millis / 1000);
  return fmt::format("{} ms", millis);
}

}  // namespace

Result<void> check_actor(const Actor& actor) {
  if (actor.kind() == Actor::Kind::host) return {};
  return base::check_text("actor's name", actor.name(), 1, owner_max);
}

std::string actor_label(const Actor& actor) {
  switch (actor.kind()) {
    case Actor::Kind::user:
      return "user:" + actor.name();
    case Actor::Kind::administrator:
      return "administrator:" + actor.name();
    case Actor::Kind::host:
      break;
  }
  return "host";
}

bool may_act_on(const Actor& actor, std::string_view owner) noexcept {
  return actor.kind() != Actor::Kind::user || actor.name() == owner;
}

Result<void> require_administrator(const Actor& actor) {
  if (auto known = check_actor(actor); !known.ok()) return known;
  if (actor.kind() != Actor::Kind::user) return {};
  return Error(Status::permission_denied, "only an administrator or the host may do this");
}

Result<void> require_host(const Actor& actor) {
  if (auto known = require_administrator(actor); !known.ok()) return known;
  if (actor.kind() == Actor::Kind::host) return {};
  return Error(Status::permission_denied, "only the host may do this: it concerns every workspace");
}

Result<void> check_owner_name(std::string_view owner) {
  return base::check_text("owner's name", owner, 1, owner_max);
}

Result<void> check_workspace_name(std::string_view workspace) {
  return base::check_text("workspace's name", workspace, 1, workspace_max);
}

Result<void> check_reason(std::string_view reason) {
  return base::check_text("reason", reason, 0, reason_max);
}

Result<void> check_request(const IssueRequest& request) {
  if (auto good = check_owner_name(request.owner); !good.ok()) return good;
  if (auto good = base::check_text("description", request.description, 0, description_max); !good.ok()) return good;
  if (request.metadata.size() > metadata_max) {
    return invalid(
        fmt::format("the metadata is {} octets long; give at most {}", request.metadata.size(), metadata_max));
  }
  if (request.scopes.size() > scopes_max) {
    return invalid(fmt::format("{} scopes were given; give at most {}", request.scopes.size(), scopes_max));
  }
  for (const std::string& scope : request.scopes) {
    if (!base::is_scope(scope)) {
      return invalid(fmt::format(
          "a scope is not 1 to {} characters of printable ASCII without space, quote and backslash (RFC 6749, "
          "section 3.3)",
          scope_max));
    }
  }
  if (!request.lifetime.is_valid()) {
    return invalid(
        "the lifetime is negative or too large; give milliseconds above 0, 0 for the policy's default, or never");
  }
  if (request.not_before && (*request.not_before < 0 || *request.not_before > latest_time)) {
    return invalid("the not-before time is outside the years 1970 to 9999");
  }
  return {};
}

Result<void> check_policy(const Policy& policy) {
  if (policy.longest_lifetime < 1) return invalid("the longest lifetime is below 1 ms; give a longer one, or no limit");
  if (policy.default_lifetime < 1 || policy.default_lifetime > latest_time) {
    return invalid("the default lifetime is not between 1 ms and the year 9999");
  }
  return {};
}

std::string canonical_scopes(std::vector<std::string> scopes) {
  std::sort(scopes.begin(), scopes.end());
  scopes.erase(std::unique(scopes.begin(), scopes.end()), scopes.end());
  return fmt::format("{}", fmt::join(scopes, " "));
}

Result<UnixMillis> end_of_life(const Policy& policy, Lifetime lifetime, UnixMillis now) {
  if (!lifetime.is_valid()) return invalid("the lifetime is negative");
  // A creation time that cannot be written down, and sums that would overflow.
  if (now < 0 || now > latest_time) {
    return invalid("the clock is outside the years 1970 to 9999; set it right before issuing tokens");
  }
  if (lifetime.is_never()) {
    if (policy.never_allowed) return never;
    return Error(Status::refused, "the workspace's policy does not allow tokens that never expire; give a lifetime");
  }
  const std::int64_t length =
      lifetime.is_default() ? std::min(policy.default_lifetime, policy.longest_lifetime) : lifetime.count();
  if (length > policy.longest_lifetime) {
    return Error(Status::refused,
                 fmt::format("a lifetime of {} is longer than the workspace's policy allows; give at most {}",
                             duration_text(length), duration_text(policy.longest_lifetime)));
  }
  if (length > latest_time - now) {
    return invalid("the token would expire after the year 9999; give a shorter lifetime");
  }
  return now + length;
}

TokenState state_at(const TokenRecord& record, UnixMillis now) noexcept {
  if (record.revoked_at != not_ended) return TokenState::revoked;
  if (record.expired_at != not_ended || record.expires_at <= now) return TokenState::expired;
  if (record.not_before > now) return TokenState::pending;
  return TokenState::active;
}

TokenInfo describe(const TokenRecord& record, UnixMillis now) {
  TokenInfo info;
  info.id = record.id;
  info.owner = record.owner;
  info.description = record.description;
  for (std::size_t from = 0; from < record.scopes.size();) {
    const std::size_t to = std::min(record.scopes.find(' ', from), record.scopes.size());
    info.scopes.push_back(record.scopes.substr(from, to - from));
    from = to + 1;
  }
  info.metadata = record.metadata;
  info.state = state_at(record, now);
  info.created_at = record.created_at;
  info.created_by = record.created_by;
  info.not_before = record.not_before == 0 ? record.created_at : record.not_before;
  info.expires_at = record.expires_at;
  if (record.revoked_at != not_ended) info.revoked_at = record.revoked_at;
  info.revoked_by = record.revoked_by;
  info.revoke_reason = record.revoke_reason;
  if (record.last_used_at != 0) info.last_used_at = record.last_used_at;
  info.last_used_from = record.last_used_from;
  return info;
}

TokenInfo describe_tampered(const TokenRecord& record) {
  TokenInfo info;
  info.id = record.id;
  info.state = TokenState::tampered;
  return info;
}

OwnerInfo describe(const OwnerRecord& record) {
  OwnerInfo info;
  info.owner = record.owner;
  info.settings = {record.may_issue, record.may_use};
  info.suspended = record.suspended_at != not_ended;
  if (info.suspended) info.suspended_at = record.suspended_at;
  info.suspended_by = record.suspended_by;
  info.suspend_reason = record.suspend_reason;
  return info;
}

Policy policy_of(const WorkspaceRecord& record) noexcept {
  Policy policy;
  policy.tokens_enabled = record.tokens_enabled;
  policy.users_may_issue = record.users_may_issue;
  policy.never_allowed = record.never_allowed;
  policy.longest_lifetime = record.longest_lifetime;
  policy.default_lifetime = record.default_lifetime;
  policy.most_active_per_owner = record.most_active_per_owner;
  return policy;
}

void set_policy(WorkspaceRecord& record, const Policy& policy) noexcept {
  record.tokens_enabled = policy.tokens_enabled;
  record.users_may_issue = policy.users_may_issue;
  record.never_allowed = policy.never_allowed;
  record.longest_lifetime = policy.longest_lifetime;
  record.default_lifetime = policy.default_lifetime;
  record.most_active_per_owner = policy.most_active_per_owner;
}

bool storage_was_not_told(Status status) noexcept {
  return status == Status::unavailable || status == Status::unknown || status == Status::storage_full ||
         status == Status::cannot_open || status == Status::not_a_store || status == Status::newer_schema ||
         status == Status::out_of_memory || status == Status::internal;
}

Error no_such_token() {
  return {Status::not_found, "there is no token with this id"};
}
Error no_such_owner() {
  return {Status::not_found, "there are no settings of an owner of this name"};
}

bool was_not_ended(const TokenRecord& record) noexcept {
  return record.revoked_at == not_ended && record.expired_at == not_ended;
}

bool is_living(const TokenRecord& record, std::uint64_t revoke_all_count, UnixMillis now) noexcept {
  const TokenState state = state_at(record, now);
  return (state == TokenState::active || state == TokenState::pending) && record.revoke_all_count == revoke_all_count;
}

Error tampered(std::string_view what) {
  return {Status::tampered, fmt::format("{} was changed outside the library; run a check of the store", what)};
}

Error rolled_back(std::string_view what) {
  return {
      Status::tampered,
      fmt::format("{} was put back to an earlier state than the journal knows; heal the store from the journal", what)};
}

}  // namespace tokenstore::rules
