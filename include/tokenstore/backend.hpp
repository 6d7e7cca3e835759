/// What every storage backend implements.
///
/// A backend stores sealed records and answers look-ups. It decides nothing: policy, states, seals
/// and verdicts are above it, so that a wrong or hostile backend can deny or replay, never forge.
///
/// Thread use: every method may be called from several threads at once. Every method except pulse()
/// may block and do I/O. No method may call back into a store. A method may throw std::bad_alloc and
/// nothing else; every other failure is a Result.
///
/// Text arguments are octets: they may hold quotes, wildcards and NUL, and are always literal. Ids,
/// names and order are compared octet by octet.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tokenstore/environment.hpp"
#include "tokenstore/status.hpp"

namespace tokenstore {

using Bytes16 = std::array<std::uint8_t, 16>;
using Bytes32 = std::array<std::uint8_t, 32>;

/// A record's own count of changes: 1 when it is put for the first time. 0 means "absent".
using RecordRevision = std::uint64_t;

/// A token as stored. Everything but the last use is covered by the seal.
struct TokenRecord {
  std::string id;      ///< 16 octets; the primary key within its workspace
  std::string key_id;  ///< 2 octets; key of the token text's tag and of the verifier
  Bytes32 verifier{};
  std::string owner;
  Bytes16 owner_birth{};               ///< of the owner's record under which it was issued
  std::uint64_t revoke_all_count = 0;  ///< of that record, then: a later "revoke all" has ended the token
  std::string description;
  std::string scopes;  ///< sorted, separated by single spaces; empty grants nothing
  std::string metadata;
  UnixMillis created_at = 0;
  std::string created_by;
  UnixMillis not_before = 0;  ///< 0: none. Not the creation: other hosts' clocks may be a little behind
  UnixMillis expires_at = 0;  ///< INT64_MAX: never
  /// INT64_MAX: nobody has expired it by hand. Else it has ended, whatever anybody's clock says.
  UnixMillis expired_at = (std::numeric_limits<UnixMillis>::max)();
  UnixMillis revoked_at = (std::numeric_limits<UnixMillis>::max)();  ///< INT64_MAX: not revoked
  std::string revoked_by;
  std::string revoke_reason;
  RecordRevision revision = 0;
  std::string seal_key_id;  ///< 2 octets; key of the seal
  Bytes32 seal{};

  UnixMillis last_used_at = 0;  ///< 0: not used yet. Not sealed.
  std::string last_used_from;   ///< Not sealed.

  /// When the token stops for good: the order of purge, and what counts as live against a cap.
  UnixMillis ends_at() const noexcept { return revoked_at < expires_at ? revoked_at : expires_at; }
};

/// An owner's settings as stored.
struct OwnerRecord {
  std::string owner;  ///< the primary key within its workspace
  Bytes16 birth{};    ///< random, drawn when the record was made: what tokens are bound to
  bool may_issue = true;
  bool may_use = true;
  UnixMillis suspended_at = (std::numeric_limits<UnixMillis>::max)();  ///< INT64_MAX: not suspended
  std::string suspended_by;
  std::string suspend_reason;
  std::uint64_t revoke_all_count = 0;  ///< grows with every "revoke all"
  RecordRevision revision = 0;
  std::string seal_key_id;
  Bytes32 seal{};
};

/// A workspace and its policy as stored.
struct WorkspaceRecord {
  std::string workspace;  ///< the primary key
  Bytes16 birth{};        ///< random, drawn when the record was made: every seal in the workspace covers it
  bool tokens_enabled = true;
  bool users_may_issue = true;
  bool never_allowed = false;
  std::int64_t longest_lifetime = 0;
  std::int64_t default_lifetime = 0;
  std::uint32_t most_active_per_owner = 0;
  UnixMillis created_at = 0;
  RecordRevision revision = 0;
  std::string seal_key_id;
  Bytes32 seal{};
};

/// The store itself: one record for all of its workspaces, born with the first.
struct StoreRecord {
  Bytes16
      id{};  ///< random: every seal in the store covers it, so that no row of another store is taken for one of its own
  UnixMillis created_at = 0;
  RecordRevision revision = 0;
  std::string seal_key_id;
  Bytes32 seal{};
};

using Record = std::variant<TokenRecord, OwnerRecord, WorkspaceRecord, StoreRecord>;

enum class RecordKind : std::uint8_t { token = 1, owner = 2, workspace = 3, store = 4 };

/// One step of a batch. The precondition is that the record is absent (`expected` 0) or at record
/// revision `expected`; for `put`, the record's own `revision` is then higher: by one, or by more where it is copied,
/// or put forward again from a journal. A step whose kind and key are not its record's, that names another workspace
/// than the batch is committed to, that removes anything but a token, or that names the same record as another step,
/// fails the batch with `invalid_argument`.
struct Mutation {
  enum class Action : std::uint8_t {
    put,     ///< insert or replace. The stored last use of a token is kept on replace.
    remove,  ///< delete a token (never another record)
    check,   ///< only check the precondition
  };

