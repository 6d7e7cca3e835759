/// A client address in two words and a kind, as a cache entry keeps it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tokenstore::validate {

struct PackedAddress {
  enum class Kind : std::uint8_t { none = 0, ipv4 = 1, ipv6 = 2 };

  Kind kind = Kind::none;
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  /// `none` if the text is not an IPv4 or IPv6 address.
  static PackedAddress parse(std::string_view text) noexcept;
  /// RFC 5952 form; empty for `none`.
  std::string text() const;
  friend bool operator==(const PackedAddress&, const PackedAddress&) = default;
};

}  // namespace tokenstore::validate
