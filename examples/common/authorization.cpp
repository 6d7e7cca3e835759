#include "common/authorization.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace hosting {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_scheme(std::string_view scheme, std::string_view name) {  // RFC 7235: its letters are in either case
  if (scheme.size() != name.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (lower(scheme[i]) != name[i]) return false;
  }
  return true;
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && !text.empty() && text.back() == '=') {
    text.remove_suffix(1);
    ++padding;
  }
  std::string bytes;
  bytes.reserve(text.size());
  std::uint32_t window = 0;
  int bits = 0;
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) return std::nullopt;
    window = (window << 6 | static_cast<std::uint32_t>(digit)) & 0xffffU;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<char>(window >> bits & 0xffU));
  }
  return bytes;
}

}  // namespace

Authorization read_authorization(const httplib::Request& request) {
  const auto [first, last] = request.headers.equal_range("Authorization");
  if (first == last) return {};
  if (std::next(first) != last) return {Scheme::ambiguous, {}};

  const std::string_view value = first->second;
  const std::size_t space = value.find(' ');
  const std::string_view name = value.substr(0, space);
  const Scheme scheme = is_scheme(name, "bearer")  ? Scheme::bearer
                        : is_scheme(name, "basic") ? Scheme::basic
                                                   : Scheme::none;
  if (scheme == Scheme::none) return {};
  const std::size_t start = space == std::string_view::npos ? space : value.find_first_not_of(' ', space);
  if (start == std::string_view::npos) return {Scheme::ambiguous, {}};
  return {scheme, std::string(value.substr(start))};
}

std::optional<NameAndPassword> read_basic(std::string_view credentials) {
  std::optional<std::string> text = decode_base64(credentials);
  if (!text) return std::nullopt;
  const std::size_t colon = text->find(':');
  if (colon == std::string::npos) return std::nullopt;
  return NameAndPassword{text->substr(0, colon), text->substr(colon + 1)};
}

}  // namespace hosting
