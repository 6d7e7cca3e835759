/// Token text, format 1: composing and parsing. See docs/token-format.md.
///
///     token = prefix "_" handle "_" secret tag check      handle = "1" key-id id
///
/// Nothing here knows a key: the tag's value is handed in or handed out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tokenstore/environment.hpp"
#include "tokenstore/secret.hpp"

namespace tokenstore::text {

inline constexpr std::size_t key_id_size = 2;
inline constexpr std::size_t id_size = 16;
inline constexpr std::size_t handle_size = 19;
inline constexpr std::size_t secret_size = 43;
inline constexpr std::size_t tag_size = 8;
inline constexpr std::size_t check_size = 6;
/// Octets of a token besides its prefix.
inline constexpr std::size_t size_without_prefix = 1 + handle_size + 1 + secret_size + tag_size + check_size;

/// Views into the text that was parsed.
struct ParsedToken {
  std::string_view handle;
  std::string_view key_id;
  std::string_view id;
  std::string_view secret;
  std::string_view tagged;  ///< all octets before the tag: what the tag authenticates
  std::string_view tag;
};

/// Parses `text` for a store of prefix `prefix`, up to and with the CRC: length, ASCII, fixed offsets
/// from the right, exact prefix, version, base62, CRC. Empty if malformed. No allocation. Does not
/// branch on the secret beyond "is it base62".
std::optional<ParsedToken> parse(std::string_view text, std::string_view prefix) noexcept;

/// prefix "_" handle "_" secret: what the tag is computed over.
std::string compose_tagged(std::string_view prefix, std::string_view key_id, std::string_view id,
                           std::string_view secret);
/// The whole token. `tagged` is wiped.
SecretText compose(std::string tagged, std::string_view tag);

/// 48-bit Unix milliseconds and 47 random bits as 16 digits.
std::string make_id(UnixMillis created_at, std::uint64_t random47);
/// The creation time in an id. Precondition: 16 base62 digits. Empty if the number is too large.
std::optional<UnixMillis> id_time(std::string_view id) noexcept;
bool is_id(std::string_view text) noexcept;

/// 43 base62 characters by rejection sampling: 256 bits.
SecretText make_secret(RandomSource& random);

/// lower *(lower / DIGIT) *("_" 1*(lower / DIGIT)), 2..24 octets.
bool is_prefix(std::string_view text) noexcept;

/// A regular expression (ERE and PCRE) that finds tokens of this prefix.
std::string scanner_pattern(std::string_view prefix);

}  // namespace tokenstore::text
