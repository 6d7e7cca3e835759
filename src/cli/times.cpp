#include "cli/times.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

namespace tokenstore::cli {
namespace {

constexpr std::int64_t second = 1000;
constexpr std::int64_t minute = 60 * second;
constexpr std::int64_t hour = 60 * minute;

struct Moment {
  int year;
  unsigned month, day;
  long long hour, minute, second, millis;
};

Moment split(UnixMillis at) {
  // Whatever a damaged record says, the arithmetic stays within the years 0 to 9999.
  constexpr UnixMillis earliest = -62'167'219'200'000;
  at = std::clamp(at, earliest, latest_time);
  const std::chrono::sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds{at}};
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{days};
  const std::chrono::hh_mm_ss clock{time - days};
  return {int{date.year()},        unsigned{date.month()},  unsigned{date.day()},      clock.hours().count(),
          clock.minutes().count(), clock.seconds().count(), clock.subseconds().count()};
}

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

/// Takes fixed-width numbers and separators off the front of a text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) noexcept : rest_(text) {}

  bool number(std::size_t digits, int& out) noexcept {
    if (rest_.size() < digits) return false;
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      if (!is_digit(rest_[i])) return false;
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(digits);
    out = value;
    return true;
  }
  bool one_of(std::string_view characters) noexcept {
    if (rest_.empty() || characters.find(rest_.front()) == std::string_view::npos) return false;
    rest_.remove_prefix(1);
    return true;
  }
  char front() const noexcept { return rest_.empty() ? '\0' : rest_.front(); }
  bool done() const noexcept { return rest_.empty(); }

 private:
  std::string_view rest_;
};

/// Digits after the decimal point, as milliseconds; more than three are cut off.
bool scan_fraction(Scanner& in, int& millis) noexcept {
  millis = 0;
  int digits = 0;
  for (int digit = 0; in.number(1, digit); ++digits) {
    if (digits < 3) millis = millis * 10 + digit;
  }
  for (int missing = digits; missing < 3; ++missing) millis *= 10;
  return digits > 0 && digits <= 9;
}

/// The offset from UTC in minutes.
bool scan_zone(Scanner& in, int& offset) noexcept {
  offset = 0;
  if (in.done() || in.one_of("Zz")) return true;
  const int sign = in.front() == '-' ? -1 : 1;
  int hours = 0;
  int minutes = 0;
  if (!in.one_of("+-") || !in.number(2, hours) || !in.one_of(":") || !in.number(2, minutes)) return false;
  if (hours > 23 || minutes > 59) return false;
  offset = sign * (hours * 60 + minutes);
  return true;
}

}  // namespace

std::string format_time(UnixMillis at) {
  if (at == never) return "never";
  const Moment m = split(at);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", m.year, m.month, m.day, m.hour, m.minute, m.second);
}

std::string format_time_exact(UnixMillis at) {
  const Moment m = split(at);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", m.year, m.month, m.day, m.hour, m.minute, m.second,
                     m.millis);
}

std::string format_span(std::int64_t millis) {
  if (millis == never) return "no limit";
  struct Unit {
    std::int64_t size;
    const char* name;
  };
  constexpr std::array<Unit, 4> units{
      {{millis_per_day, "day"}, {hour, "hour"}, {minute, "minute"}, {second, "second"}}};
  std::string out;
  for (const Unit& unit : units) {
    const std::int64_t count = millis / unit.size;
    millis %= unit.size;
    if (count == 0) continue;
    out += fmt::format("{}{} {}{}", out.empty() ? "" : " ", count, unit.name, count == 1 ? "" : "s");
  }
  if (millis != 0 || out.empty()) out += fmt::format("{}{} ms", out.empty() ? "" : " ", millis);
  return out;
}

std::optional<UnixMillis> parse_time(std::string_view text) noexcept {
  Scanner in(text);
  int year = 0, month = 0, day = 0, hours = 0, minutes = 0, seconds = 0, millis = 0, offset = 0;
  if (!in.number(4, year) || !in.one_of("-") || !in.number(2, month) || !in.one_of("-") || !in.number(2, day)) {
    return std::nullopt;
  }
  if (!in.done()) {
    if (!in.one_of("Tt ") || !in.number(2, hours) || !in.one_of(":") || !in.number(2, minutes)) return std::nullopt;
    if (in.one_of(":")) {
      if (!in.number(2, seconds)) return std::nullopt;
      if (in.one_of(".") && !scan_fraction(in, millis)) return std::nullopt;
    }
    if (!scan_zone(in, offset) || !in.done()) return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok() || hours > 23 || minutes > 59 || seconds > 59) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
  const UnixMillis at = days * millis_per_day + hours * hour + (minutes - offset) * minute + seconds * second + millis;
  if (at > latest_time) return std::nullopt;
  return at;
}

std::optional<std::int64_t> parse_span(std::string_view text) noexcept {
  std::int64_t unit = millis_per_day;
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  switch (text.back()) {
    case 'w':
      unit = 7 * millis_per_day;
      break;
    case 'd':
      unit = millis_per_day;
      break;
    case 'h':
      unit = hour;
      break;
    case 'm':
      unit = minute;
      break;
    case 's':
      unit = second;
      break;
    default:
      if (!is_digit(text.back())) return std::nullopt;
  }
  if (!is_digit(text.back())) text.remove_suffix(1);
  std::int64_t count = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (count < 1 || count > latest_time / unit) return std::nullopt;
  return count * unit;
}

std::optional<Lifetime> parse_lifetime(std::string_view text) noexcept {
  if (text == "never" || text == "-1") return Lifetime::never();
  if (text == "default" || text == "0") return Lifetime::policy_default();
  const auto span = parse_span(text);
  if (!span) return std::nullopt;
  return Lifetime::millis(*span);
}

}  // namespace tokenstore::cli