  static Mutation put(Record record, RecordRevision expected);
  static Mutation remove_token(std::string id, RecordRevision expected);
  static Mutation check(RecordKind kind, std::string key, RecordRevision expected);

  Action action = Action::check;
  RecordKind kind = RecordKind::token;
  std::string key;  ///< token id, owner name, workspace name; of the store: empty
  RecordRevision expected = 0;
  Record record;  ///< for `put`
};

/// What a commit tells those who remember what it changes: one entry of the workspace's change feed.
///
/// A backend keeps `entry` and `link` as they are. The link is a keyed MAC over the entry, its revision and the
/// link before it, so that whoever reads on from a revision notices an entry that is missing, changed or moved.
class Announcement {
 public:
  virtual ~Announcement() = default;
  virtual std::string_view entry() const noexcept = 0;
  /// Pure; does not block. To be asked inside the transaction, where the revision is settled.
  virtual Bytes32 link(std::uint64_t revision, const Bytes32& previous) const noexcept = 0;
};

enum class CommitOutcome : std::uint8_t {
  committed,  ///< all of it is durable
  conflict,   ///< a precondition did not hold; nothing happened
  failed,     ///< nothing happened
  unknown,    ///< it may have happened
};

struct CommitResult {
  CommitOutcome outcome = CommitOutcome::failed;
  std::uint64_t revision = 0;  ///< of the workspace after this batch, if committed
  std::optional<Error> error;  ///< if failed or unknown; its status says why (read_only, storage_full, unavailable...)
};

/// A cheap sign that something has changed.
struct Pulse {
  /// Differs from every counter returned before the last announced commit by anybody, in any process.
  std::uint64_t counter = 0;
  /// Clock::monotonic() until which `counter` can be relied on; INT64_MAX: for ever. Past it, the
  /// store reads through to the backend.
  std::int64_t trusted_until = 0;
};

/// What has been announced in a workspace after a revision.
struct Changes {
  struct Entry {
    std::uint64_t revision = 0;
    std::string text;  ///< Announcement::entry()
    Bytes32 link{};
  };
  std::uint64_t revision = 0;       ///< the workspace's; 0: nothing was announced yet
  Bytes32 link{};                   ///< of that revision; zeroes for 0
  std::uint64_t complete_from = 0;  ///< the lowest revision that could be asked for
  bool everything = false;          ///< too far behind or ahead (an older state was put back), or no feed
  std::vector<Entry> entries;       ///< one for each revision after the one asked for, in order
};

/// A part of the list of tokens, in order of id from high to low.
struct TokenQuery {
  enum class State : std::uint8_t { any, active, pending, expired, revoked };

