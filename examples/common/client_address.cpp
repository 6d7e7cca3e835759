#include "common/client_address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace hosting {
namespace {

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Without quotes, brackets and port; empty if what is around the address is malformed.
std::string_view bare(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return {};
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && !(rest.front() == ':' && is_port(rest.substr(1)))) return {};
    return text.substr(1, end - 1);
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) return text;
  return is_port(text.substr(colon + 1)) ? text.substr(0, colon) : std::string_view{};  // one colon: IPv4 and a port
}

}  // namespace

std::string canonical_address(std::string_view text) {
  text = bare(text);
  std::array<unsigned char, 16> octets{};
  std::array<char, INET6_ADDRSTRLEN> written{};
  if (inet_pton(AF_INET, std::string(text).c_str(), octets.data()) == 1) {
    return inet_ntop(AF_INET, octets.data(), written.data(), written.size());
  }
  // The zone is the proxy's own name for one of its networks.
  const std::string address(text.substr(0, text.find('%')));
  if (inet_pton(AF_INET6, address.c_str(), octets.data()) != 1) return {};
  constexpr std::array<unsigned char, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(mapped.begin(), mapped.end(), octets.begin())) {
    return inet_ntop(AF_INET, octets.data() + mapped.size(), written.data(), written.size());
  }
  return inet_ntop(AF_INET6, octets.data(), written.data(), written.size());
}

}  // namespace hosting
