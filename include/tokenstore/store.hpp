/// TokenStore: issue, validate, list, expire, revoke and delete the tokens of one workspace.
///
/// Thread use: every method may be called from several threads at once. Ownership: a store owns its
/// keyring and shares its backend; destroy it when no call is under way. A method that returns OK for
/// a change has made it durable. With a journal a change can fail with `not_journaled`: it holds all the same. Every
/// method may throw std::bad_alloc except validate; nothing else is ever thrown.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenstore/backend.hpp"
#include "tokenstore/environment.hpp"
#include "tokenstore/key_source.hpp"
#include "tokenstore/keyring.hpp"
#include "tokenstore/model.hpp"
#include "tokenstore/statistics.hpp"
#include "tokenstore/status.hpp"
#include "tokenstore/transfer.hpp"
#include "tokenstore/verdict.hpp"

namespace tokenstore {

struct StoreOptions {
  std::string workspace = "default";                ///< 1..255 octets of UTF-8, no control characters
  std::string prefix = "pat";                       ///< lower *(lower / DIGIT) *("_" 1*(lower / DIGIT)), 2..24 octets
  bool create_workspace = true;                     ///< make it, with the default policy, if it does not exist
  std::size_t cache_bytes = std::size_t{64} << 20;  ///< the validator's budget; 0: no cache
  std::chrono::milliseconds use_interval{60'000};   ///< how often last uses are written out
  bool upkeep_thread = false;                       ///< run maintain() in a thread of the store's own
  /// A file outside the database that testifies to what was ended, so that an older database brings nothing back
  /// (docs/audit.md). Made if it is missing; shared by the processes of this machine. Empty: none.
  std::string journal{};
  /// When the journal begins a new segment, in upkeep: when this one has grown by so many octets since it began, and by
  /// as many as it began with (0: 64 MiB), or is so old and holds anything (0: however old it is). Earlier segments are
  /// kept until an administrator removes them.
  std::uint64_t journal_segment_bytes = 0;
  std::chrono::milliseconds journal_segment_age{0};
  /// Of meaning if root runs the program: the journal may belong to whom this file or directory belongs to.
  std::string journal_owner_of{};
  std::shared_ptr<Clock> clock{};          ///< null: the system's
  std::shared_ptr<RandomSource> random{};  ///< null: the system's
};

class TokenStore {
 public:
  /// Opens a workspace of a backend. `wrong_key` if the keyring is not the one that sealed it. Of the journal:
  /// `journal_damaged`, `not_a_store` if it is another store's, `cannot_open` if its file is not to be taken.
  static Result<std::unique_ptr<TokenStore>> open(std::shared_ptr<Backend> backend, Keyring keyring,
                                                  StoreOptions options = {});
  /// The same with keys that may change while the store is open: whenever the source has others, they are taken.
  static Result<std::unique_ptr<TokenStore>> open(std::shared_ptr<Backend> backend, std::shared_ptr<KeySource> keys,
                                                  StoreOptions options = {});
  /// Writes out last uses. Anything else is already durable.
  ~TokenStore();
  TokenStore(const TokenStore&) = delete;
  TokenStore& operator=(const TokenStore&) = delete;

  /// Is this text a token that may do this now? The only way to ask. Never throws, never writes.
  /// `text` is what the client sent, without "Bearer ". It is not kept.
  Verdict validate(std::string_view text, const Demand& demand) noexcept;
  /// The same into a verdict of the caller's, which may be used again and again.
  void validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept;
  /// The same if it can be answered without storage, as most can: then true. It asks storage for its pulse alone, which
  /// waits for nothing (but on a VFS of SQLite's without shared memory, where it looks at the file), so that an event
  /// loop may call it. False: validate() has to be asked, and the verdict says `unavailable`.
  [[nodiscard]] bool try_validate(std::string_view text, const Demand& demand, Verdict& verdict) noexcept;

  Result<Issued> issue(const Actor& actor, const IssueRequest& request);
  /// All or none of them, in one commit. In the order of the requests.
  Result<std::vector<Issued>> issue_many(const Actor& actor, std::span<const IssueRequest> requests);

  Result<TokenInfo> get(const Actor& actor, std::string_view id);
  Result<TokenPage> list(const Actor& actor, const ListQuery& query);
  /// Tokens per state, of one owner or (empty) of everyone. Cost grows with what it counts.
  Result<StateCounts> count(const Actor& actor, std::string_view owner = {});

  /// Brings the end forward to `at`, or to now (absent, or a time gone by). Never later: a later time
  /// than the token has is `invalid_argument`. Ended already: OK, and nothing changes.
  Result<TokenInfo> expire(const Actor& actor, std::string_view id, std::optional<UnixMillis> at = {});
  /// Ends the token for good. The record stays. Revoked already: OK, and nothing changes.
  Result<TokenInfo> revoke(const Actor& actor, std::string_view id, std::string_view reason = {});
  /// Revokes every token of an owner that has not ended. An issue that was under way is refused.
  /// Returns how many. Works in several commits: an error, or no memory, may come after some tokens were
  /// revoked; ask again for the others, or suspend the owner, which stops all at once.
  Result<std::uint64_t> revoke_all(const Actor& actor, std::string_view owner, std::string_view reason = {});
  /// Deletes the record. Cannot be undone; `not_found` the second time.
  Result<void> remove(const Actor& actor, std::string_view id);

