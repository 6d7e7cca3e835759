// Closing and opening again, read-only handles, housekeeping.
#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

void fill(Trial& trial, Backend& backend) {
  std::vector<Mutation> batch;
  for (std::uint64_t number = 1; number <= 50; ++number) batch.push_back(put_new(token_of(number)));
  batch.push_back(put_new(owner_of("alice")));
  batch.push_back(put_new(store_of(1)));
  must_commit(trial, backend, batch);
  must_commit(trial, backend, {replace(next_of(token_of(1))), Mutation::remove_token(id_of(2), 1)});
}

void is_filled(Trial& trial, Backend& backend) {
  EQUAL(trial, list_all(trial, backend, {}).size(), std::size_t{49});
  for (std::uint64_t number = 3; number <= 50; ++number) {
    const auto token = VALUE(trial, backend.load_token(home, id_of(number)));
    HOLDS(trial, token && same_but_uses(*token, token_of(number)));
  }
  const auto first = VALUE(trial, backend.load_token(home, id_of(1)));
  HOLDS(trial, first && first->revision == 2);
  const auto owner = VALUE(trial, backend.load_owner(home, "alice"));
  HOLDS(trial, owner && same(*owner, owner_of("alice")));
  const auto workspace = VALUE(trial, backend.load_workspace(home));
  HOLDS(trial, workspace && same(*workspace, workspace_of(home)));
  const auto store = VALUE(trial, backend.load_store());
  HOLDS(trial, store && same(*store, store_of(1)));
  const Changes changes = VALUE(trial, backend.changes(home, 0));
  EQUAL(trial, changes.revision, std::uint64_t{3});
  if (!changes.everything) HOLDS(trial, is_linked(changes, 0, Bytes32{}));
}

void survives_closing(Trial& trial) {
  {
    const auto backend = trial.open();
    fill(trial, *backend);
  }
  const auto backend = trial.reopen();
  is_filled(trial, *backend);
  const Changes changes = VALUE(trial, backend->changes(home, 2));
  HOLDS(trial, changes.everything || names_in(changes).contains(name_of(RecordKind::token, id_of(2))));
  EQUAL(trial, must_commit(trial, *backend, {put_new(token_of(99))}).revision, std::uint64_t{4});
}

void reading_only(Trial& trial) {
  const auto writer = trial.open();
  fill(trial, *writer);
  HOLDS(trial, !writer->read_only());
  const auto reader = trial.reopen_read_only();
  HOLDS(trial, reader->read_only());
  is_filled(trial, *reader);
  const CommitResult result = commit(*reader, {put_new(token_of(99))});
  EQUAL(trial, result.outcome, CommitOutcome::failed);
  HOLDS(trial, result.error && result.error->status() == Status::read_only);
  HOLDS(trial, !VALUE(trial, writer->load_token(home, id_of(99))));
  EQUAL(trial, VALUE(trial, writer->changes(home, 0)).revision, std::uint64_t{3});
  const std::vector<Use> uses = {{id_of(3), 5, "x"}};
  HOLDS(trial, reader->record_uses(home, uses).status() == Status::read_only);
  const auto token = VALUE(trial, writer->load_token(home, id_of(3)));
  HOLDS(trial, token && token->last_used_at == 0);
}

void housekeeping_changes_nothing(Trial& trial) {
  const auto backend = trial.open();
  fill(trial, *backend);
  int calls = 0;
  while (VALUE(trial, backend->maintain(std::chrono::milliseconds{20})) && ++calls < 1'000) {
  }
  HOLDS(trial, calls < 1'000);
  VALUE(trial, backend->maintain(std::chrono::milliseconds{0}));
  is_filled(trial, *backend);
}

void sound_storage_has_no_problems(Trial& trial) {
  const auto backend = trial.open();
  fill(trial, *backend);
  HOLDS(trial, VALUE(trial, backend->check_integrity(100, {})).empty());
  HOLDS(trial, VALUE(trial, backend->check_integrity(1, [](std::uint64_t, std::uint64_t) { return true; })).empty());
  // Asked to stop, it returns at all; whether it found time to finish is its own affair.
  (void)backend->check_integrity(1, [](std::uint64_t, std::uint64_t) { return false; });
  is_filled(trial, *backend);
}

void has_a_name(Trial& trial) {
  const auto backend = trial.open();
  HOLDS(trial, !backend->name().empty());
  HOLDS(trial, !backend->read_only());
}

}  // namespace

void add_storage_cases(std::vector<Case>& cases) {
  cases.push_back({.name = "everything is there after closing and opening again",
                   .body = survives_closing,
                   .needs_persistence = true});
  cases.push_back({.name = "a read-only handle reads everything and changes nothing",
                   .body = reading_only,
                   .needs_read_only = true});
  cases.push_back({"housekeeping comes to an end and changes nothing that can be read", housekeeping_changes_nothing});
  cases.push_back({"a sound storage has no problems", sound_storage_has_no_problems});
  cases.push_back({"a backend has a name and says whether it is read-only", has_a_name});
}

}  // namespace tokenstore::conformance
