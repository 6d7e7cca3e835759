/// What a TokenStore is made of, and the steps that its operations share.
///
/// The operations themselves are in issue.cpp, lifecycle.cpp, listing.cpp, owners.cpp, policy.cpp,
/// resealing.cpp, checking.cpp, healing.cpp and upkeep.cpp; opening.cpp makes the store. Thread-safe: everything here
/// is immutable or synchronises itself.
#pragma once

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/effective_clock.hpp"
#include "journal/journal.hpp"
#include "seal/announcement.hpp"
#include "seal/live_sealer.hpp"
#include "store/learning.hpp"
#include "store/recent_settings.hpp"
#include "store/upkeep_thread.hpp"
#include "tokenstore/store.hpp"
#include "validate/validator.hpp"

namespace tokenstore {

/// `revoked_at` and `suspended_at` of what is neither.
inline constexpr UnixMillis not_ended = std::numeric_limits<UnixMillis>::max();

/// A time budget beyond a lifetime of the process is no limit, and must not overflow.
inline constexpr std::chrono::milliseconds longest_budget = std::chrono::hours{24 * 366 * 100};

/// What a commit does, for the journal. Views and pointers last as long as the call.
struct Act {
  journal::Deed deed;
  const Actor& by;
  std::string_view reason{};
  /// Of a token that is removed, or whose end is brought forward: the end that it had.
  UnixMillis ended_at = 0;
  std::string_view owner{};  ///< of a token that is removed
};

class TokenStore::Impl {
 public:
  Impl(std::shared_ptr<Backend> storage, std::unique_ptr<seal::LiveSealer> seals, seal::Place where,
       StoreOptions options);

  std::shared_ptr<Backend> backend;
  std::unique_ptr<seal::LiveSealer> sealer;
  std::shared_ptr<RandomSource> random;
  base::EffectiveClock clock;
  const seal::Place place;
  const std::string& workspace = place.workspace;
  const std::string prefix;
  std::unique_ptr<journal::Journal> journal;  ///< null: none was asked for
  Learning learning;
  Healing healing;
  validate::Validator validator;
  RecentSettings recent;
  std::unique_ptr<UpkeepThread> upkeep;
  std::chrono::milliseconds upkeep_pause{0};

  // Look-ups that believe nothing unsealed.

  Result<WorkspaceRecord> load_workspace();
  /// Empty if the owner has no record. `tampered` if its seal does not verify.
  Result<std::optional<OwnerRecord>> load_owner(std::string_view owner);
  /// The same, or a new record (revision 0). Its birth is new too: tokens of an earlier record, which somebody must
  /// have removed, stay denied.
  Result<OwnerRecord> load_or_start_owner(std::string_view owner);
  /// A token that the actor may see; else `not_found`, as for an id that never was. `tampered` if its
  /// seal does not verify.
  Result<TokenRecord> load_visible_token(const Actor& actor, std::string_view id);

  /// A part of the list, not verified. `internal` if the backend's parts do not go down: a walk over them
  /// would never end.
  Result<TokenList> list_part(const TokenQuery& query) { return list_part(workspace, query); }
  Result<TokenList> list_part(std::string_view of_workspace, const TokenQuery& query);

  /// The sealer for what is written after a record was read that this key has sealed (empty: it is new). If it is not
  /// the active one of this process, others may use newer keys already, which are then taken first: so a record never
  /// goes back to a key that has been left, once the records have been sealed anew.
  const seal::Sealer& sealer_after(std::string_view sealed_with) noexcept;
  /// Seals `record` as its next revision and makes the mutation that stores it.
  Mutation next_revision(TokenRecord record);
  Mutation next_revision(OwnerRecord record);
  Mutation next_revision(WorkspaceRecord record);
  Mutation next_revision(StoreRecord record);

  /// Commits and announces every record that the batch changes; anything but committed is an Error, and so is
  /// `not_journaled`: it was committed then.
  Result<void> commit(std::span<const Mutation> batch, const Act& act);
  /// Commits what nobody can have remembered: new tokens.
  Result<void> commit_unannounced(std::span<const Mutation> batch, const Act& act);
  /// Writes into the journal, if there is one, what was done to a key: durable on return.
  Result<void> journal_key(const Act& act, std::string_view id);
  /// For a repeated ending that finds nothing to change: what an earlier one could not write into the journal is
  /// written now.
  Result<void> settle_journal();
  /// What a record has to reach that is loaded after this call; one below it was put back.
  RecordRevision least_revision(RecordKind kind, std::string_view key) noexcept {
    return journal::least_revision(journal, kind, key).value_or(journal::gone);
  }
  /// Has every process look at a record again before it believes anything of it: for an ending that found nothing it
  /// could change, because the record was changed or removed outside the library.
  Result<void> announce(RecordKind kind, std::string_view key);
  /// What became of a commit; anything but committed is an Error.
  static Result<void> outcome_of(const CommitResult& done);
  /// After an ending by somebody who may end it, which `met` this: whatever it was, nobody goes on by what is
  /// remembered. An error: others could not be told.
  Result<void> end_for_others(Status met, RecordKind kind, std::string_view key) {
    const bool found_nothing_to_change = met == Status::tampered || met == Status::not_found;
    return found_nothing_to_change ? announce(kind, key) : Result<void>{};
  }

  /// For a record that something was to be built on: counted, so that upkeep heals it.
  Error met_rolled_back(std::string_view what);
  /// How often one was met.
  std::uint64_t rolled_back() const noexcept;
  /// Puts forward what went back behind the journal. By whoever holds the mutex of `learning`.
  Result<HealReport> heal(const Actor& actor, const Progress& progress);
  /// The same where the database is older than the journal, before anybody uses the store.
  void heal_at_opening();

  Bytes16 new_birth() const;

  /// Runs `attempt` again while it answers `conflict`: somebody else changed what it had read.
  template <typename T>
  Result<T> retrying(const std::function<Result<T>()>& attempt) {
    for (int tries = 1; tries < most_attempts; ++tries) {
      Result<T> answer = attempt();
      if (answer.status() != Status::conflict) return answer;
    }
    return attempt();
  }

  /// What a call of maintain() had no time for.
  struct Left {
    bool uses = false;
    bool storage = false;
  };
  Result<Left> maintain(std::chrono::milliseconds budget);
  /// Starts the upkeep thread, or starts it again in a forked child.
  void start_upkeep(std::chrono::milliseconds pause);

 private:
  Result<void> commit(std::span<const Mutation> batch, const seal::SealedAnnouncement* announcement, const Act* act);
  /// The journal's entries of a commit.
  journal::Draft draft(std::span<const Mutation> batch, const Act& act);
  /// Appends what other hosts have changed, as far as the change feed tells, and heals what went back. Part of
  /// maintain().
  Result<void> learn_from_feed();
  /// Whether the change feed tells that storage was put back behind what the journal has heard of. `head`: where it is.
  Result<bool> is_older_than_journal(Changes& head);
  bool healing_is_due();

  /// Each lost race means that somebody else won it, so many in a row are progress, not a fault.
  static constexpr int most_attempts = 1000;
};

}  // namespace tokenstore
