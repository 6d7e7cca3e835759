// Preconditions, atomicity, and what a commit answers.
#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

std::uint64_t revision_now(Trial& trial, Backend& backend) {
  return VALUE(trial, backend.changes(home, 0)).revision;
}

void put_needs_absence(Trial& trial) {
  const auto backend = trial.open();
  const TokenRecord token = token_of(1);
  const OwnerRecord owner = owner_of("alice");
  EQUAL(trial, commit(*backend, {put_new(token)}).outcome, CommitOutcome::committed);
  EQUAL(trial, commit(*backend, {put_new(owner)}).outcome, CommitOutcome::committed);

  TokenRecord other = token;
  other.description = "another";
  EQUAL(trial, commit(*backend, {put_new(other)}).outcome, CommitOutcome::conflict);
  EQUAL(trial, commit(*backend, {put_new(owner)}).outcome, CommitOutcome::conflict);
  EQUAL(trial, commit(*backend, {put_new(workspace_of(home))}).outcome, CommitOutcome::conflict);
  const auto loaded = VALUE(trial, backend->load_token(home, token.id));
  HOLDS(trial, loaded && same(*loaded, token));
}

void put_needs_its_revision(Trial& trial) {
  const auto backend = trial.open();
  TokenRecord token = token_of(1);
  EQUAL(trial, commit(*backend, {Mutation::put(next_of(token), 1)}).outcome, CommitOutcome::conflict);
  HOLDS(trial, !VALUE(trial, backend->load_token(home, token.id)));
  must_commit(trial, *backend, {put_new(token)});
  for (int round = 0; round < 5; ++round) {
    const TokenRecord next = next_of(token);
    for (const RecordRevision wrong : {token.revision - 1, token.revision + 1, token.revision + 1000}) {
      EQUAL(trial, commit(*backend, {Mutation::put(next, wrong)}).outcome, CommitOutcome::conflict);
    }
    must_commit(trial, *backend, {replace(next)});
    token = next;
    const auto loaded = VALUE(trial, backend->load_token(home, token.id));
    HOLDS(trial, loaded && same(*loaded, token));
  }

  OwnerRecord owner = owner_of("alice");
  must_commit(trial, *backend, {put_new(owner)});
  owner.revision = 2;
  owner.may_use = false;
  EQUAL(trial, commit(*backend, {Mutation::put(owner, 2)}).outcome, CommitOutcome::conflict);
  must_commit(trial, *backend, {Mutation::put(owner, 1)});
  const auto loaded_owner = VALUE(trial, backend->load_owner(home, "alice"));
  HOLDS(trial, loaded_owner && same(*loaded_owner, owner));

  WorkspaceRecord workspace = workspace_of(home);
  workspace.revision = 2;
  workspace.tokens_enabled = false;
  EQUAL(trial, commit(*backend, {Mutation::put(workspace, 2)}).outcome, CommitOutcome::conflict);
  must_commit(trial, *backend, {Mutation::put(workspace, 1)});
  const auto loaded_workspace = VALUE(trial, backend->load_workspace(home));
  HOLDS(trial, loaded_workspace && same(*loaded_workspace, workspace));
}

void remove_needs_its_revision(Trial& trial) {
  const auto backend = trial.open();
  const TokenRecord token = token_of(1);
  EQUAL(trial, commit(*backend, {Mutation::remove_token(token.id, 1)}).outcome, CommitOutcome::conflict);
  must_commit(trial, *backend, {put_new(token), put_new(token_of(2))});
  EQUAL(trial, commit(*backend, {Mutation::remove_token(token.id, 2)}).outcome, CommitOutcome::conflict);
  HOLDS(trial, VALUE(trial, backend->load_token(home, token.id)));
  must_commit(trial, *backend, {Mutation::remove_token(token.id, 1)});
  HOLDS(trial, !VALUE(trial, backend->load_token(home, token.id)));
  EQUAL(trial, ids_of(list_all(trial, *backend, {})), std::vector<std::string>{id_of(2)});
  EQUAL(trial, VALUE(trial, backend->count_live(home, "alice", 0, 10)), std::uint64_t{1});
  EQUAL(trial, commit(*backend, {Mutation::remove_token(token.id, 1)}).outcome, CommitOutcome::conflict);
}

