/// Fixed-width base62, big-endian, digits in the order 0-9 A-Z a-z, so that text order is number order.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/uint128.hpp"

namespace tokenstore::base {

/// 128 bits suffice for 21 digits; the widest number here has 16 (a token id).
/// Writes `value` with leading zeros. Precondition: it fits, value < 62^digits.size().
void base62_encode(uint128 value, std::span<char> digits) noexcept;
/// Empty if a character is no digit. Precondition: at most 21 digits.
std::optional<uint128> base62_decode(std::string_view digits) noexcept;
bool is_base62(std::string_view text) noexcept;
/// As the two above for text that holds a secret: no branch and no table look-up depends on it, and the
/// finding comes back as a number for the caller to collect. 0: every character is a digit.
unsigned base62_faults(std::string_view text) noexcept;
/// The number that at most 10 digits spell; sets bits in `bad` if a character is no digit.
std::uint64_t base62_value(std::string_view digits, unsigned& bad) noexcept;
/// The digit for 0..61. No branch, no table.
char base62_digit(unsigned value) noexcept;

}  // namespace tokenstore::base
