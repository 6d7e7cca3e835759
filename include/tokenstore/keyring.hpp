/// The host's secret keys, outside the database.
///
/// A keyring holds master keys of 256 bits under two-character ids (0-9 A-Z a-z). One is active: it
/// signs and seals what is new. Verify-only keys still open what they made. A retired key ends its
/// tokens; it only remains to recognise them. Move-only; keys are wiped when it dies. Not
/// synchronised: fill it, then hand it to a store.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenstore/environment.hpp"
#include "tokenstore/secret.hpp"
#include "tokenstore/status.hpp"

namespace tokenstore {

inline constexpr std::size_t master_key_size = 32;

enum class KeyUse : std::uint8_t { active = 1, verify_only = 2, retired = 3 };

class Keyring {
 public:
  struct Key {
    std::string id;
    KeyUse use = KeyUse::active;
    SecretText master;  ///< 32 octets
  };

  Keyring() = default;

  /// One new active key, "0A".
  static Result<Keyring> generate(RandomSource& random);
  /// One active key, `id`, of 32 octets. The caller still has to wipe its own copy.
  static Result<Keyring> from_bytes(std::span<const std::uint8_t> master, std::string_view id = "0A");
  /// Reads a key file (docs/keys.md). The file must be regular, of the caller or root, and closed to
  /// group and others. `wrong_key` if it is missing or malformed, `cannot_open` if it is not safe.
  static Result<Keyring> from_file(const std::string& path);
  /// Parses the text of a key file, for hosts that fetch it from elsewhere.
  static Result<Keyring> from_text(std::string_view text);

  /// Adds a key. `invalid_argument` if the id is taken or malformed, the key is not 32 octets, or a
  /// second one would be active.
  Result<void> add(std::string_view id, KeyUse use, std::span<const std::uint8_t> master);

  /// Writes a new key file, mode 0600, synced. Never overwrites: `cannot_open` if the path exists.
  Result<void> write_new_file(const std::string& path) const;
  /// The text of a key file.
  SecretText reveal_text() const;

  const std::vector<Key>& keys() const noexcept { return keys_; }

 private:
  std::vector<Key> keys_;
};

}  // namespace tokenstore
