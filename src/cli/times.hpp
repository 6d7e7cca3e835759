/// Times and lifetimes as people and programs write them. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tokenstore/environment.hpp"
#include "tokenstore/model.hpp"

namespace tokenstore::cli {

/// "2026-11-23T21:03:11Z"; `never` is "never".
std::string format_time(UnixMillis at);
/// RFC 3339 with milliseconds: "2026-11-23T21:03:11.042Z".
std::string format_time_exact(UnixMillis at);
/// "90 days", "1 day 12 hours", "0.5 seconds"; `never` is "no limit".
std::string format_span(std::int64_t millis);

/// "2026-11-23", "2026-11-23T21:03", "2026-11-23 21:03:11.042", each with "Z", an offset such as
/// "+01:00", or nothing (UTC).
std::optional<UnixMillis> parse_time(std::string_view text) noexcept;
/// "90d", "2w", "12h", "30m", "100s", or a plain number of days; 1 ms or more. In milliseconds.
std::optional<std::int64_t> parse_span(std::string_view text) noexcept;
/// A span, "never" (also -1), or "default" (also 0).
std::optional<Lifetime> parse_lifetime(std::string_view text) noexcept;

}  // namespace tokenstore::cli
