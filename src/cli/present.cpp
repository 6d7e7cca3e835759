#include "cli/present.hpp"

#include <fmt/format.h>

#include "cli/times.hpp"

namespace tokenstore::cli {
namespace {

Json time_or_null(UnixMillis at) {
  return at == never ? Json(nullptr) : Json(format_time_exact(at));
}
Json time_or_null(const std::optional<UnixMillis>& at) {
  return at ? time_or_null(*at) : Json(nullptr);
}
Json text_or_null(std::string_view text) {
  return text.empty() ? Json(nullptr) : Json(text);
}
Json millis_or_null(std::int64_t millis) {
  return millis == never ? Json(nullptr) : Json(millis);
}

std::string base64(std::string_view octets) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < octets.size(); i += 3) {
    const auto at = [&](std::size_t j) -> unsigned {
      return j < octets.size() ? static_cast<unsigned char>(octets[j]) : 0U;
    };
    const unsigned group = (at(i) << 16U) | (at(i + 1) << 8U) | at(i + 2);
    out += alphabet[group >> 18U];
    out += alphabet[(group >> 12U) & 63U];
    out += i + 1 < octets.size() ? alphabet[(group >> 6U) & 63U] : '=';
    out += i + 2 < octets.size() ? alphabet[group & 63U] : '=';
  }
  return out;
}

/// Metadata is octets; people get it as text when it is text.
bool is_shown_as_is(std::string_view octets) {
  return printable(octets) == octets;
}

void add_metadata(Json& json, std::string_view metadata) {
  json["metadata"] = is_shown_as_is(metadata) ? text_or_null(metadata) : Json(nullptr);
  json["metadata_base64"] = text_or_null(base64(metadata));
}

std::string metadata_text(std::string_view metadata) {
  if (is_shown_as_is(metadata)) return std::string(metadata);
  return fmt::format("{} octets that are not plain text (see --json)", metadata.size());
}

std::string ended_text(const TokenInfo& token) {
  std::string out = format_time(*token.revoked_at);
  if (!token.revoked_by.empty()) out += " by " + token.revoked_by;
  if (!token.revoke_reason.empty()) out += ": " + token.revoke_reason;
  return out;
}

std::vector<std::string> split_words(std::string_view words) {
  std::vector<std::string> out;
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    if (end > 0) out.emplace_back(words.substr(0, end));
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return out;
}

}  // namespace

std::string join(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}
std::string yes_no(bool value) {
  return value ? "yes" : "no";
}

Json to_json(const TokenInfo& token) {
  // Of a tampered record nothing but the id can be believed, so nothing else is passed on.
  const bool believed = token.state != TokenState::tampered;
  const TokenInfo blank;
  const TokenInfo& shown = believed ? token : blank;
  Json json;
  json["id"] = token.id;
  json["state"] = state_name(token.state);
  json["owner"] = text_or_null(shown.owner);
  json["description"] = shown.description;
  json["scopes"] = shown.scopes;
  add_metadata(json, shown.metadata);
  json["created_at"] = believed ? time_or_null(shown.created_at) : Json(nullptr);
  json["created_by"] = text_or_null(shown.created_by);
  json["not_before"] = believed ? time_or_null(shown.not_before) : Json(nullptr);
  json["expires_at"] = believed ? time_or_null(shown.expires_at) : Json(nullptr);
  json["revoked_at"] = time_or_null(shown.revoked_at);
  json["revoked_by"] = text_or_null(shown.revoked_by);
  json["revoke_reason"] = text_or_null(shown.revoke_reason);
  json["last_used_at"] = time_or_null(shown.last_used_at);
  json["last_used_from"] = text_or_null(shown.last_used_from);
  return json;
}

Json to_json(const OwnerInfo& owner) {
  Json json;
  json["owner"] = owner.owner;
  json["may_issue"] = owner.settings.may_issue;
  json["may_use"] = owner.settings.may_use;
  json["suspended"] = owner.suspended;
  json["suspended_at"] = time_or_null(owner.suspended_at);
  json["suspended_by"] = text_or_null(owner.suspended_by);
  json["suspend_reason"] = text_or_null(owner.suspend_reason);
  json["tampered"] = owner.tampered;
  return json;
}

Json to_json(const Policy& policy) {
  Json json;
  json["tokens_enabled"] = policy.tokens_enabled;
  json["users_may_issue"] = policy.users_may_issue;
  json["never_allowed"] = policy.never_allowed;
  json["longest_lifetime_ms"] = millis_or_null(policy.longest_lifetime);
  json["default_lifetime_ms"] = millis_or_null(policy.default_lifetime);
  json["most_active_per_owner"] =
      policy.most_active_per_owner == 0 ? Json(nullptr) : Json(policy.most_active_per_owner);
  return json;
}

