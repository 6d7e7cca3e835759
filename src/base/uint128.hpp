/// Numbers of 128 bits: the compiler's own where it has them, else two words. Plain values; any thread.
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>

namespace tokenstore::base {

/// What this library does with such numbers, for compilers that have none (32-bit machines). Compiled and tested
/// everywhere, so that it cannot rot where nobody needs it.
class TwoWords {
 public:
  constexpr TwoWords(std::uint64_t value = 0) noexcept : low_(value) {}  // NOLINT(google-explicit-constructor)

  template <std::unsigned_integral Number>
  constexpr explicit operator Number() const noexcept {
    return static_cast<Number>(low_);
  }
  constexpr explicit operator std::int64_t() const noexcept { return static_cast<std::int64_t>(low_); }

  friend constexpr bool operator==(TwoWords, TwoWords) noexcept = default;
  friend constexpr auto operator<=>(TwoWords, TwoWords) noexcept = default;

  friend constexpr TwoWords operator|(TwoWords a, TwoWords b) noexcept { return {a.high_ | b.high_, a.low_ | b.low_}; }
  friend constexpr TwoWords operator+(TwoWords a, TwoWords b) noexcept {
    const std::uint64_t low = a.low_ + b.low_;
    return {a.high_ + b.high_ + (low < a.low_ ? 1 : 0), low};
  }
  friend constexpr TwoWords operator<<(TwoWords a, unsigned bits) noexcept {
    if (bits == 0) return a;
    if (bits >= 64) return {a.low_ << (bits - 64), 0};
    return {a.high_ << bits | a.low_ >> (64 - bits), a.low_ << bits};
  }
  friend constexpr TwoWords operator>>(TwoWords a, unsigned bits) noexcept {
    if (bits == 0) return a;
    if (bits >= 64) return {0, a.high_ >> (bits - 64)};
    return {a.high_ >> bits, a.low_ >> bits | a.high_ << (64 - bits)};
  }
  friend constexpr TwoWords operator*(TwoWords a, TwoWords b) noexcept {
    TwoWords product = whole_product(a.low_, b.low_);
    product.high_ += a.high_ * b.low_ + a.low_ * b.high_;
    return product;
  }
  friend constexpr TwoWords operator/(TwoWords a, std::uint32_t by) noexcept { return a.divided(by).quotient(); }
  friend constexpr TwoWords operator%(TwoWords a, std::uint32_t by) noexcept { return a.divided(by).rest; }
  constexpr TwoWords& operator/=(std::uint32_t by) noexcept { return *this = *this / by; }

 private:
  constexpr TwoWords(std::uint64_t high, std::uint64_t low) noexcept : high_(high), low_(low) {}

  static constexpr std::uint64_t half(std::uint64_t word) noexcept { return word & 0xFFFF'FFFFU; }

  /// As on paper, with halves of words for digits.
  static constexpr TwoWords whole_product(std::uint64_t a, std::uint64_t b) noexcept {
    const std::uint64_t low = half(a) * half(b);
    const std::uint64_t middle = (a >> 32) * half(b) + (low >> 32);
    const std::uint64_t other = half(a) * (b >> 32) + half(middle);
    return {(a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32), other << 32 | half(low)};
  }

  struct Division {
    std::uint64_t digits[4];
    std::uint64_t rest;
    constexpr TwoWords quotient() const noexcept { return {digits[0] << 32 | digits[1], digits[2] << 32 | digits[3]}; }
  };
  constexpr Division divided(std::uint32_t by) const noexcept {
    Division result{{high_ >> 32, half(high_), low_ >> 32, half(low_)}, 0};
    for (std::uint64_t& digit : result.digits) {
      const std::uint64_t dividend = result.rest << 32 | digit;
      digit = dividend / by;
      result.rest = dividend % by;
    }
    return result;
  }

  std::uint64_t high_ = 0;  // first, so that the order of members is the order of numbers
  std::uint64_t low_ = 0;
};

#ifdef __SIZEOF_INT128__
__extension__ using uint128 = unsigned __int128;
#else
using uint128 = TwoWords;
#endif

}  // namespace tokenstore::base
