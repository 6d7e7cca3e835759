/// A token id as a number of 96 bits: what a cache entry has room for.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/base62.hpp"
#include "text/token_text.hpp"

namespace tokenstore::validate {

struct PackedId {
  std::uint64_t high = 0;
  std::uint32_t low = 0;

  /// Precondition: a token id.
  static PackedId of(std::string_view id) noexcept {
    const auto number = base::base62_decode(id).value_or(0);
    return {static_cast<std::uint64_t>(number >> 32), static_cast<std::uint32_t>(number)};
  }
  std::array<char, text::id_size> text() const noexcept {
    std::array<char, text::id_size> digits;
    base::base62_encode(base::uint128{high} << 32 | low, digits);
    return digits;
  }

  friend bool operator==(const PackedId&, const PackedId&) = default;
  /// As their texts are ordered.
  friend bool operator<(const PackedId& one, const PackedId& other) noexcept {
    return one.high != other.high ? one.high < other.high : one.low < other.low;
  }
};

}  // namespace tokenstore::validate
