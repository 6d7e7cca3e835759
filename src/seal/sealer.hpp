/// The keyed checks of section "Keys, verifier, seal" (docs/keys.md): tag, verifier, record seal.
///
/// Built once from a keyring, then immutable: every method is thread-safe and allocates nothing,
/// except where it says so. HMAC-SHA-256 (RFC 2104, FIPS 198-1) under sub-keys
/// K_x = HMAC-SHA-256(master, "tokenstore/1/" x 0x01).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/token_text.hpp"
#include "tokenstore/backend.hpp"
#include "tokenstore/keyring.hpp"

namespace tokenstore::seal {

enum class SealCheck : std::uint8_t {
  genuine,
  tampered,
  unknown_key,  ///< sealed with a key that the keyring does not hold
  retired_key,  ///< sealed with a retired key, which vouches for nothing but tokens of a retired key
};

/// Where a record belongs. Every seal covers it, so that a record is genuine in its own place alone.
struct Place {
  Bytes16 store{};  ///< StoreRecord::id
  std::string workspace;
  Bytes16 workspace_birth{};  ///< WorkspaceRecord::birth
};

/// The seal of a backup: a MAC over all that its file holds, under a sub-key of its own. One thread.
class BackupSeal {
 public:
  ~BackupSeal();
  BackupSeal(BackupSeal&& other) noexcept;
  BackupSeal(const BackupSeal&) = delete;
  BackupSeal& operator=(const BackupSeal&) = delete;
  BackupSeal& operator=(BackupSeal&&) = delete;

  void add(std::string_view octets) noexcept;
  /// Once, after everything.
  Bytes32 finish() noexcept;

 private:
  friend class Sealer;
  struct State;
  explicit BackupSeal(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Sealer {
 public:
  /// `wrong_key` unless exactly one key is active.
  static Result<std::unique_ptr<Sealer>> create(Keyring keyring);
  ~Sealer();
  Sealer(const Sealer&) = delete;
  Sealer& operator=(const Sealer&) = delete;

  const std::string& active_key_id() const noexcept;
  /// Ids and uses, in the order of the keyring.
  std::vector<std::pair<std::string, KeyUse>> keys() const;
  /// Whether another one was made from the same keys, in the same order and of the same use.
  bool has_keys_of(const Sealer& other) const noexcept;
  /// Whether any key of the other is here too, under the same id, whatever its use.
  bool shares_key_with(const Sealer& other) const noexcept;
  /// What the keyring says of a key; empty if it does not hold it.
  std::optional<KeyUse> key_use(std::string_view key_id) const noexcept;

  /// The 8 digits of a tag over `tagged` under the active key.
  std::array<char, text::tag_size> make_tag(std::string_view tagged) const noexcept;
  /// Whether a parsed token carries the right tag, in constant time. False if its key is not held.
  bool tag_matches(const text::ParsedToken& token) const noexcept;

  /// The verifier of a secret under the active key, for a new token.
  Bytes32 make_verifier(std::string_view workspace, std::string_view handle, std::string_view secret) const noexcept;
  /// Whether a parsed token's secret belongs to `expected`, in constant time.
  bool verifier_matches(std::string_view workspace, const text::ParsedToken& token,
                        const Bytes32& expected) const noexcept;

  /// Fills in seal_key_id (the active key) and seal. The record's other fields are final by then.
  /// May allocate.
  void seal(const Place& place, TokenRecord& record) const;
  void seal(const Place& place, OwnerRecord& record) const;
  void seal(const Bytes16& store, WorkspaceRecord& record) const;
  void seal(StoreRecord& record) const;

  /// Whether a record is as it was sealed, and where.
  SealCheck verify(const Place& place, const TokenRecord& record) const noexcept;
  SealCheck verify(const Place& place, const OwnerRecord& record) const noexcept;
  SealCheck verify(const Bytes16& store, const WorkspaceRecord& record) const noexcept;
  SealCheck verify(const StoreRecord& record) const noexcept;
  template <typename Where, typename Record>
  bool is_genuine(const Where& where, const Record& record) const noexcept {
    return verify(where, record) == SealCheck::genuine;
  }

  /// The work of verify() on a record of the active key, for one that is not there.
  void work_like_verify(const Place& place, const TokenRecord& record) const noexcept;

  /// The link of an entry of the change feed (announcement.hpp) under a key. Empty if the key is not held or retired.
  std::optional<Bytes32> feed_link(const Place& place, std::string_view key_id, std::uint64_t revision,
                                   const Bytes32& previous, std::string_view entry) const noexcept;
  /// The same under a retired key, which vouches for nothing: it only shows that nobody without the key has changed the
  /// entry. Empty if the key is not held, or not retired.
  std::optional<Bytes32> feed_link_of_retired(const Place& place, std::string_view key_id, std::uint64_t revision,
                                              const Bytes32& previous, std::string_view entry) const noexcept;
  /// What vouches for a frame of the journal (journal/frame.hpp), under a key. Empty if the key is not held or retired.
  std::optional<Bytes32> journal_mac(std::string_view key_id, std::string_view octets) const noexcept;

  /// Begins the seal of a backup under a key. Empty if the key is not held or retired. Allocates.
  std::optional<BackupSeal> begin_backup_seal(std::string_view key_id) const;

 private:
  struct Impl;
  explicit Sealer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tokenstore::seal
