// Who sees a commit, and when the pulse moves.
#include <thread>

#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

/// A counter that is never trusted need not move for others' commits: nothing is remembered on its word.
bool moved(const Pulse& now, std::uint64_t from) {
  return now.trusted_until == time_min || now.counter != from;
}

/// Whether a handle answers every kind of look-up with what was just committed.
void sees(Trial& trial, Backend& backend, const TokenRecord& token, std::uint64_t revision) {
  const auto loaded = VALUE(trial, backend.load_token(home, token.id));
  HOLDS(trial, loaded && same(*loaded, token));
  TokenQuery query;
  query.limit = 1;
  EQUAL(trial, ids_of(VALUE(trial, backend.list_tokens(home, query)).tokens), std::vector<std::string>{token.id});
  const Changes changes = VALUE(trial, backend.changes(home, revision - 1));
  EQUAL(trial, changes.revision, revision);
  HOLDS(trial, changes.everything || names_in(changes).contains(name_of(RecordKind::token, token.id)));
}

void other_handle_sees(Trial& trial) {
  const auto one = trial.open();
  const auto two = trial.reopen();
  std::uint64_t revision = 1;
  for (std::uint64_t number = 1; number <= 50; ++number) {
    const auto& writer = number % 2 == 0 ? one : two;
    const TokenRecord token = token_of(number);
    const std::uint64_t pulse_one = one->pulse().counter;
    const std::uint64_t pulse_two = two->pulse().counter;
    EQUAL(trial, must_commit(trial, *writer, {put_new(token)}).revision, ++revision);
    HOLDS(trial, moved(one->pulse(), pulse_one));
    HOLDS(trial, moved(two->pulse(), pulse_two));
    sees(trial, *one, token, revision);
    sees(trial, *two, token, revision);
    const auto& stale = number % 2 == 0 ? two : one;
    EQUAL(trial, commit(*stale, {put_new(token)}).outcome, CommitOutcome::conflict);
  }
}

void other_thread_sees(Trial& trial) {
  const auto backend = trial.open();
  TokenRecord token = token_of(1);
  const std::string id = token.id;
  must_commit(trial, *backend, {put_new(token)});
  std::atomic<RecordRevision> acknowledged{1};
  std::atomic<bool> done{false};
  std::atomic<std::size_t> looks{0};
  std::vector<std::thread> readers;
  for (int count = 0; count < 3; ++count) {
    readers.emplace_back([&] {
      while (!done.load()) {
        const RecordRevision least = acknowledged.load();
        const auto loaded = backend->load_token(home, id);
        HOLDS(trial, loaded.ok() && *loaded && (*loaded)->revision >= least);
        ++looks;
        const auto changes = backend->changes(home, least);
        HOLDS(trial, changes.ok() && changes->revision >= least + 1);
      }
    });
  }
  for (std::size_t round = 0; round < trial.steps(300) || (looks.load() < 300 && round < 30'000); ++round) {
    token = next_of(token);
    if (!HOLDS(trial, commit(*backend, {replace(token)}).outcome == CommitOutcome::committed)) break;
    acknowledged.store(token.revision);
    std::this_thread::yield();
  }
  done.store(true);
  for (std::thread& reader : readers) reader.join();
}

void pulse_moves(Trial& trial) {
  const auto backend = trial.open();
  std::set<std::uint64_t> seen{backend->pulse().counter};
  const auto moves = [&](std::vector<Mutation> batch, std::string_view workspace = home) {
    must_commit(trial, *backend, std::move(batch), workspace);
    HOLDS(trial, seen.insert(backend->pulse().counter).second);
  };
  OwnerRecord owner = owner_of("alice");
  moves({put_new(owner)});
  owner.revision = 2;
  moves({Mutation::put(owner, 1)});
  WorkspaceRecord workspace = workspace_of(home);
  workspace.revision = 2;
  moves({Mutation::put(workspace, 1)});
  moves({put_new(workspace_of("other"))}, "other");
  for (std::uint64_t number = 0; number < trial.steps(200); ++number) {
    moves({put_new(token_of(number))});
    moves({replace(next_of(token_of(number)))});
    moves({Mutation::remove_token(id_of(number), 2)});
  }
}

void pulse_rests(Trial& trial) {
  const auto backend = trial.open();
  must_commit(trial, *backend, {put_new(token_of(1))});
  VALUE(trial, backend->load_token(home, id_of(1)));
  const std::uint64_t before = backend->pulse().counter;
  for (int round = 0; round < 20; ++round) {
    VALUE(trial, backend->load_token(home, id_of(1)));
    VALUE(trial, backend->load_owner(home, "alice"));
    VALUE(trial, backend->list_tokens(home, {}));
    VALUE(trial, backend->changes(home, 0));
    EQUAL(trial, backend->pulse().counter, before);
  }
}

/// A commit that lies wholly between two readings of the pulse must show in the second.
void pulse_moves_before_commit_returns(Trial& trial, Backend& writer, Backend& watched) {
  std::atomic<std::uint64_t> started{0};
  std::atomic<std::uint64_t> returned{0};
  std::atomic<bool> done{false};
  std::thread watcher([&] {
    std::uint64_t anchor = watched.pulse().counter;
    std::uint64_t started_by_then = started.load();
    while (!done.load()) {
      const std::uint64_t returned_before = returned.load();
      const Pulse pulse = watched.pulse();
      if (returned_before <= started_by_then) continue;
      HOLDS(trial, moved(pulse, anchor));
      anchor = pulse.counter;
      started_by_then = started.load();
    }
  });
  TokenRecord token = token_of(1);
  for (std::size_t round = 0; round < trial.steps(500); ++round) {
    ++started;
    const auto result = commit(writer, {round == 0 ? put_new(token) : replace(token)});
    ++returned;
    if (!HOLDS(trial, result.outcome == CommitOutcome::committed)) break;
    token = next_of(token);
  }
  done.store(true);
  watcher.join();
}

void pulse_in_thread(Trial& trial) {
  const auto backend = trial.open();
  pulse_moves_before_commit_returns(trial, *backend, *backend);
}

void pulse_in_other_handle(Trial& trial) {
  const auto writer = trial.open();
  const auto watched = trial.reopen();
  pulse_moves_before_commit_returns(trial, *writer, *watched);
}

}  // namespace

void add_visibility_cases(std::vector<Case>& cases) {
  cases.push_back({"another thread sees a commit once it has returned", other_thread_sees});
  cases.push_back(
      {.name = "another handle sees a commit at once", .body = other_handle_sees, .needs_many_handles = true});
  cases.push_back({"the pulse after a commit differs from every pulse before", pulse_moves});
  cases.push_back({"the pulse has moved when a commit returns", pulse_in_thread});
  cases.push_back({.name = "the pulse of another handle has moved when a commit returns",
                   .body = pulse_in_other_handle,
                   .needs_many_handles = true});
  cases.push_back(
      {.name = "the pulse rests while nothing is committed", .body = pulse_rests, .needs_exact_pulse = true});
}

}  // namespace tokenstore::conformance
