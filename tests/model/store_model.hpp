/// What a token store is, in plain code: maps and the rules, without storage, seals, caches or concurrency.
///
/// Written from the rules as the headers state them, not from the code under test. A `Flaw` makes it wrong on
/// purpose, so that a test can show that the comparison would notice.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tokenstore/model.hpp"
#include "tokenstore/status.hpp"
#include "tokenstore/verdict.hpp"

namespace tokenstore::test {

enum class Flaw : std::uint8_t {
  none,
  revoked_tokens_go_on,
  the_end_is_late_by_a_millisecond,
  users_see_everybodys_tokens,
  the_cap_forgets_pending_tokens,
  suspension_is_ignored,
  purge_takes_what_ends_at_the_time,
  empty_scopes_grant_all,
  expire_moves_the_end_back,
};

struct ModelToken {
  std::string text;
  std::string owner;
  std::string description;
  std::set<std::string> scopes;
  UnixMillis not_before = 0;
  UnixMillis expires_at = 0;
  bool expired_by_hand = false;
  std::optional<UnixMillis> revoked_at;
  std::string revoked_by;

  UnixMillis ends_at() const { return revoked_at ? std::min(*revoked_at, expires_at) : expires_at; }
};

struct ModelOwner {
  OwnerSettings settings;
  bool suspended = false;
};

class StoreModel {
 public:
  explicit StoreModel(Flaw flaw) : flaw_(flaw) {}

  UnixMillis now = 0;
  Policy policy;
  std::map<std::string, ModelToken> tokens;  ///< by id: the order of age
  std::map<std::string, ModelOwner> owners;

  TokenState state_of(const ModelToken& token) const {
    if (token.revoked_at && flaw_ != Flaw::revoked_tokens_go_on) return TokenState::revoked;
    const UnixMillis late = flaw_ == Flaw::the_end_is_late_by_a_millisecond ? 1 : 0;
    if (token.expired_by_hand || token.expires_at <= now - late) return TokenState::expired;
    return token.not_before > now ? TokenState::pending : TokenState::active;
  }

  Reason validate(const std::string& id, const std::string& scope) const {
    const auto found = tokens.find(id);
    if (found == tokens.end()) return Reason::unknown;
    const ModelToken& token = found->second;
    if (!policy.tokens_enabled) return Reason::tokens_disabled;
    const ModelOwner& owner = owners.at(token.owner);
    if (owner.suspended && flaw_ != Flaw::suspension_is_ignored) return Reason::owner_suspended;
    if (!owner.settings.may_use) return Reason::owner_may_not_use;
    switch (state_of(token)) {
      case TokenState::revoked:
        return Reason::revoked;
      case TokenState::expired:
        return Reason::expired;
      case TokenState::pending:
        return Reason::pending;
      default:
        break;
    }
    if (token.scopes.empty() && flaw_ == Flaw::empty_scopes_grant_all) return Reason::none;
    return token.scopes.contains(scope) ? Reason::none : Reason::insufficient_scope;
  }

  /// What issuing `requests` in one go is to answer, and the ends that the tokens get if it is `ok`.
  Status issue(const Actor& actor, const std::vector<IssueRequest>& requests, std::vector<UnixMillis>& ends) const {
    for (const IssueRequest& request : requests) {
      if (!request.lifetime.is_valid()) return Status::invalid_argument;
      if (actor.kind() != Actor::Kind::host && request.owner != actor.name()) return Status::permission_denied;
    }
    if (!policy.tokens_enabled) return Status::refused;
    std::map<std::string, std::uint64_t> wanted;
    for (const IssueRequest& request : requests) ++wanted[request.owner];
    for (const auto& [name, count] : wanted) {
      const auto found = owners.find(name);
      const ModelOwner owner = found == owners.end() ? ModelOwner{} : found->second;
      if (owner.suspended) return Status::refused;
      if (actor.kind() == Actor::Kind::user && !policy.users_may_issue) return Status::refused;
      if (actor.kind() != Actor::Kind::host && !owner.settings.may_issue) return Status::refused;
    }
    for (const auto& [name, count] : wanted) {
      if (policy.most_active_per_owner != 0 && live(name) + count > policy.most_active_per_owner)
        return Status::refused;
    }
    for (const IssueRequest& request : requests) {
      if (request.lifetime.is_never() && !policy.never_allowed) return Status::refused;
      const std::int64_t length = request.lifetime.is_default()
                                      ? std::min(policy.default_lifetime, policy.longest_lifetime)
                                      : request.lifetime.count();
      if (!request.lifetime.is_never() && length > policy.longest_lifetime) return Status::refused;
      const UnixMillis end = request.lifetime.is_never() ? never : now + length;
      if (request.not_before && *request.not_before >= end) return Status::invalid_argument;
      ends.push_back(end);
    }
    return Status::ok;
  }

