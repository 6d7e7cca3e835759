/// The words of the library as types: tokens, owners, policy, actors, lifetimes, and the requests
/// and answers of TokenStore. Plain values: copy and share them as you like.
///
/// Times are UnixMillis. Text is UTF-8. Limits are constants below; exceeding one is
/// `invalid_argument` and changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenstore/environment.hpp"
#include "tokenstore/secret.hpp"

namespace tokenstore {

inline constexpr std::size_t token_id_size = 16;
inline constexpr std::size_t token_text_min = 80;   ///< octets, with a prefix of 2
inline constexpr std::size_t token_text_max = 102;  ///< octets, with a prefix of 24
inline constexpr std::size_t prefix_min = 2;
inline constexpr std::size_t prefix_max = 24;
inline constexpr std::size_t owner_max = 255;          ///< octets of UTF-8, no control characters
inline constexpr std::size_t workspace_max = 255;      ///< as an owner's name
inline constexpr std::size_t description_max = 1024;   ///< octets of UTF-8, no control characters
inline constexpr std::size_t reason_max = 1024;        ///< as a description
inline constexpr std::size_t metadata_max = 4096;      ///< opaque octets
inline constexpr std::size_t scopes_max = 64;          ///< scopes of one token
inline constexpr std::size_t scope_max = 128;          ///< octets, RFC 6749 section 3.3 scope-token
inline constexpr std::size_t client_address_max = 45;  ///< octets: the longest IPv6 text form
inline constexpr std::size_t page_max = 1000;          ///< tokens in one page of a list

inline constexpr std::int64_t millis_per_day = 86'400'000;
/// `expires_at` of a token that never expires, and `longest_lifetime` of a policy without a limit.
inline constexpr std::int64_t never = (std::numeric_limits<std::int64_t>::max)();
/// Every other time must be before the year 10000, so that it can be written down as RFC 3339.
inline constexpr UnixMillis latest_time = 253'402'300'799'999;

/// How long a token shall live, counted from its creation.
class Lifetime {
 public:
  /// What the workspace's policy says.
  static constexpr Lifetime policy_default() noexcept { return Lifetime(0); }
  /// No end. Refused unless policy allows it.
  static constexpr Lifetime never() noexcept { return Lifetime(-1); }
  /// `count` milliseconds, 1 or more. 0 asks for the policy's default; a negative count is refused
  /// by issue, so that "never" is never the by-product of a subtraction.
  static constexpr Lifetime millis(std::int64_t count) noexcept { return Lifetime(count < 0 ? invalid : count); }
  static constexpr Lifetime days(std::int64_t count) noexcept {
    if (count < 0 || count > (std::numeric_limits<std::int64_t>::max)() / millis_per_day) return Lifetime(invalid);
    return Lifetime(count * millis_per_day);
  }

  constexpr bool is_default() const noexcept { return value_ == 0; }
  constexpr bool is_never() const noexcept { return value_ == -1; }
  constexpr bool is_valid() const noexcept { return value_ >= -1; }
  /// Milliseconds; meaningful when neither of the above.
  constexpr std::int64_t count() const noexcept { return value_; }

 private:
  static constexpr std::int64_t invalid = -2;
  constexpr explicit Lifetime(std::int64_t value) noexcept : value_(value) {}
  std::int64_t value_;
};

/// Who asks. The host decides that; the library decides what they may do.
class Actor {
 public:
  enum class Kind : std::uint8_t { user, administrator, host };

  /// Sees and acts on their own tokens only.
  static Actor user(std::string name) { return Actor(Kind::user, std::move(name)); }
  /// Lists and ends anyone's tokens, sets policy; issues for themselves only.
  static Actor administrator(std::string name) { return Actor(Kind::administrator, std::move(name)); }
  /// May do all; issues for anyone.
  static Actor host() { return Actor(Kind::host, {}); }

  Kind kind() const noexcept { return kind_; }
  const std::string& name() const noexcept { return name_; }

