#include "token_json.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

namespace access_page {
namespace {

using tokenstore::TokenState;
using tokenstore::UnixMillis;

std::string_view status_of(TokenState state) {
  return tokenstore::state_name(state);
}

Json time_or_null(const std::optional<UnixMillis>& time) {
  return time ? Json(iso_time(*time)) : Json(nullptr);
}

/// Two or more digits at a place of the text; -1 if they are not all digits.
int digits(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  for (const char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::string iso_time(UnixMillis time) {
  using namespace std::chrono;
  const sys_time<milliseconds> moment{milliseconds(time)};
  const auto day = floor<days>(moment);
  const year_month_day date(day);
  const hh_mm_ss clock(moment - day);
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return text.data();
}

std::optional<UnixMillis> parse_iso_time(std::string_view text) {
  using namespace std::chrono;
  constexpr std::string_view form = "0000-00-00T00:00:00.000Z";
  if (text.size() != form.size()) return std::nullopt;
  for (std::size_t i = 0; i < form.size(); ++i) {
    if (form[i] != '0' && text[i] != form[i]) return std::nullopt;
  }
  const std::array parts{digits(text, 0, 4),  digits(text, 5, 2),  digits(text, 8, 2), digits(text, 11, 2),
                         digits(text, 14, 2), digits(text, 17, 2), digits(text, 20, 3)};
  for (const int part : parts) {
    if (part < 0) return std::nullopt;
  }
  const year_month_day date{year(parts[0]), month(static_cast<unsigned>(parts[1])),
                            day(static_cast<unsigned>(parts[2]))};
  if (!date.ok() || parts[3] > 23 || parts[4] > 59 || parts[5] > 59) return std::nullopt;
  const sys_time<milliseconds> moment =
      sys_days(date) + hours(parts[3]) + minutes(parts[4]) + seconds(parts[5]) + milliseconds(parts[6]);
  return moment.time_since_epoch().count();
}

Json token_json(const tokenstore::TokenInfo& token) {
  Json json;
  json["tokenId"] = token.id;
  if (token.state == TokenState::tampered) {  // nothing but the id can be believed
    json["description"] = "";
    json["expiredAt"] = nullptr;
    json["lastUsed"] = nullptr;
    json["createdAt"] = nullptr;
    json["status"] = "damaged";
    json["scopes"] = Json::array();
    json["owner"] = "";
    return json;
  }
  json["description"] = token.description;
  json["expiredAt"] = token.expires_at == tokenstore::never ? Json(nullptr) : Json(iso_time(token.expires_at));
  json["lastUsed"] = time_or_null(token.last_used_at);
  json["createdAt"] = iso_time(token.created_at);
  json["status"] = status_of(token.state);
  json["scopes"] = token.scopes;
  json["owner"] = token.owner;
  if (!token.last_used_from.empty()) json["lastUsedFrom"] = token.last_used_from;
  if (token.not_before > token.created_at) json["notBefore"] = iso_time(token.not_before);
  if (token.revoked_at) {
    json["revokedAt"] = iso_time(*token.revoked_at);
    json["revokedBy"] = token.revoked_by;
    json["revokeReason"] = token.revoke_reason;
  }
  return json;
}

Json policy_json(const tokenstore::Policy& policy) {
  const auto days = [](std::int64_t millis) {
    return millis == tokenstore::never ? Json(-1) : Json(millis / tokenstore::millis_per_day);
  };
  Json json;
  json["tokensEnabled"] = policy.tokens_enabled;
  json["usersMayGenerate"] = policy.users_may_issue;
  json["longestLifetimeDays"] = days(policy.longest_lifetime);
  json["neverAllowed"] = policy.never_allowed;
  json["defaultLifetimeDays"] = days(std::min(policy.default_lifetime, policy.longest_lifetime));
  return json;
}

void send_json(httplib::Response& response, const Json& body, int status) {
  response.status = status;
  response.set_content(body.dump(), "application/json");
}

}  // namespace access_page