  /// The token, if this actor may see it.
  ModelToken* visible(const Actor& actor, const std::string& id) {
    const auto found = tokens.find(id);
    if (found == tokens.end() || !may_act_on(actor, found->second.owner)) return nullptr;
    return &found->second;
  }
  bool may_act_on(const Actor& actor, const std::string& owner) const {
    return actor.kind() != Actor::Kind::user || actor.name() == owner || flaw_ == Flaw::users_see_everybodys_tokens;
  }
  static bool administers(const Actor& actor) { return actor.kind() != Actor::Kind::user; }

  Status expire(const Actor& actor, const std::string& id, std::optional<UnixMillis> at) {
    ModelToken* token = visible(actor, id);
    if (token == nullptr) return Status::not_found;
    if (at && *at > token->expires_at) {
      if (flaw_ != Flaw::expire_moves_the_end_back) return Status::invalid_argument;
      token->expires_at = *at;
      return Status::ok;
    }
    if (token->revoked_at || token->expired_by_hand) return Status::ok;
    if (!at || *at <= now) {
      token->expired_by_hand = true;
      token->expires_at = std::min(token->expires_at, now);
    } else if (token->expires_at > now) {
      token->expires_at = *at;
    }
    return Status::ok;
  }

  Status revoke(const Actor& actor, const std::string& id, const std::string& by) {
    ModelToken* token = visible(actor, id);
    if (token == nullptr) return Status::not_found;
    end(*token, by);
    return Status::ok;
  }

  /// How many; empty: not found.
  std::optional<std::uint64_t> revoke_all(const Actor& actor, const std::string& owner, const std::string& by) {
    if (!may_act_on(actor, owner) || !owners.contains(owner)) return std::nullopt;
    std::uint64_t count = 0;
    for (auto& [id, token] : tokens) {
      if (token.owner != owner || token.revoked_at || token.expired_by_hand) continue;
      // By another host's clock, what has expired within a day may not have.
      if (token.expires_at <= now - std::min(millis_per_day, now)) continue;
      if (state_of(token) != TokenState::expired) ++count;
      end(token, by);
    }
    return count;
  }

  Status remove(const Actor& actor, const std::string& id) {
    if (visible(actor, id) == nullptr) return Status::not_found;
    tokens.erase(id);
    return Status::ok;
  }

  std::uint64_t purge(UnixMillis ended_before) {
    const UnixMillis more = flaw_ == Flaw::purge_takes_what_ends_at_the_time ? 1 : 0;
    return std::erase_if(tokens, [&](const auto& entry) { return entry.second.ends_at() < ended_before + more; });
  }

  /// Ids as a list shows them, newest first.
  std::vector<std::string> list(const Actor& actor, const std::string& owner, std::optional<TokenState> state,
                                const std::string& text) const {
    std::vector<std::string> ids;
    for (auto at = tokens.rbegin(); at != tokens.rend(); ++at) {
      const ModelToken& token = at->second;
      if (!may_act_on(actor, token.owner) || (!owner.empty() && token.owner != owner)) continue;
      if (state && state_of(token) != *state) continue;
      if (token.description.find(text) != std::string::npos) ids.push_back(at->first);
    }
    return ids;
  }

 private:
  std::uint64_t live(const std::string& owner) const {
    return static_cast<std::uint64_t>(std::count_if(tokens.begin(), tokens.end(), [&](const auto& entry) {
      const ModelToken& token = entry.second;
      if (flaw_ == Flaw::the_cap_forgets_pending_tokens && token.not_before > now) return false;
      return token.owner == owner && token.ends_at() > now;
    }));
  }
  void end(ModelToken& token, const std::string& by) {
    if (token.revoked_at) return;
    token.revoked_at = now;
    token.revoked_by = by;
  }

  Flaw flaw_;
};

}  // namespace tokenstore::test