 private:
  Actor(Kind kind, std::string name) : kind_(kind), name_(std::move(name)) {}
  Kind kind_;
  std::string name_;
};

/// State of a token at a time: revoked, else expired, else pending, else active.
enum class TokenState : std::uint8_t {
  active = 1,
  pending = 2,  ///< its not-before lies ahead
  expired = 3,
  revoked = 4,
  tampered = 5,  ///< its seal does not verify: nothing but the id can be believed
};

/// "active", "pending", ...
std::string_view state_name(TokenState state) noexcept;

/// What lists and logs may show of a token.
struct TokenInfo {
  std::string id;
  std::string owner;
  std::string description;
  std::vector<std::string> scopes;  ///< sorted, without repeats; empty grants nothing
  std::string metadata;
  TokenState state = TokenState::active;
  UnixMillis created_at = 0;
  std::string created_by;     ///< "user:alice", "administrator:root" or "host"
  UnixMillis not_before = 0;  ///< its creation if none was asked for
  UnixMillis expires_at = never;
  std::optional<UnixMillis> revoked_at;
  std::string revoked_by;
  std::string revoke_reason;
  std::optional<UnixMillis> last_used_at;
  std::string last_used_from;  ///< client address, empty if the host gave none
};

/// Fields have initialisers so that `{.owner = "alice", .scopes = {"read"}}` compiles without warnings.
struct IssueRequest {
  std::string owner{};
  std::string description{};
  std::vector<std::string> scopes{};
  std::string metadata{};
  Lifetime lifetime = Lifetime::policy_default();
  std::optional<UnixMillis> not_before{};  ///< from its creation if absent
};

/// A new token. `text` is the only copy there will ever be.
struct Issued {
  SecretText text;
  TokenInfo info;
};

struct ListQuery {
  std::string owner{};                ///< empty: everyone's (a user: their own)
  std::optional<TokenState> state{};  ///< only tokens in this state; not `tampered`
  std::string text{};                 ///< only descriptions that contain this, ASCII case ignored; no wildcards
  std::string cursor{};               ///< `next` of the page before; empty: from the newest
  std::size_t limit = 50;             ///< 1..page_max
};

/// A page, newest first. A page may hold fewer than `limit` tokens, even none, and still have a
/// `next`: a filter that matches little is answered in steps of bounded cost.
struct TokenPage {
  std::vector<TokenInfo> tokens;
  std::string next;  ///< empty: this was the last page
};

struct StateCounts {
  std::uint64_t active = 0;
  std::uint64_t pending = 0;
  std::uint64_t expired = 0;
  std::uint64_t revoked = 0;
};

/// Rules of a workspace.
struct Policy {
  bool tokens_enabled = true;                            ///< false: nothing validates, nothing is issued
  bool users_may_issue = true;                           ///< false: administrators and the host only
  bool never_allowed = false;                            ///< may a token have no end?
  std::int64_t longest_lifetime = 366 * millis_per_day;  ///< ms, 1..; `never`: no limit
  std::int64_t default_lifetime = 90 * millis_per_day;   ///< ms, 1..; the longest lifetime if that is shorter
  std::uint32_t most_active_per_owner = 0;               ///< active and pending tokens; 0: no limit
};

/// What an owner may do, whatever their tokens say.
struct OwnerSettings {
  bool may_issue = true;
  bool may_use = true;
};

struct OwnerInfo {
  std::string owner;
  OwnerSettings settings;
  bool suspended = false;
  std::optional<UnixMillis> suspended_at;
  std::string suspended_by;
  std::string suspend_reason;
  bool tampered = false;  ///< the seal does not verify: every token of theirs is denied
};

struct OwnerPage {
  std::vector<OwnerInfo> owners;  ///< by name, in octet order
  std::string next;
};

struct PurgeResult {
  std::uint64_t removed = 0;
  bool complete = false;  ///< false: the time budget ran out, call again
};

/// How far sealing anew under the active key has come.
struct ResealResult {
  std::uint64_t resealed = 0;  ///< records that were under another key
  std::uint64_t kept = 0;      ///< under the active key already
  std::uint64_t refused = 0;   ///< not genuine: left as they are, for check() to name
  std::string next;            ///< cursor for the next call; empty: all of the workspace is done
};

/// What was put forward again from the journal because storage had gone back behind it.
struct HealReport {
  std::uint64_t looked_at = 0;  ///< lines of the journal that tell of a record's latest state
  std::uint64_t ended = 0;      ///< tokens that have ended again, or end again when they were to
  std::uint64_t removed = 0;    ///< tokens that had been deleted, and are deleted again
  std::uint64_t settings = 0;   ///< owners and the workspace
  std::uint64_t refused = 0;    ///< left as they are: not genuine, which denies them, or changed by others all the time
};

/// What hangs on a key of the keyring. A key can be taken out when both are 0 in every workspace.
struct KeyUsage {
  std::string key_id;
  std::uint64_t seals = 0;          ///< genuine records of the workspace that it sealed
  std::uint64_t living_tokens = 0;  ///< tokens of its own that have not ended: they end with it
};

/// What the check of a whole store found.
struct CheckReport {
  std::uint64_t tokens = 0;  ///< records read
  std::uint64_t owners = 0;
  std::vector<KeyUsage> keys;         ///< by key id; the keys that anything hangs on, and the active one
  std::vector<std::string> problems;  ///< one line each, at most 1,000; empty: all is well
  std::uint64_t problem_count = 0;
};

}  // namespace tokenstore