  std::string owner;         ///< empty: any
  State state = State::any;  ///< at `now`; by the rule revoked, else expired, else pending, else active
  UnixMillis now = 0;
  std::string text;                 ///< empty: any. In the description; ASCII letters in either case.
  std::string before_id;            ///< empty: from the highest. Else only ids below it.
  std::size_t limit = 50;           ///< the most tokens to return
  std::size_t scan_limit = 10'000;  ///< the most records to look at
};

struct TokenList {
  std::vector<TokenRecord> tokens;
  /// Empty: no more. Else the lowest id looked at: `before_id` of the next part.
  std::string next_before_id;
};

struct OwnerList {
  std::vector<OwnerRecord> owners;  ///< in order of name
  bool more = false;
};

struct TokenCounts {
  std::uint64_t active = 0;
  std::uint64_t pending = 0;
  std::uint64_t expired = 0;
  std::uint64_t revoked = 0;
};

/// An ended token, as purge wants it.
struct EndedToken {
  std::string id;
  RecordRevision revision = 0;
};

struct Use {
  std::string id;
  UnixMillis used_at = 0;
  std::string used_from;
};

/// Called now and then with records done and, if known, records in all (0: not known). Returning
/// false asks to stop.
using Progress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

class Backend {
 public:
  virtual ~Backend() = default;

  /// "memory", "sqlite", "postgres" or the host's own name, for messages and statistics.
  virtual std::string_view name() const noexcept = 0;
  virtual bool read_only() const noexcept = 0;

  // Look-ups. Each sees everything whose commit returned before the call. Absent: an empty optional.
  virtual Result<std::optional<TokenRecord>> load_token(std::string_view workspace, std::string_view id) = 0;
  virtual Result<std::optional<OwnerRecord>> load_owner(std::string_view workspace, std::string_view owner) = 0;
  virtual Result<std::optional<WorkspaceRecord>> load_workspace(std::string_view workspace) = 0;
  virtual Result<std::optional<StoreRecord>> load_store() = 0;

  virtual Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) = 0;
  /// Owners by name above `after` (empty: from the first), at most `limit`.
  virtual Result<OwnerList> list_owners(std::string_view workspace, std::string_view after, std::size_t limit) = 0;
  /// Workspaces by name above `after` (empty: from the first), at most `limit`.
  virtual Result<std::vector<WorkspaceRecord>> list_workspaces(std::string_view after, std::size_t limit) = 0;
  /// Tokens per state at `now`; of one owner, or of all (empty). Cost grows with what it counts.
  virtual Result<TokenCounts> count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) = 0;
  /// Tokens of an owner with ends_at() > now, counted up to `at_most`.
  virtual Result<std::uint64_t> count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                           std::uint64_t at_most) = 0;
  /// Tokens with ends_at() < ended_before, the longest ended first, at most `limit`.
  virtual Result<std::vector<EndedToken>> list_ended(std::string_view workspace, UnixMillis ended_before,
                                                     std::size_t limit) = 0;

  /// All or nothing, durable on return. With an announcement, raises the workspace's revision by one and appends
  /// the entry to its change feed, together with the batch, which may then be empty. Without one nobody can have
  /// remembered what the batch changes: no revision is raised and nothing is appended.
  virtual CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                              const Announcement* announcement) = 0;

  /// See Changes. A backend without a feed answers "everything".
  virtual Result<Changes> changes(std::string_view workspace, std::uint64_t after_revision) = 0;

  /// Does no I/O and takes no lock that a writer holds during I/O. Called on every validation.
  virtual Pulse pulse() noexcept = 0;

  /// Notes last uses; a use older than the stored one, or of a token that is gone, is ignored. Need
  /// not be durable; raises no revision and enters no change feed.
  virtual Result<void> record_uses(std::string_view workspace, std::span<const Use> uses) = 0;

  /// Housekeeping (checkpoints, trimming the feed) for about `budget`. True: there is more to do.
  virtual Result<bool> maintain(std::chrono::milliseconds budget) = 0;

  /// The storage's own integrity check. One line for each problem, at most `most`; empty: none.
  virtual Result<std::vector<std::string>> check_integrity(std::size_t most, const Progress& progress) = 0;

  /// Optional, for backups: writes everything, as it is at one moment, into an empty file of this name, as
  /// sqlite_backup_backend() reads it. `conflict` if `progress` asked to stop. False: this storage cannot, and it is
  /// read record by record instead.
  virtual Result<bool> write_snapshot(const std::string& /*path*/, const Progress& /*progress*/) { return false; }
};

}  // namespace tokenstore
