/// Tokens, policy and times as the REST API writes them. Pure functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <httplib.h>
#include <nlohmann/json.hpp>
#include <tokenstore/model.hpp>

namespace access_page {

using Json = nlohmann::ordered_json;

/// ISO 8601 with milliseconds, in UTC: 2026-01-31T12:00:00.000Z.
std::string iso_time(tokenstore::UnixMillis time);
/// The way back, of exactly that form. Nothing if it is another, or no date of the calendar.
std::optional<tokenstore::UnixMillis> parse_iso_time(std::string_view text);

/// tokenId, description, expiredAt, lastUsed and createdAt as users of that API know them, then what is
/// beyond it: status, scopes, owner, and how it ended.
Json token_json(const tokenstore::TokenInfo& token);

/// longestLifetimeDays is -1 for no limit, which allows tokens that never expire.
Json policy_json(const tokenstore::Policy& policy);

/// Sends the body, with 200 unless another status is given.
void send_json(httplib::Response& response, const Json& body, int status = 200);

}  // namespace access_page
