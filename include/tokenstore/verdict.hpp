/// The question a host asks on every request, and the answer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tokenstore/model.hpp"

namespace tokenstore {

/// What a request needs. The scope is required: there is no "just authenticate".
struct Demand {
  /// `scope` must be one of the token's. An empty or malformed scope is held by no token.
  constexpr explicit Demand(std::string_view scope_needed, std::string_view from = {}) noexcept
      : scope(scope_needed), client_address(from) {}

  std::string_view scope;
  std::string_view client_address;  ///< IPv4 or IPv6 text for "last used from"; anything else is not recorded
};

enum class Outcome : std::uint8_t {
  unavailable = 0,  ///< Storage cannot be asked. Refuse the request, and do not call the token bad (HTTP 503).
  valid = 1,
  invalid = 2,
};

/// Why, for the host's audit log alone: a client is told the outcome, and whether the scope was
/// missing (HTTP 403), nothing else.
enum class Reason : std::uint8_t {
  none = 0,       ///< valid
  malformed = 1,  ///< not a token of this store's form
  forged = 2,     ///< well-formed, but not made with a key of this keyring
  unknown = 3,    ///< no such token: never issued, deleted or purged
  wrong_secret = 4,
  tampered = 5,  ///< a stored record's seal does not verify, or a settings record is missing
  retired_key = 6,
  revoked = 7,
  expired = 8,
  pending = 9,
  owner_suspended = 10,
  owner_may_not_use = 11,
  tokens_disabled = 12,
  insufficient_scope = 13,
  storage = 14,      ///< unavailable: storage failed
  rolled_back = 15,  ///< a stored record is an earlier state than the journal knows: it was put back
};

std::string_view outcome_name(Outcome outcome) noexcept;
std::string_view reason_name(Reason reason) noexcept;

/// The answer. Self-contained: every view that it returns points into the Verdict itself and lives
/// as long as it does. About 13 KiB, of which only what is used is ever touched.
///
/// Who and what (`id` and so on) are given when the token is genuine: for `valid`, and for
/// `insufficient_scope`. Otherwise they are empty.
class Verdict {
 public:
  Verdict() noexcept {}  // NOLINT(modernize-use-equals-default): leaves the text uninitialised
  Verdict(const Verdict& other) noexcept { *this = other; }
  Verdict& operator=(const Verdict& other) noexcept;

  Outcome outcome() const noexcept { return outcome_; }
  Reason reason() const noexcept { return reason_; }
  bool valid() const noexcept { return outcome_ == Outcome::valid; }
  /// 200, 401, 403 or 503 (RFC 6750 section 3.1).
  int http_status() const noexcept;

  std::string_view id() const noexcept { return {text_.data(), id_size_}; }
  std::string_view owner() const noexcept { return {text_.data() + token_id_size, owner_size_}; }
  /// Separated by single spaces and sorted, as in RFC 6749 section 3.3.
  std::string_view scopes() const noexcept { return {text_.data() + token_id_size + owner_size_, scopes_size_}; }
  std::string_view metadata() const noexcept {
    return {text_.data() + token_id_size + owner_size_ + scopes_size_, metadata_size_};
  }
  UnixMillis expires_at() const noexcept { return expires_at_; }

 private:
  friend class VerdictWriter;

  Outcome outcome_ = Outcome::unavailable;
  Reason reason_ = Reason::storage;
  std::uint16_t id_size_ = 0;
  std::uint16_t owner_size_ = 0;
  std::uint16_t scopes_size_ = 0;
  std::uint16_t metadata_size_ = 0;
  UnixMillis expires_at_ = 0;
  std::array<char, token_id_size + owner_max + scopes_max*(scope_max + 1) + metadata_max> text_;
};

}  // namespace tokenstore
