#include "text/token_text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/base62.hpp"
#include "base/crc32.hpp"
#include "base/declassify.hpp"
#include "base/wipe.hpp"
#include "tokenstore/model.hpp"

namespace tokenstore::text {
namespace {

constexpr char separator = '_';
constexpr char version = '1';
constexpr unsigned random_bits = 47;
constexpr std::uint64_t random_mask = (std::uint64_t{1} << random_bits) - 1;
constexpr UnixMillis last_id_time = (UnixMillis{1} << 48) - 1;

static_assert(token_text_min == prefix_min + size_without_prefix);
static_assert(token_text_max == prefix_max + size_without_prefix);
static_assert(token_id_size == id_size);

constexpr bool is_lower(char c) noexcept {
  return c >= 'a' && c <= 'z';
}
constexpr bool is_decimal(char c) noexcept {
  return c >= '0' && c <= '9';
}

}  // namespace

std::optional<ParsedToken> parse(std::string_view text, std::string_view prefix) noexcept {
  if (text.size() < token_text_min || text.size() > token_text_max) return std::nullopt;
  if (text.size() != prefix.size() + size_without_prefix) return std::nullopt;

  // The public part.
  const std::string_view handle = text.substr(prefix.size() + 1, handle_size);
  if (text.substr(0, prefix.size()) != prefix) return std::nullopt;
  if (text[prefix.size()] != separator || text[prefix.size() + 1 + handle_size] != separator) return std::nullopt;
  if (handle[0] != version || !base::is_base62(handle)) return std::nullopt;

  // The secret part, and the check that depends on it: all findings are collected, then told at once.
  const std::string_view checked = text.substr(0, text.size() - check_size);
  const std::string_view tagged = checked.substr(0, checked.size() - tag_size);
  const std::string_view check = text.substr(checked.size());
  unsigned faults = base::base62_faults(checked.substr(checked.size() - tag_size - secret_size));
  const std::uint64_t claimed = base::base62_value(check, faults);
  // A check above 2^32 - 1 differs from every CRC.
  const std::uint64_t difference = claimed ^ base::crc32(checked);
  if (base::declassify((faults | difference) != 0)) return std::nullopt;

  ParsedToken parsed;
  parsed.handle = handle;
  parsed.key_id = handle.substr(1, key_id_size);
  parsed.id = handle.substr(1 + key_id_size);
  parsed.secret = tagged.substr(tagged.size() - secret_size);
  parsed.tagged = tagged;
  parsed.tag = checked.substr(tagged.size());
  return parsed;
}

std::string compose_tagged(std::string_view prefix, std::string_view key_id, std::string_view id,
                           std::string_view secret) {
  std::string tagged;
  // Enough for the whole token: growing would leave a copy of the secret behind.
  tagged.reserve(prefix.size() + size_without_prefix);
  tagged += prefix;
  tagged += separator;
  tagged += version;
  tagged += key_id;
  tagged += id;
  tagged += separator;
  tagged += secret;
  return tagged;
}

SecretText compose(std::string tagged, std::string_view tag) {
  std::string token;
  token.reserve(tagged.size() + tag.size() + check_size);
  token += tagged;
  base::wipe(tagged);
  token += tag;
  std::array<char, check_size> check;
  base::base62_encode(base::crc32(token), check);
  token.append(check.data(), check.size());
  SecretText text(token);
  base::wipe(token);
  return text;
}

std::string make_id(UnixMillis created_at, std::uint64_t random47) {
  const auto time = static_cast<std::uint64_t>(std::clamp<UnixMillis>(created_at, 0, last_id_time));
  std::string id(id_size, '0');
  base::base62_encode(base::uint128{time} << random_bits | (random47 & random_mask), id);
  return id;
}

std::optional<UnixMillis> id_time(std::string_view id) noexcept {
  const std::optional<base::uint128> number = base::base62_decode(id.substr(0, id_size));
  if (!number) return std::nullopt;
  const base::uint128 time = *number >> random_bits;
  if (time > static_cast<base::uint128>(last_id_time)) return std::nullopt;
  return static_cast<UnixMillis>(time);
}

bool is_id(std::string_view text) noexcept {
  return text.size() == id_size && base::is_base62(text);
}

SecretText make_secret(RandomSource& random) {
  // Six bits at a time, and a new draw for 62 and 63: every digit is equally likely.
  base::WipedBytes<64> drawn;
  base::WipedBytes<secret_size> digits;
  std::size_t count = 0;
  while (count < secret_size) {
    random.fill(drawn.span());
    for (std::size_t i = 0; i < drawn.size() && count < secret_size; ++i) {
      const unsigned value = drawn.data()[i] & 63U;
      if (value < 62) digits.data()[count++] = static_cast<std::uint8_t>(base::base62_digit(value));
    }
  }
  return SecretText(std::string_view(reinterpret_cast<const char*>(digits.data()), secret_size));
}

bool is_prefix(std::string_view text) noexcept {
  if (text.size() < prefix_min || text.size() > prefix_max || !is_lower(text[0])) return false;
  if (text.back() == separator || text.find("__") != std::string_view::npos) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return is_lower(c) || is_decimal(c) || c == separator; });
}

std::string scanner_pattern(std::string_view prefix) {
  // A number of 95 bits begins with 0..p, one of 32 bits with 0..4.
  return fmt::format("{}_1[0-9A-Za-z]{{{}}}[0-9A-Za-p][0-9A-Za-z]{{{}}}_[0-9A-Za-z]{{{}}}[0-4][0-9A-Za-z]{{{}}}",
                     prefix, key_id_size, id_size - 1, secret_size + tag_size, check_size - 1);
}

}  // namespace tokenstore::text