void removed_token_leaves_no_use_behind(Trial& trial) {
  const auto backend = trial.open();
  const TokenRecord token = token_of(1);
  must_commit(trial, *backend, {put_new(token)});
  const std::vector<Use> uses = {{token.id, 5'000, "192.0.2.1"}};
  VALUE(trial, backend->record_uses(home, uses));
  must_commit(trial, *backend, {Mutation::remove_token(token.id, 1)});
  must_commit(trial, *backend, {put_new(token)});
  const auto loaded = VALUE(trial, backend->load_token(home, token.id));
  HOLDS(trial, loaded && same(*loaded, token));
}

void checks_hold_a_batch(Trial& trial) {
  const auto backend = trial.open();
  must_commit(trial, *backend, {put_new(token_of(1)), put_new(owner_of("alice")), put_new(store_of(1))});
  struct Precondition {
    RecordKind kind;
    std::string key;
    RecordRevision expected;
    bool holds;
  };
  const std::vector<Precondition> preconditions = {
      {RecordKind::token, id_of(1), 1, true},  {RecordKind::token, id_of(1), 0, false},
      {RecordKind::token, id_of(1), 2, false}, {RecordKind::token, id_of(2), 0, true},
      {RecordKind::token, id_of(2), 1, false}, {RecordKind::owner, "alice", 1, true},
      {RecordKind::owner, "alice", 0, false},  {RecordKind::owner, "alice", 2, false},
      {RecordKind::owner, "bob", 0, true},     {RecordKind::owner, "bob", 1, false},
      {RecordKind::owner, id_of(1), 0, true},  {RecordKind::workspace, home, 1, true},
      {RecordKind::store, "", 1, true},        {RecordKind::store, "", 0, false},
      {RecordKind::store, "", 2, false},       {RecordKind::workspace, home, 0, false},
      {RecordKind::workspace, home, 2, false},
  };
  std::uint64_t next = 100;
  for (const Precondition& one : preconditions) {
    const auto expected = one.holds ? CommitOutcome::committed : CommitOutcome::conflict;
    const Mutation check = Mutation::check(one.kind, one.key, one.expected);
    for (const bool first : {true, false}) {
      const Mutation put = put_new(token_of(++next));
      EQUAL(trial, commit(*backend, first ? std::vector{check, put} : std::vector{put, check}).outcome, expected);
      EQUAL(trial, VALUE(trial, backend->load_token(home, id_of(next))).has_value(), one.holds);
    }
    EQUAL(trial, commit(*backend, {check}).outcome, expected);
  }
}

void failing_step_leaves_nothing(Trial& trial) {
  const auto backend = trial.open();
  const TokenRecord kept = token_of(1);
  const OwnerRecord owner = owner_of("alice");
  must_commit(trial, *backend, {put_new(kept), put_new(token_of(2)), put_new(owner)});
  const std::uint64_t before = revision_now(trial, *backend);

  OwnerRecord changed_owner = owner;
  changed_owner.revision = 2;
  changed_owner.may_issue = false;
  WorkspaceRecord changed_workspace = workspace_of(home);
  changed_workspace.revision = 2;
  changed_workspace.tokens_enabled = false;
  TokenRecord changed = next_of(kept);
  changed.revoked_at = 5;
  const std::vector<Mutation> good = {put_new(token_of(3)),
                                      replace(changed),
                                      Mutation::remove_token(id_of(2), 1),
                                      put_new(owner_of("bob")),
                                      Mutation::put(changed_owner, 1),
                                      Mutation::put(changed_workspace, 1)};
  const std::vector<Mutation> bad = {Mutation::check(RecordKind::owner, "carol", 1),
                                     Mutation::check(RecordKind::token, id_of(9), 1),
                                     Mutation::check(RecordKind::workspace, home, 7),
                                     put_new(owner_of("alice")),
                                     Mutation::remove_token(id_of(9), 1),
                                     Mutation::put(token_of(9), 3)};
  for (const Mutation& failing : bad) {
    std::vector<Mutation> others = good;
    std::erase_if(others, [&](const Mutation& one) { return one.kind == failing.kind && one.key == failing.key; });
    for (std::size_t at = 0; at <= others.size(); ++at) {
      std::vector<Mutation> batch = others;
      batch.insert(batch.begin() + static_cast<std::ptrdiff_t>(at), failing);
      EQUAL(trial, commit(*backend, batch).outcome, CommitOutcome::conflict);
    }
  }
  EQUAL(trial, ids_of(list_all(trial, *backend, {})), (std::vector<std::string>{id_of(2), id_of(1)}));
  const auto token = VALUE(trial, backend->load_token(home, kept.id));
  HOLDS(trial, token && same(*token, kept));
  const auto loaded_owner = VALUE(trial, backend->load_owner(home, "alice"));
  HOLDS(trial, loaded_owner && same(*loaded_owner, owner));
  HOLDS(trial, !VALUE(trial, backend->load_owner(home, "bob")));
  const auto workspace = VALUE(trial, backend->load_workspace(home));
  HOLDS(trial, workspace && same(*workspace, workspace_of(home)));
  EQUAL(trial, VALUE(trial, backend->count_live(home, "alice", 0, 10)), std::uint64_t{2});

  const Changes changes = VALUE(trial, backend->changes(home, before));
  EQUAL(trial, changes.revision, before);
  if (trial.traits.has_feed) HOLDS(trial, !changes.everything && changes.entries.empty());
  must_commit(trial, *backend, good);
}

void misfits_are_refused(Trial& trial) {
  const auto backend = trial.open();
  must_commit(trial, *backend, {put_new(token_of(1)), put_new(owner_of("alice"))});
  const std::uint64_t before = revision_now(trial, *backend);
  const auto altered = [](Mutation mutation, RecordKind kind, std::string key) {
    mutation.kind = kind;
    mutation.key = std::move(key);
    return mutation;
  };
  const std::vector<Mutation> misfits = {
      altered(put_new(token_of(2)), RecordKind::token, id_of(3)),
      altered(put_new(token_of(2)), RecordKind::owner, id_of(2)),
      altered(put_new(owner_of("bob")), RecordKind::owner, "carol"),
      altered(put_new(owner_of("bob")), RecordKind::token, "bob"),
      altered(put_new(workspace_of("elsewhere")), RecordKind::workspace, home),
      put_new(workspace_of("elsewhere")),
      Mutation::check(RecordKind::workspace, "elsewhere", 0),
      altered(Mutation::remove_token("alice", 1), RecordKind::owner, "alice"),
      altered(Mutation::remove_token(home, 1), RecordKind::workspace, home),
      altered(put_new(store_of(1)), RecordKind::store, "a key"),
      altered(put_new(store_of(1)), RecordKind::workspace, home),
      altered(put_new(token_of(2)), RecordKind::store, ""),
      altered(Mutation::remove_token("", 1), RecordKind::store, ""),
      Mutation::check(RecordKind::store, "a key", 0),
  };
  for (const Mutation& misfit : misfits) {
    for (const auto& batch : {std::vector{misfit, put_new(token_of(7))}, std::vector{put_new(token_of(7)), misfit}}) {
      const CommitResult result = commit(*backend, batch);
      EQUAL(trial, result.outcome, CommitOutcome::failed);
      HOLDS(trial, result.error && result.error->status() == Status::invalid_argument);
    }
  }
  EQUAL(trial, revision_now(trial, *backend), before);
  EQUAL(trial, ids_of(list_all(trial, *backend, {})), std::vector<std::string>{id_of(1)});
  EQUAL(trial, VALUE(trial, backend->list_owners(home, "", 10)).owners.size(), std::size_t{1});
  EQUAL(trial, VALUE(trial, backend->list_workspaces("", 10)).size(), std::size_t{1});
}

void repeats_are_refused(Trial& trial) {
  const auto backend = trial.open();
  const TokenRecord there = token_of(1);
  must_commit(trial, *backend, {put_new(there), put_new(owner_of("alice"))});
  const std::uint64_t before = revision_now(trial, *backend);
  OwnerRecord changed = owner_of("alice");
  changed.revision = 2;
  const std::vector<std::vector<Mutation>> repeats = {
      {put_new(token_of(2)), put_new(token_of(2))},
      {put_new(owner_of("bob")), put_new(owner_of("bob"))},
      {replace(next_of(there)), Mutation::check(RecordKind::token, there.id, 1)},
      {Mutation::check(RecordKind::token, there.id, 1), replace(next_of(there))},
      {Mutation::check(RecordKind::token, there.id, 1), Mutation::check(RecordKind::token, there.id, 1)},
      {replace(next_of(there)), replace(next_of(next_of(there)))},
      {replace(next_of(there)), Mutation::remove_token(there.id, 2)},
      {Mutation::remove_token(there.id, 1), Mutation::remove_token(there.id, 1)},
      {Mutation::remove_token(there.id, 1), put_new(there)},
      {Mutation::put(changed, 1), Mutation::check(RecordKind::owner, "alice", 2)},
  };
  for (std::vector<Mutation> batch : repeats) {
    for (const std::uint64_t others : {std::uint64_t{0}, std::uint64_t{20}}) {
      for (std::uint64_t number = 0; number < others; ++number) {
        batch.insert(batch.begin() + 1, put_new(token_of(100 + number)));
      }
      const CommitResult result = commit(*backend, batch);
      EQUAL(trial, result.outcome, CommitOutcome::failed);
      HOLDS(trial, result.error && result.error->status() == Status::invalid_argument);
    }
  }
  EQUAL(trial, revision_now(trial, *backend), before);
  EQUAL(trial, ids_of(list_all(trial, *backend, {})), std::vector<std::string>{id_of(1)});
  EQUAL(trial, VALUE(trial, backend->list_owners(home, "", 10)).owners.size(), std::size_t{1});
  // A token and an owner of the same name are two records.
  OwnerRecord namesake = owner_of(there.id);
  must_commit(trial, *backend, {replace(next_of(there)), put_new(namesake)});
}

void revision_grows_by_one(Trial& trial) {
  const auto backend = trial.open();
  std::uint64_t revision = revision_now(trial, *backend);
  EQUAL(trial, revision, std::uint64_t{1});
  const auto committed = [&](std::vector<Mutation> batch) {
    EQUAL(trial, must_commit(trial, *backend, std::move(batch)).revision, ++revision);
    EQUAL(trial, revision_now(trial, *backend), revision);
  };
  committed({put_new(token_of(1))});
  committed({put_new(token_of(2)), put_new(token_of(3)), put_new(owner_of("alice"))});
  committed({replace(next_of(token_of(1))), Mutation::check(RecordKind::owner, "alice", 1)});
  committed({Mutation::remove_token(id_of(2), 1)});

  EQUAL(trial, commit(*backend, {put_new(token_of(1))}).outcome, CommitOutcome::conflict);
  EQUAL(trial, revision_now(trial, *backend), revision);
  const CommitResult checked =
      must_commit(trial, *backend,
                  {Mutation::check(RecordKind::owner, "alice", 1), Mutation::check(RecordKind::token, id_of(2), 0)});
  EQUAL(trial, checked.revision, revision);
  EQUAL(trial, revision_now(trial, *backend), revision);
  committed({put_new(token_of(4))});
}

void no_announcement_raises_nothing(Trial& trial) {
  const auto backend = trial.open();
  const Changes before = VALUE(trial, backend->changes(home, 1));
  const CommitResult put = commit_unannounced(*backend, {put_new(token_of(1)), put_new(owner_of("alice"))});
  EQUAL(trial, put.outcome, CommitOutcome::committed);
  EQUAL(trial, put.revision, before.revision);
  HOLDS(trial, VALUE(trial, backend->load_token(home, id_of(1))));
  HOLDS(trial, VALUE(trial, backend->load_owner(home, "alice")));
  const CommitResult removed = commit_unannounced(*backend, {Mutation::remove_token(id_of(1), 1)});
  EQUAL(trial, removed.outcome, CommitOutcome::committed);
  HOLDS(trial, !VALUE(trial, backend->load_token(home, id_of(1))));
  const Changes after = VALUE(trial, backend->changes(home, before.revision));
  EQUAL(trial, after.revision, before.revision);
  HOLDS(trial, after.link == before.link);
  HOLDS(trial, after.entries.empty());
  EQUAL(trial, commit_unannounced(*backend, {put_new(owner_of("alice"))}).outcome, CommitOutcome::conflict);
}

void empty_batches_are_announced(Trial& trial) {
  const auto backend = trial.open();
  Changes before = VALUE(trial, backend->changes(home, 1));
  for (const std::vector<Mutation>& batch :
       {std::vector<Mutation>{}, {Mutation::check(RecordKind::token, id_of(1), 0)}}) {
    const CommitResult result = commit_announced(*backend, batch);
    EQUAL(trial, result.outcome, CommitOutcome::committed);
    EQUAL(trial, result.revision, before.revision + 1);
    const Changes after = VALUE(trial, backend->changes(home, before.revision));
    EQUAL(trial, after.revision, before.revision + 1);
    if (!after.everything) HOLDS(trial, is_linked(after, before.revision, before.link));
    before = after;
  }
  // One whose precondition does not hold announces nothing.
  EQUAL(trial, commit_announced(*backend, {Mutation::check(RecordKind::token, id_of(1), 1)}).outcome,
        CommitOutcome::conflict);
  EQUAL(trial, revision_now(trial, *backend), before.revision);
}

void store_record_is_one(Trial& trial) {
  const auto backend = trial.open_bare();
  HOLDS(trial, !VALUE(trial, backend->load_store()));
  must_commit(trial, *backend, {put_new(workspace_of(home)), put_new(store_of(1))});
  const auto loaded = VALUE(trial, backend->load_store());
  HOLDS(trial, loaded && same(*loaded, store_of(1)));
  EQUAL(trial, commit(*backend, {put_new(store_of(2))}).outcome, CommitOutcome::conflict);
  EQUAL(trial, commit(*backend, {put_new(workspace_of("other")), put_new(store_of(2))}, "other").outcome,
        CommitOutcome::conflict);
  HOLDS(trial, !VALUE(trial, backend->load_workspace("other")));
  StoreRecord next = store_of(3);
  next.revision = 2;
  EQUAL(trial, commit(*backend, {Mutation::put(next, 2)}).outcome, CommitOutcome::conflict);
  must_commit(trial, *backend, {put_new(workspace_of("other")), Mutation::put(next, 1)}, "other");
  const auto replaced = VALUE(trial, backend->load_store());
  HOLDS(trial, replaced && same(*replaced, next));
}

void large_batch(Trial& trial) {
  const auto backend = trial.open();
  std::vector<Mutation> batch;
  for (std::uint64_t number = 0; number < 1000; ++number) batch.push_back(put_new(token_of(number)));
  std::vector<Mutation> failing = batch;
  failing.push_back(Mutation::check(RecordKind::owner, "nobody", 1));
  EQUAL(trial, commit(*backend, failing).outcome, CommitOutcome::conflict);
  EQUAL(trial, list_all(trial, *backend, {}).size(), std::size_t{0});
  must_commit(trial, *backend, batch);
  EQUAL(trial, list_all(trial, *backend, {}).size(), std::size_t{1000});
}

void absent_is_empty(Trial& trial) {
  const auto backend = trial.open_bare();
  for (const std::string& id : {id_of(1), std::string(), std::string("x"), std::string(300, 'x')}) {
    HOLDS(trial, !VALUE(trial, backend->load_token(home, id)));
    HOLDS(trial, !VALUE(trial, backend->load_owner(home, id)));
    HOLDS(trial, !VALUE(trial, backend->load_workspace(id)));
  }
  HOLDS(trial, VALUE(trial, backend->list_tokens(home, {})).tokens.empty());
  HOLDS(trial, VALUE(trial, backend->list_owners(home, "", 10)).owners.empty());
  HOLDS(trial, VALUE(trial, backend->list_workspaces("", 10)).empty());
  HOLDS(trial, VALUE(trial, backend->list_ended(home, time_max, 10)).empty());
  EQUAL(trial, VALUE(trial, backend->count_live(home, "alice", 0, 10)), std::uint64_t{0});
  EQUAL(trial, VALUE(trial, backend->count_tokens(home, "", 0)).active, std::uint64_t{0});
  const Changes changes = VALUE(trial, backend->changes(home, 0));
  EQUAL(trial, changes.revision, std::uint64_t{0});
  HOLDS(trial, changes.link == Bytes32{});
  HOLDS(trial, changes.entries.empty());
  HOLDS(trial, !VALUE(trial, backend->load_store()));
}

}  // namespace

void add_commit_cases(std::vector<Case>& cases) {
  cases.push_back({"an empty storage answers every look-up with nothing", absent_is_empty});
  cases.push_back({"a put of a record that should be absent conflicts if it is there", put_needs_absence});
  cases.push_back({"a put over a record needs exactly its revision", put_needs_its_revision});
  cases.push_back({"a removal needs exactly the revision and leaves nothing", remove_needs_its_revision});
  cases.push_back({"a token put again after its removal has no last use", removed_token_leaves_no_use_behind});
  cases.push_back({"a check holds a batch to the revision of any kind of record", checks_hold_a_batch});
  cases.push_back({"a failing precondition anywhere leaves nothing of the batch", failing_step_leaves_nothing});
  cases.push_back({"a step that does not fit its record or workspace is refused with its batch", misfits_are_refused});
  cases.push_back({"a batch that names a record in two steps is refused as a whole", repeats_are_refused});
  cases.push_back({"the revision grows by one with each batch that is announced", revision_grows_by_one});
  cases.push_back({"a batch without an announcement is done and raises no revision", no_announcement_raises_nothing});
  cases.push_back({"an announcement raises the revision, also of an empty batch", empty_batches_are_announced});
  cases.push_back({"the store's own record is one for all workspaces", store_record_is_one});
  cases.push_back({"a batch of a thousand is committed or left as a whole", large_batch});
}

}  // namespace tokenstore::conformance
