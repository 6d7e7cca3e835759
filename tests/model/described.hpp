/// All that a store holds, and all that its model does, in lines that can be compared.
#pragma once

#include <map>
#include <string>

#include "model/store_model.hpp"
#include "tokenstore/store.hpp"

namespace tokenstore::test {

/// A line for each record, by a name that says which: "policy", "owner a", "token <id>".
using Lines = std::map<std::string, std::string>;

namespace described {

inline std::string line(const Policy& policy) {
  std::string text;
  for (const std::int64_t part : {policy.longest_lifetime, policy.default_lifetime,
                                  std::int64_t{policy.most_active_per_owner}, std::int64_t{policy.tokens_enabled},
                                  std::int64_t{policy.users_may_issue}, std::int64_t{policy.never_allowed}}) {
    text += std::to_string(part) + " ";
  }
  return text;
}
inline std::string line(const OwnerSettings& settings, bool suspended) {
  return std::string(settings.may_issue ? "issues " : "") + (settings.may_use ? "uses " : "") +
         (suspended ? "suspended" : "");
}
inline std::string line(const std::string& owner, UnixMillis not_before, UnixMillis expires_at,
                        std::optional<UnixMillis> revoked_at) {
  return owner + " " + std::to_string(not_before) + " " + std::to_string(expires_at) +
         (revoked_at ? " revoked " + std::to_string(*revoked_at) : "");
}

}  // namespace described

inline Lines lines_of(const StoreModel& model) {
  Lines lines;
  lines["policy"] = described::line(model.policy);
  for (const auto& [name, owner] : model.owners) {
    lines["owner " + name] = described::line(owner.settings, owner.suspended);
  }
  for (const auto& [id, token] : model.tokens) {
    lines["token " + id] = described::line(token.owner, token.not_before, token.expires_at, token.revoked_at);
  }
  return lines;
}

/// A Failure to read is a line of its own, which no model has.
inline Lines lines_of(TokenStore& store) {
  Lines lines;
  const Actor host = Actor::host();
  const auto policy = store.policy(host);
  const auto owners = store.list_owners(host, {}, page_max);
  ListQuery query;
  query.limit = page_max;
  const auto tokens = store.list(host, query);
  if (!policy.ok()) return {{"error", policy.error().message()}};
  if (!owners.ok()) return {{"error", owners.error().message()}};
  if (!tokens.ok()) return {{"error", tokens.error().message()}};
  lines["policy"] = described::line(*policy);
  for (const OwnerInfo& owner : owners->owners) {
    lines["owner " + owner.owner] = owner.tampered ? "tampered" : described::line(owner.settings, owner.suspended);
  }
  for (const TokenInfo& token : tokens->tokens) {
    lines["token " + token.id] = described::line(token.owner, token.not_before, token.expires_at, token.revoked_at);
  }
  return lines;
}

/// The first line in which two differ, for people.
inline std::string first_difference(const Lines& got, const Lines& expected) {
  for (const auto& [name, text] : got) {
    const auto found = expected.find(name);
    if (found == expected.end()) return "the store has " + name + " " + text;
    if (found->second != text) return name + ": the store says " + text + ", the model " + found->second;
  }
  for (const auto& [name, text] : expected) {
    if (!got.contains(name)) return "the model has " + name + " " + text;
  }
  return {};
}

}  // namespace tokenstore::test
