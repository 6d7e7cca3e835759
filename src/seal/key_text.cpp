// The text of a keyring (docs/keys.md): reading and writing it, without a copy of a key left behind.
#include <fmt/core.h>

#include <array>

#include "base/base62.hpp"
#include "base/wipe.hpp"
#include "text/token_text.hpp"
#include "tokenstore/keyring.hpp"

namespace tokenstore {
namespace {

constexpr std::string_view heading = "tokenstore keyring 1";
constexpr std::size_t hex_size = 2 * master_key_size;

struct UseName {
  KeyUse use;
  std::string_view name;
};
constexpr std::array<UseName, 3> use_names = {
    {{KeyUse::active, "active"}, {KeyUse::verify_only, "verify-only"}, {KeyUse::retired, "retired"}}};

std::string_view use_name(KeyUse use) noexcept {
  for (const UseName& known : use_names) {
    if (known.use == use) return known.name;
  }
  return "";
}

std::optional<KeyUse> use_named(std::string_view name) noexcept {
  for (const UseName& known : use_names) {
    if (known.name == name) return known.use;
  }
  return std::nullopt;
}

Error malformed(std::size_t line, std::string_view what) {
  return Error(Status::wrong_key, fmt::format("line {} of the keyring {}", line, what));
}

/// Lower-case hexadecimal digits to octets. No branch and no table depends on them.
bool decode_hex(std::string_view digits, std::span<std::uint8_t> octets) noexcept {
  unsigned faults = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const unsigned c = static_cast<unsigned char>(digits[i]);
    const unsigned decimal = ((c - '0') | ('9' - c)) >> 31 ^ 1U;
    const unsigned letter = ((c - 'a') | ('f' - c)) >> 31 ^ 1U;
    const unsigned value = ((0U - decimal) & (c - '0')) | ((0U - letter) & (c - 'a' + 10U));
    faults |= (decimal | letter) ^ 1U;
    octets[i / 2] = static_cast<std::uint8_t>(unsigned{octets[i / 2]} << 4 | value);
  }
  return faults == 0;
}

/// One line of a keyring that describes a key.
Result<void> add_line(Keyring& keyring, std::string_view line, std::size_t number) {
  const std::size_t first = line.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) {
    return malformed(number, "is not \"<key id> <use> <64 hexadecimal digits>\"; correct it");
  }
  const std::string_view id = line.substr(0, first);
  const std::string_view digits = line.substr(second + 1);
  if (id.size() != text::key_id_size || !base::is_base62(id)) {
    return malformed(number, "has a malformed key id; give two of the characters 0-9 A-Z a-z");
  }
  const std::optional<KeyUse> use = use_named(line.substr(first + 1, second - first - 1));
  if (!use) return malformed(number, "has an unknown use; give active, verify-only or retired");
  base::WipedBytes<master_key_size> master;
  if (digits.size() != hex_size || !decode_hex(digits, master.span())) {
    return malformed(number, "does not end in 64 lower-case hexadecimal digits; restore it from a backup");
  }
  Result<void> added = keyring.add(id, *use, master.span());
  if (!added) return malformed(number, fmt::format("cannot be taken: {}", added.error().message()));
  return {};
}

}  // namespace

Result<Keyring> Keyring::from_text(std::string_view text) {
  Keyring keyring;
  for (std::size_t number = 1; !text.empty() || number == 1; ++number) {
    const std::size_t end = text.find('\n');
    if (number == 1 && text.substr(0, end) != heading) {
      return malformed(number, fmt::format("is not \"{}\"; give a keyring file", heading));
    }
    if (end == std::string_view::npos) {
      return malformed(number, "has no end; the text was cut off, restore it from a backup");
    }
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (number == 1 || line.starts_with('#')) continue;
    Result<void> added = add_line(keyring, line, number);
    if (!added) return added.error();
  }
  if (keyring.keys().empty()) return Error(Status::wrong_key, "the keyring holds no key; restore it from a backup");
  return keyring;
}

SecretText Keyring::reveal_text() const {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string text;
  // Growing would leave copies of the keys behind. 24: id, longest use, separators.
  text.reserve(heading.size() + 1 + keys_.size() * (hex_size + 24));
  text += heading;
  text += '\n';
  for (const Key& key : keys_) {
    text += key.id;
    text += ' ';
    text += use_name(key.use);
    text += ' ';
    for (const char character : key.master.reveal()) {
      const auto octet = static_cast<unsigned char>(character);
      text += hex[octet >> 4];
      text += hex[octet & 15];
    }
    text += '\n';
  }
  SecretText revealed(text);
  base::wipe(text);
  return revealed;
}

}  // namespace tokenstore
