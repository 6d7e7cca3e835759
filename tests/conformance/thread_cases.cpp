// Many threads on the same records.
#include <map>
#include <thread>

#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

constexpr int thread_count = 16;

/// Every thread raises the same record. Each revision has one winner, and each win its own revision of
/// the workspace.
void race_for_a_record(Trial& trial, const std::vector<std::shared_ptr<Backend>>& handles) {
  const std::size_t wins_each = trial.steps(15);
  // Each conflict means that somebody else won. A backend that lost an update can make them go on for ever.
  constexpr std::size_t most_conflicts = 100'000;
  const TokenRecord token = token_of(1);
  must_commit(trial, *handles[0], {put_new(token)});
  std::mutex mutex;
  std::map<RecordRevision, int> winners;
  std::set<std::uint64_t> workspace_revisions;
  std::vector<std::thread> threads;
  for (int number = 0; number < thread_count; ++number) {
    threads.emplace_back([&, number] {
      Backend& backend = *handles[static_cast<std::size_t>(number) % handles.size()];
      std::size_t conflicts = 0;
      for (std::size_t wins = 0; wins < wins_each;) {
        const auto loaded = backend.load_token(home, token.id);
        if (!HOLDS(trial, loaded.ok() && *loaded)) return;
        const TokenRecord next = next_of(**loaded);
        // A second step that always holds: a lost race must not leave it behind.
        const CommitResult result =
            commit(backend, {replace(next), put_new(token_of(1'000 * next.revision + static_cast<unsigned>(number)))});
        if (result.outcome == CommitOutcome::conflict) {
          if (!HOLDS(trial, ++conflicts < most_conflicts)) return;
          continue;
        }
        if (!trial.check(result.outcome == CommitOutcome::committed, __FILE__, __LINE__, shown(result))) return;
        ++wins;
        const std::lock_guard guard(mutex);
        ++winners[next.revision];
        HOLDS(trial, workspace_revisions.insert(result.revision).second);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::size_t wins = wins_each * thread_count;
  EQUAL(trial, winners.size(), wins);
  for (const auto& [revision, count] : winners) EQUAL(trial, count, 1);
  EQUAL(trial, VALUE(trial, handles[0]->load_token(home, token.id)).value_or(TokenRecord{}).revision,
        RecordRevision{wins + 1});
  EQUAL(trial, list_all(trial, *handles[0], {}).size(), wins + 1);
  EQUAL(trial, VALUE(trial, handles[0]->changes(home, 0)).revision, std::uint64_t{wins + 2});
}

void race_in_one_handle(Trial& trial) {
  race_for_a_record(trial, {trial.open()});
}

void race_over_handles(Trial& trial) {
  const auto one = trial.open();
  race_for_a_record(trial, {one, trial.reopen(), trial.reopen()});
}

/// The last places under a cap, guarded by a check of the owner's record.
void race_for_the_last_places(Trial& trial) {
  const auto backend = trial.open();
  constexpr std::uint64_t cap = 10;
  must_commit(trial, *backend, {put_new(owner_of("alice"))});
  std::atomic<std::uint64_t> won{0};
  std::vector<std::thread> threads;
  for (int number = 0; number < thread_count; ++number) {
    threads.emplace_back([&, number] {
      for (std::uint64_t attempt = 0; attempt < 1'000; ++attempt) {
        const auto owner = backend->load_owner(home, "alice");
        const auto live = backend->count_live(home, "alice", 0, cap);
        if (!HOLDS(trial, owner.ok() && *owner && live.ok())) return;
        if (*live >= cap) return;
        OwnerRecord next = **owner;
        ++next.revision;
        const auto id = static_cast<std::uint64_t>(number + 1) * 10'000 + attempt;
        if (commit(*backend, {Mutation::put(next, next.revision - 1), put_new(token_of(id))}).outcome ==
            CommitOutcome::committed) {
          ++won;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EQUAL(trial, won.load(), cap);
  EQUAL(trial, VALUE(trial, backend->count_live(home, "alice", 0, 100)), cap);
}

/// Readers never see half of a batch's record, nor half of a batch through a list.
void readers_see_whole_batches(Trial& trial) {
  const auto backend = trial.open();
  TokenRecord one = token_of(1);
  TokenRecord two = token_of(2);
  must_commit(trial, *backend, {put_new(one), put_new(two)});
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  for (int count = 0; count < 3; ++count) {
    readers.emplace_back([&] {
      while (!done.load()) {
        const auto list = backend->list_tokens(home, {});
        if (!HOLDS(trial, list.ok() && list->tokens.size() == 2)) return;
        const TokenRecord& high = list->tokens[0];
        const TokenRecord& low = list->tokens[1];
        HOLDS(trial, high.revision == low.revision);
        if (low.revision == 1) continue;
        const std::string whole = std::to_string(low.revision) + std::string(2'000, 'm');
        HOLDS(trial, high.metadata == whole && low.metadata == whole);
      }
    });
  }
  for (std::size_t round = 0; round < trial.steps(300); ++round) {
    one = next_of(one);
    two = next_of(two);
    one.metadata = two.metadata = std::to_string(one.revision) + std::string(2'000, 'm');
    if (!HOLDS(trial, commit(*backend, {replace(one), replace(two)}).outcome == CommitOutcome::committed)) break;
  }
  done.store(true);
  for (std::thread& reader : readers) reader.join();
}

/// Every call at once; mostly for the sanitizers.
void everything_at_once(Trial& trial) {
  const auto backend = trial.open();
  std::vector<std::thread> threads;
  for (int number = 0; number < 8; ++number) {
    threads.emplace_back([&, number] {
      for (std::uint64_t round = 0; round < trial.steps(40); ++round) {
        const auto mine = static_cast<std::uint64_t>(number) * 1'000'000 + round;
        HOLDS(trial, commit(*backend, {put_new(token_of(mine))}).outcome == CommitOutcome::committed);
        const std::vector<Use> uses = {{id_of(mine), 5, "x"}};
        HOLDS(trial, backend->record_uses(home, uses).ok());
        const auto own = backend->load_token(home, id_of(mine));
        HOLDS(trial, own.ok() && *own && (*own)->last_used_at == 5);
        HOLDS(trial, backend->list_tokens(home, {}).ok());
        HOLDS(trial, backend->count_tokens(home, "", 0).ok());
        HOLDS(trial, backend->list_ended(home, 5, 5).ok());
        HOLDS(trial, backend->changes(home, 0).ok());
        HOLDS(trial, backend->maintain(std::chrono::milliseconds{1}).ok());
        HOLDS(trial, backend->pulse().trusted_until != 0);
        if (round % 3 == 0) {
          HOLDS(trial, commit(*backend, {Mutation::remove_token(id_of(mine), 1)}).outcome == CommitOutcome::committed);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

void add_thread_cases(std::vector<Case>& cases) {
  cases.push_back({"of sixteen threads exactly one wins each revision of a record", race_in_one_handle});
  cases.push_back({.name = "over several handles exactly one thread wins each revision of a record",
                   .body = race_over_handles,
                   .needs_many_handles = true});
  cases.push_back({"a race for the last places under a cap has no more winners than places", race_for_the_last_places});
  cases.push_back({"readers see whole batches", readers_see_whole_batches});
  cases.push_back({"every call may run beside every other", everything_at_once});
}

}  // namespace tokenstore::conformance
