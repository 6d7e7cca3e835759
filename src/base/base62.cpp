#include "base/base62.hpp"

namespace tokenstore::base {
namespace {

/// 1 if low <= c <= high, else 0; no branch, because tokens' secrets pass through here.
constexpr unsigned in_range(unsigned c, unsigned low, unsigned high) noexcept {
  return ((c - low) | (high - c)) >> 31 ^ 1U;
}

/// 0..61, or 64 or more if `character` is no digit. No branch and no table.
constexpr unsigned digit_value(char character) noexcept {
  const unsigned c = static_cast<unsigned char>(character);
  const unsigned decimal = in_range(c, '0', '9');
  const unsigned upper = in_range(c, 'A', 'Z');
  const unsigned lower = in_range(c, 'a', 'z');
  const unsigned value = (0U - decimal) & (c - '0');
  const unsigned upper_value = (0U - upper) & (c - 'A' + 10U);
  const unsigned lower_value = (0U - lower) & (c - 'a' + 36U);
  return value | upper_value | lower_value | ((decimal | upper | lower) ^ 1U) << 6;
}

}  // namespace

char base62_digit(unsigned value) noexcept {
  // '0' + value, then over the gaps between '9' and 'A' and between 'Z' and 'a'.
  const unsigned past_nine = (9U - value) >> 31;
  const unsigned past_upper = (35U - value) >> 31;
  return static_cast<char>('0' + value + past_nine * 7U + past_upper * 6U);
}

void base62_encode(uint128 value, std::span<char> digits) noexcept {
  std::size_t at = digits.size();
  // 64-bit division is a multiplication by a constant; only the widest numbers need more.
  while (at > 0 && value > UINT64_MAX) {
    digits[--at] = base62_digit(static_cast<unsigned>(value % 62));
    value /= 62;
  }
  auto rest = static_cast<std::uint64_t>(value);
  while (at > 0) {
    digits[--at] = base62_digit(static_cast<unsigned>(rest % 62));
    rest /= 62;
  }
}

std::optional<uint128> base62_decode(std::string_view digits) noexcept {
  uint128 value = 0;
  unsigned bad = 0;
  for (const char digit : digits) {
    const unsigned one = digit_value(digit);
    bad |= one & 64U;
    value = value * 62 + (one & 63U);
  }
  if (bad != 0) return std::nullopt;
  return value;
}

std::uint64_t base62_value(std::string_view digits, unsigned& bad) noexcept {
  std::uint64_t value = 0;
  for (const char digit : digits) {
    const unsigned one = digit_value(digit);
    bad |= one & 64U;
    value = value * 62 + (one & 63U);
  }
  return value;
}

unsigned base62_faults(std::string_view text) noexcept {
  unsigned bad = 0;
  for (const char digit : text) bad |= digit_value(digit) & 64U;
  return bad;
}

bool is_base62(std::string_view text) noexcept {
  return base62_faults(text) == 0;
}

}  // namespace tokenstore::base
