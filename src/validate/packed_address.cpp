#include "validate/packed_address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "tokenstore/model.hpp"

namespace tokenstore::validate {

namespace {

/// Four decimal numbers without leading zeros. By hand: this is on the path of every validation that
/// names its client, and inet_pton costs three times as much.
std::optional<std::uint32_t> parse_ipv4(std::string_view text) noexcept {
  std::uint32_t address = 0;
  std::uint32_t number = 0;
  int digits = 0;
  int dots = 0;
  for (const char octet : text) {
    if (octet == '.') {
      if (digits == 0 || ++dots > 3) return std::nullopt;
      address = address << 8 | number;
      number = 0;
      digits = 0;
      continue;
    }
    if (octet < '0' || octet > '9' || (digits > 0 && number == 0)) return std::nullopt;
    number = number * 10 + static_cast<std::uint32_t>(octet - '0');
    if (++digits > 3 || number > 255) return std::nullopt;
  }
  if (dots != 3 || digits == 0) return std::nullopt;
  return address << 8 | number;
}

}  // namespace

PackedAddress PackedAddress::parse(std::string_view text) noexcept {
  PackedAddress packed;
  if (text.empty() || text.size() > client_address_max) return packed;
  if (const auto ipv4 = parse_ipv4(text)) {
    packed.kind = Kind::ipv4;
    packed.low = *ipv4;
    return packed;
  }
  std::array<char, client_address_max + 1> terminated{};
  std::copy(text.begin(), text.end(), terminated.begin());
  std::array<std::uint8_t, 16> octets;
  if (text.find('\0') != std::string_view::npos || inet_pton(AF_INET6, terminated.data(), octets.data()) != 1) {
    return packed;
  }
  packed.kind = Kind::ipv6;
  std::memcpy(&packed.high, octets.data(), sizeof packed.high);
  std::memcpy(&packed.low, octets.data() + sizeof packed.high, sizeof packed.low);
  return packed;
}

std::string PackedAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (kind == Kind::ipv4) {
    const std::uint32_t network = htonl(static_cast<std::uint32_t>(low));
    if (inet_ntop(AF_INET, &network, text.data(), text.size()) == nullptr) return {};
  } else if (kind == Kind::ipv6) {
    std::array<std::uint8_t, 16> octets;
    std::memcpy(octets.data(), &high, sizeof high);
    std::memcpy(octets.data() + sizeof high, &low, sizeof low);
    if (inet_ntop(AF_INET6, octets.data(), text.data(), text.size()) == nullptr) return {};
  }
  return text.data();
}

}  // namespace tokenstore::validate
