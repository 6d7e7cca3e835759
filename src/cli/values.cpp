#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/command.hpp"
#include "cli/times.hpp"

namespace tokenstore::cli {
namespace {

constexpr const char* date_forms = "2026-12-31 or 2026-12-31T23:59:59Z";

}  // namespace

bool parse_yes_no(const std::string& option, const std::string& value) {
  if (value == "yes" || value == "true" || value == "on") return true;
  if (value == "no" || value == "false" || value == "off") return false;
  throw usage_failure(option + " takes yes or no");
}

std::uint64_t parse_count(const std::string& option, const std::string& value, std::uint64_t least,
                          std::uint64_t most) {
  std::uint64_t count = 0;
  const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), count);
  if (problem != std::errc{} || end != value.data() + value.size() || count < least || count > most) {
    throw usage_failure(fmt::format("{} takes a whole number from {} to {}", option, least, most));
  }
  return count;
}

Lifetime parse_lifetime_option(const std::string& option, const std::string& value) {
  const auto lifetime = parse_lifetime(value);
  if (!lifetime) {
    throw usage_failure(option +
                        " takes a span of time such as 90d, 12h, 30m or 100s, a number of days, never or default");
  }
  return *lifetime;
}

UnixMillis parse_time_option(const std::string& option, const std::string& value) {
  const auto at = parse_time(value);
  if (!at) throw usage_failure(fmt::format("{} takes a date such as {}", option, date_forms));
  return *at;
}

UnixMillis parse_past_option(const std::string& option, const std::string& value, UnixMillis now) {
  if (const auto at = parse_time(value)) return *at;
  if (const auto age = parse_span(value)) return now - *age;
  throw usage_failure(fmt::format("{} takes a date such as {}, or an age such as 90d or 12h", option, date_forms));
}

std::int64_t parse_span_option(const std::string& option, const std::string& value) {
  const auto span = parse_span(value);
  if (!span) throw usage_failure(option + " takes a span of time such as 90d, 12h, 30m or 100s, or a number of days");
  return *span;
}

const std::string& checked_id(const std::string& id) {
  const bool good = id.size() == token_id_size && std::all_of(id.begin(), id.end(), [](char c) {
                      return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
                    });
  if (!good) {
    throw usage_failure(
        fmt::format("that is not a token id: it has {} letters and digits, as list shows them", token_id_size));
  }
  return id;
}

}  // namespace tokenstore::cli
