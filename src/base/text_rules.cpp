#include "base/text_rules.hpp"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "tokenstore/model.hpp"

namespace tokenstore::base {
namespace {

constexpr std::uint8_t octet(char character) noexcept {
  return static_cast<std::uint8_t>(character);
}

/// The size of the well-formed sequence at the front of `text`, or 0. RFC 3629, section 4.
std::size_t sequence_size(std::string_view text) noexcept {
  const std::uint8_t lead = octet(text[0]);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const std::size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (text.size() < size) return 0;
  // The second octet alone decides about overlong forms, surrogates and what lies above U+10FFFF.
  const std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (octet(text[1]) < low || octet(text[1]) > high) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if (octet(text[i]) < 0x80 || octet(text[i]) > 0xBF) return 0;
  }
  return size;
}

bool starts_with_control(std::string_view sequence) noexcept {
  const std::uint8_t lead = octet(sequence[0]);
  if (lead < 0x20 || lead == 0x7F) return true;
  return lead == 0xC2 && octet(sequence[1]) < 0xA0;  // C1: U+0080..U+009F
}

constexpr char lower_ascii(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

bool is_plain_text(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t size = sequence_size(text);
    if (size == 0 || starts_with_control(text)) return false;
    text.remove_prefix(size);
  }
  return true;
}

Result<void> check_text(std::string_view what, std::string_view text, std::size_t min, std::size_t max) {
  if (text.size() < min) {
    if (text.empty()) return Error(Status::invalid_argument, fmt::format("the {} is empty; give one", what));
    return Error(Status::invalid_argument,
                 fmt::format("the {} has {} octets; give at least {}", what, text.size(), min));
  }
  if (text.size() > max) {
    return Error(Status::invalid_argument,
                 fmt::format("the {} has {} octets; give at most {}", what, text.size(), max));
  }
  if (!is_plain_text(text)) {
    return Error(Status::invalid_argument,
                 fmt::format("the {} is not UTF-8 text without control characters; give such text", what));
  }
  return {};
}

bool is_scope(std::string_view text) noexcept {
  if (text.empty() || text.size() > scope_max) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x21 && c <= 0x7E && c != '"' && c != '\\'; });
}

bool has_scope(std::string_view scopes, std::string_view scope) noexcept {
  if (scope.empty()) return false;
  // Word by word without library calls: words are few and short, and this is asked on every request.
  for (std::size_t word = 0; word + scope.size() <= scopes.size(); ++word) {
    const std::size_t end = word + scope.size();
    if (scopes[word] == scope[0] && (end == scopes.size() || scopes[end] == ' ') &&
        scopes.substr(word, scope.size()) == scope) {
      // Two neighbours are not one scope with a space in it.
      return scope.find(' ') == std::string_view::npos;
    }
    while (word < scopes.size() && scopes[word] != ' ') ++word;
  }
  return false;
}

bool contains_ignoring_ascii_case(std::string_view text, std::string_view part) noexcept {
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char a, char b) { return lower_ascii(a) == lower_ascii(b); }) != text.end() ||
         part.empty();
}

std::string on_one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return line;
}

bool is_client_address(std::string_view text) noexcept {
  std::array<char, client_address_max + 1> name{};
  if (text.empty() || text.size() > client_address_max || text.find('\0') != std::string_view::npos) return false;
  std::copy(text.begin(), text.end(), name.begin());
  std::array<std::uint8_t, sizeof(in6_addr)> address;
  return inet_pton(AF_INET, name.data(), address.data()) == 1 || inet_pton(AF_INET6, name.data(), address.data()) == 1;
}

}  // namespace tokenstore::base