Json to_json(const StateCounts& counts) {
  Json json;
  json["active"] = counts.active;
  json["pending"] = counts.pending;
  json["expired"] = counts.expired;
  json["revoked"] = counts.revoked;
  json["total"] = counts.active + counts.pending + counts.expired + counts.revoked;
  return json;
}

Json to_json(const Verdict& verdict) {
  const bool known = !verdict.id().empty();
  Json json;
  json["outcome"] = outcome_name(verdict.outcome());
  json["reason"] = verdict.valid() ? Json(nullptr) : Json(reason_name(verdict.reason()));
  json["http_status"] = verdict.http_status();
  json["id"] = text_or_null(verdict.id());
  json["owner"] = text_or_null(verdict.owner());
  json["scopes"] = split_words(verdict.scopes());
  add_metadata(json, verdict.metadata());
  json["expires_at"] = known ? time_or_null(verdict.expires_at()) : Json(nullptr);
  return json;
}

std::string to_text(const TokenInfo& token) {
  Card card;
  card.add("id", token.id);
  card.add("state", state_name(token.state));
  if (token.state == TokenState::tampered) {
    card.add("note", "the seal does not verify: the record was changed behind the store's back");
    return card.text();
  }
  card.add("owner", token.owner);
  card.add("description", token.description);
  card.add("scopes", token.scopes.empty() ? "none: it grants nothing" : join(token.scopes));
  if (!token.metadata.empty()) card.add("metadata", metadata_text(token.metadata));
  card.add("created", fmt::format("{} by {}", format_time(token.created_at), token.created_by));
  if (token.not_before > token.created_at) card.add("not before", format_time(token.not_before));
  card.add("expires", format_time(token.expires_at));
  if (token.revoked_at) card.add("revoked", ended_text(token));
  card.add("last used", token.last_used_at ? format_time(*token.last_used_at) : "not yet");
  if (!token.last_used_from.empty()) card.add("used from", token.last_used_from);
  return card.text();
}

std::string to_text(const OwnerInfo& owner) {
  Card card;
  card.add("owner", owner.owner);
  if (owner.tampered) card.add("note", "the seal does not verify: every token of this owner is denied");
  card.add("may issue", yes_no(owner.settings.may_issue));
  card.add("may use", yes_no(owner.settings.may_use));
  card.add("suspended", yes_no(owner.suspended));
  if (owner.suspended_at) card.add("since", format_time(*owner.suspended_at));
  if (!owner.suspended_by.empty()) card.add("by", owner.suspended_by);
  if (!owner.suspend_reason.empty()) card.add("reason", owner.suspend_reason);
  return card.text();
}

std::string to_text(const Policy& policy) {
  Card card;
  card.add("tokens enabled", yes_no(policy.tokens_enabled));
  card.add("users may issue", yes_no(policy.users_may_issue));
  card.add("never allowed", yes_no(policy.never_allowed));
  card.add("longest lifetime", format_span(policy.longest_lifetime));
  card.add("default lifetime", format_span(policy.default_lifetime));
  card.add("most active per owner",
           policy.most_active_per_owner == 0 ? "no limit" : std::to_string(policy.most_active_per_owner));
  return card.text();
}

std::string to_text(const StateCounts& counts) {
  Card card;
  card.add("active", std::to_string(counts.active));
  card.add("pending", std::to_string(counts.pending));
  card.add("expired", std::to_string(counts.expired));
  card.add("revoked", std::to_string(counts.revoked));
  card.add("total", std::to_string(counts.active + counts.pending + counts.expired + counts.revoked));
  return card.text();
}

std::string to_text(const Verdict& verdict) {
  std::string out(outcome_name(verdict.outcome()));
  if (!verdict.valid()) out += fmt::format(": {}", reason_name(verdict.reason()));
  if (verdict.reason() == Reason::insufficient_scope) out += " (the token is genuine, but does not hold the scope)";
  out += "\n";
  if (verdict.id().empty()) return out;
  Card card;
  card.add("id", verdict.id());
  card.add("owner", verdict.owner());
  card.add("scopes", verdict.scopes());
  if (!verdict.metadata().empty()) card.add("metadata", metadata_text(verdict.metadata()));
  card.add("expires", format_time(verdict.expires_at()));
  return out + card.text();
}

}  // namespace tokenstore::cli
