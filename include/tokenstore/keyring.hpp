/// The host's secret keys, outside the database.
///
/// A keyring holds master keys of 256 bits under two-character ids (0-9 A-Z a-z). One is active: it
/// signs and seals what is new. Verify-only keys still open what they made. A retired key ends its
/// tokens; it only remains to recognise them. Move-only; keys are wiped when it dies. Not
/// synchronised: fill it, then hand it to a store.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
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

/// Which files keys are taken from. Strict unless something is set; each weakening has a name.
struct KeyFileTrust {
  /// A file of root's that its group may read and nobody else: what Kubernetes makes of a secret under `fsGroup`, and
  /// systemd of a credential. Whoever is in that group can read the keys.
  bool group_readable_of_root = false;
  /// A file of root's that everybody may read, as Docker and Kubernetes lay secrets out by default. Only in a container
  /// in which nobody else runs: every user there can read the keys.
  bool world_readable_of_root = false;
  /// A path /dev/fd/N or /proc/self/fd/N stands for descriptor N of this process: a file, a pipe or a socket, whoever's
  /// it is and whatever its mode, because whoever handed it over vouches for it. It is read to its end and stays open.
  bool inherited_descriptor = false;
  /// Of no meaning unless root runs the program: a file of the user who owns this one too. For root at work on a
  /// database of somebody else's: who owns that may name its keys. `open_sqlite` sets it.
  std::string owner_of{};
};

/// A key and what hangs on it in a whole store, in all of its workspaces.
struct KeyStatus {
  std::string id;
  std::optional<KeyUse> use;        ///< absent: the keyring does not hold it
  std::uint64_t seals = 0;          ///< records that it sealed
  std::uint64_t living_tokens = 0;  ///< tokens of its own that have not ended: they end with it
};

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
  /// Reads a key file (docs/keys.md). Links are followed; the file that they lead to must be regular, of the
  /// caller or root, and closed to group and others, unless `trust` says otherwise. `wrong_key` if it is
  /// missing or malformed, `cannot_open` if it is not safe.
  static Result<Keyring> from_file(const std::string& path, const KeyFileTrust& trust = {});
  /// Reads the key file that systemd hands to a service as a credential (`LoadCredential=NAME:PATH`), from the
  /// directory that CREDENTIALS_DIRECTORY names. Errors as above.
  static Result<Keyring> from_credential(std::string_view name);
  /// Parses the text of a key file, for hosts that fetch it from elsewhere.
  static Result<Keyring> from_text(std::string_view text);

  /// Adds a key. `invalid_argument` if the id is taken or malformed, the key is not 32 octets, or a
  /// second one would be active.
  Result<void> add(std::string_view id, KeyUse use, std::span<const std::uint8_t> master);
  /// Adds a new verify-only key of the next id that is free, and returns the id. `refused` if none is left.
  Result<std::string> add_new(RandomSource& random);
  /// Makes this key the active one, and the one that was verify-only. Active already: OK. `refused` if it is retired,
  /// `not_found` if there is no such key.
  Result<void> activate(std::string_view id);
  /// Retires a verify-only key. Retired already: OK. `refused` if it is active.
  Result<void> retire(std::string_view id);
  /// Takes a key out. `refused` if it is active.
  Result<void> remove(std::string_view id);

  /// Writes a new key file, mode 0600, synced. Never overwrites: `cannot_open` if the path exists. If root runs
  /// the program, the file is given to the owner of `owner_of`, a file or directory; empty: it stays root's.
  Result<void> write_new_file(const std::string& path, const std::string& owner_of = {}) const;
  /// The text of a key file.
  SecretText reveal_text() const;

  const std::vector<Key>& keys() const noexcept { return keys_; }

 private:
  std::vector<Key> keys_;
};

}  // namespace tokenstore
