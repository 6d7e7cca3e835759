// Last uses: they only move forward, and are no change.
#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

void expect_use(Trial& trial, Backend& backend, const std::string& id, UnixMillis at, const std::string& from) {
  const auto token = VALUE(trial, backend.load_token(home, id));
  if (!HOLDS(trial, token.has_value())) return;
  EQUAL(trial, token->last_used_at, at);
  EQUAL(trial, token->last_used_from, from);
}

void note(Trial& trial, Backend& backend, const std::vector<Use>& uses) {
  VALUE(trial, backend.record_uses(home, uses));
}

void uses_move_forward(Trial& trial) {
  const auto backend = trial.open();
  must_commit(trial, *backend, {put_new(token_of(1)), put_new(token_of(2))});
  expect_use(trial, *backend, id_of(1), 0, "");
  note(trial, *backend, {{id_of(1), 1'000, "192.0.2.1"}});
  expect_use(trial, *backend, id_of(1), 1'000, "192.0.2.1");
  note(trial, *backend, {{id_of(1), 999, "192.0.2.2"}});
  expect_use(trial, *backend, id_of(1), 1'000, "192.0.2.1");
  note(trial, *backend, {{id_of(1), 1'001, ""}});
  expect_use(trial, *backend, id_of(1), 1'001, "");
  const std::string longest(45, ':');
  note(trial, *backend, {{id_of(1), 3'000, longest}, {id_of(2), 7, "::1"}, {id_of(1), 2'000, "192.0.2.3"}});
  expect_use(trial, *backend, id_of(1), 3'000, longest);
  expect_use(trial, *backend, id_of(2), 7, "::1");
  note(trial, *backend, {{id_of(2), time_max, "::2"}});
  expect_use(trial, *backend, id_of(2), time_max, "::2");
  note(trial, *backend, {});
}

void missing_tokens_are_ignored(Trial& trial) {
  const auto backend = trial.open();
  must_commit(trial, *backend, {put_new(token_of(1))});
  note(trial, *backend, {{id_of(9), 5, "a"}, {id_of(1), 6, "b"}, {"", 7, "c"}, {"short", 8, "d"}});
  expect_use(trial, *backend, id_of(1), 6, "b");
  HOLDS(trial, !VALUE(trial, backend->load_token(home, id_of(9))));
  const std::vector<Use> uses = {{id_of(1), 9, "e"}};
  VALUE(trial, backend->record_uses("nowhere", uses));
  expect_use(trial, *backend, id_of(1), 6, "b");
  EQUAL(trial, ids_of(list_all(trial, *backend, {})), std::vector<std::string>{id_of(1)});
  must_commit(trial, *backend, {put_new(token_of(9))});
  expect_use(trial, *backend, id_of(9), 0, "");
}

void uses_survive_a_replacement(Trial& trial) {
  const auto backend = trial.open();
  TokenRecord token = token_of(1);
  must_commit(trial, *backend, {put_new(token)});
  note(trial, *backend, {{id_of(1), 1'000, "192.0.2.1"}});
  token = next_of(token);
  token.description = "new";
  must_commit(trial, *backend, {replace(token)});
  expect_use(trial, *backend, id_of(1), 1'000, "192.0.2.1");
  token = next_of(token);
  token.last_used_at = 500;
  token.last_used_from = "somewhere else";
  must_commit(trial, *backend, {replace(token)});
  expect_use(trial, *backend, id_of(1), 1'000, "192.0.2.1");
}

void uses_are_no_change(Trial& trial) {
  const auto backend = trial.open();
  must_commit(trial, *backend, {put_new(token_of(1))});
  const std::uint64_t revision = VALUE(trial, backend->changes(home, 0)).revision;
  note(trial, *backend, {{id_of(1), 1'000, "192.0.2.1"}});
  const Changes changes = VALUE(trial, backend->changes(home, revision));
  EQUAL(trial, changes.revision, revision);
  if (trial.traits.has_feed) HOLDS(trial, !changes.everything && changes.entries.empty());
  const auto token = VALUE(trial, backend->load_token(home, id_of(1)));
  HOLDS(trial, token && same_but_uses(*token, token_of(1)));
  must_commit(trial, *backend, {Mutation::check(RecordKind::token, id_of(1), 1)});
  must_commit(trial, *backend, {replace(next_of(token_of(1)))});
}

void lists_show_uses(Trial& trial) {
  const auto backend = trial.open();
  std::vector<Mutation> batch;
  std::vector<Use> uses;
  for (std::uint64_t number = 1; number <= 300; ++number) {
    batch.push_back(put_new(token_of(number)));
    uses.push_back({id_of(number), static_cast<UnixMillis>(number), "from " + std::to_string(number)});
  }
  must_commit(trial, *backend, batch);
  note(trial, *backend, uses);
  std::size_t seen = 0;
  for (const TokenRecord& token : list_all(trial, *backend, {})) {
    const Use& use = uses[uses.size() - 1 - seen++];
    HOLDS(trial, token.id == use.id && token.last_used_at == use.used_at && token.last_used_from == use.used_from);
  }
  EQUAL(trial, seen, std::size_t{300});
}

}  // namespace

void add_use_cases(std::vector<Case>& cases) {
  cases.push_back({"the last use only moves forward", uses_move_forward});
  cases.push_back({"a use of a token that is gone is ignored", missing_tokens_are_ignored});
  cases.push_back({"the stored last use is kept when a token is replaced", uses_survive_a_replacement});
  cases.push_back({"a use raises no revision and does not enter the feed", uses_are_no_change});
  cases.push_back({"lists show last uses", lists_show_uses});
}

}  // namespace tokenstore::conformance
