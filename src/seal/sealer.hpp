/// The keyed checks of section "Keys, verifier, seal" (docs/keys.md): tag, verifier, record seal.
///
/// Built once from a keyring, then immutable: every method is thread-safe and allocates nothing,
/// except where it says so. HMAC-SHA-256 (RFC 2104, FIPS 198-1) under sub-keys
/// K_x = HMAC-SHA-256(master, "tokenstore/1/" x 0x01).
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "text/token_text.hpp"
#include "tokenstore/backend.hpp"
#include "tokenstore/keyring.hpp"

namespace tokenstore::seal {

enum class SealCheck : std::uint8_t {
  genuine,
  tampered,
  unknown_key,  ///< sealed with a key that the keyring does not hold
};

class Sealer {
 public:
  /// `wrong_key` unless exactly one key is active.
  static Result<std::unique_ptr<Sealer>> create(Keyring keyring);
  ~Sealer();
  Sealer(const Sealer&) = delete;
  Sealer& operator=(const Sealer&) = delete;

  const std::string& active_key_id() const noexcept;
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
  void seal(std::string_view workspace, TokenRecord& record) const;
  void seal(std::string_view workspace, OwnerRecord& record) const;
  void seal(WorkspaceRecord& record) const;

  /// Whether a record is as it was sealed. The workspace is the one that it was asked of.
  SealCheck verify(std::string_view workspace, const TokenRecord& record) const noexcept;
  SealCheck verify(std::string_view workspace, const OwnerRecord& record) const noexcept;
  SealCheck verify(const WorkspaceRecord& record) const noexcept;

 private:
  struct Impl;
  explicit Sealer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tokenstore::seal