  Result<OwnerInfo> owner(const Actor& actor, std::string_view owner);
  Result<OwnerPage> list_owners(const Actor& actor, std::string_view cursor = {}, std::size_t limit = 50);
  /// Sets what an owner may do; the owner need not have tokens yet.
  Result<OwnerInfo> set_owner(const Actor& actor, std::string_view owner, const OwnerSettings& settings);
  /// Every token of theirs stops at once / works again. Repeating it changes nothing.
  Result<OwnerInfo> suspend(const Actor& actor, std::string_view owner, std::string_view reason = {});
  Result<OwnerInfo> resume(const Actor& actor, std::string_view owner);

  Result<Policy> policy(const Actor& actor);
  Result<Policy> set_policy(const Actor& actor, const Policy& policy);

  /// Deletes tokens that ended before a time, in slices, for about `budget`. An error may come after some of
  /// them; ask again.
  Result<PurgeResult> purge(const Actor& actor, UnixMillis ended_before,
                            std::chrono::milliseconds budget = std::chrono::milliseconds{1000});

  /// Seals records anew under the active key, in slices, for about `budget`, while the store is in use. `cursor` is
  /// empty at first, then the `next` of the call before: it may be kept, and used by another process. What is sealed
  /// already is only read. A key that check() finds nothing hanging on can then be retired and taken out.
  Result<ResealResult> reseal(const Actor& actor, std::string_view cursor = {},
                              std::chrono::milliseconds budget = std::chrono::milliseconds{1000});
  // Keys, which are the whole store's: `permission_denied` for anybody but the host. Those that change some answer
  // `unsupported` unless the keys are in a key file, and can be asked for again after any error. Other processes take
  // part as soon as they look at storage again.

  /// The keys and what hangs on each, in the order of the keyring; then those that it does not hold. Reads every
  /// record.
  Result<std::vector<KeyStatus>> key_status(const Actor& actor, const Progress& progress = {});
  /// Adds a new key, verify-only, and returns its id.
  Result<std::string> add_key(const Actor& actor);
  /// Makes a key the active one: when this has returned, nobody who takes part issues or seals with another one.
  Result<void> activate_key(const Actor& actor, std::string_view id);
  /// Ends the tokens of a verify-only key. `refused` if it is active, or seals anything that outlives it: reseal()
  /// first, in every workspace. Reads every record.
  Result<void> retire_key(const Actor& actor, std::string_view id);
  /// Takes a key out. `refused` if it is active, or if anything hangs on it. Reads every record.
  Result<void> remove_key(const Actor& actor, std::string_view id);
  /// Asks the source of the keys outright, for hosts that know that there are others. True: there were. `unsupported`
  /// if the store was opened with a keyring; other errors say why the keys stay what they were.
  Result<bool> reload_keys();

  /// Puts forward again what storage shows in an earlier state than the journal knows: it ends, is deleted or is set as
  /// it was. Opening does it where the database is older than the journal, and upkeep as soon as it is noticed; until
  /// then such records are denied (`rolled_back`). For an administrator or the host; `unsupported` without a journal.
  Result<HealReport> heal(const Actor& actor, const Progress& progress = {});

  /// Verifies every seal of the workspace, its change feed and the storage's own integrity. May take long.
  Result<CheckReport> check(const Actor& actor, const Progress& progress = {});

  /// Writes everything that the storage holds, every workspace of it, into one file, as backup_store() does. For the
  /// host alone. restore_sqlite() makes a store of it again.
  Result<BackupInfo> backup(const Actor& actor, const std::string& path, const BackupOptions& options = {});
  /// Makes other storage hold what this one holds, as copy_store() does. For the host alone.
  Result<CopyReport> copy_to(const Actor& actor, Backend& to, const CopyOptions& options = {});

  /// Housekeeping for about `budget`: writes out last uses that are due, lets the backend tidy up.
  /// True: there is more to do. A host without the upkeep thread calls it every few seconds.
  Result<bool> maintain(std::chrono::milliseconds budget = std::chrono::milliseconds{50});

  Statistics statistics() const noexcept;
  /// Why the latest validation in this process that was `unavailable` was: a line for the log. Absent: none was.
  std::optional<Unavailability> why_unavailable() const;
  /// A regular expression (ERE, and PCRE alike) that finds this store's tokens in any text.
  std::string scanner_pattern() const;
  const std::string& workspace() const noexcept;
  const std::string& prefix() const noexcept;
  /// Effective now: never goes back while the store is open.
  UnixMillis now() noexcept;

  /// The library's own.
  class Impl;

 private:
  explicit TokenStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Heals every workspace of a storage from the journal that `options` name, before anybody uses it, and answers how
/// many records were put forward: what RestoreOptions::heal is for. `keys` is asked for each workspace; of the options
/// only the journal, its owner and the clock are looked at. Errors as of TokenStore::open() and heal().
Result<std::uint64_t> heal_from_journal(Backend& storage, const std::function<Result<Keyring>()>& keys,
                                        const StoreOptions& options);

}  // namespace tokenstore
