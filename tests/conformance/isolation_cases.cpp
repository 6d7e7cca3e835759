// Workspaces in one storage know nothing of each other.
#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

TokenRecord token_in(const std::string& workspace, std::uint64_t number) {
  TokenRecord token = token_of(number);
  token.description = "of " + workspace;
  return token;
}

const std::vector<std::string>& workspaces() {
  static const std::vector<std::string> all = {
      "a", "A", "a ", "ab", "b", "a%", "a_", "'", std::string("a\0", 2), "\xc3\xa9", "e\xcc\x81"};
  return all;
}

/// Everything that can be asked of a workspace, as one text to compare.
std::string portrait(Trial& trial, Backend& backend, const std::string& workspace) {
  std::string all;
  const auto settings = VALUE(trial, backend.load_workspace(workspace));
  all += settings ? settings->workspace + " " + shown(settings->revision) : "none";
  for (const TokenRecord& token : list_all(trial, backend, {}, workspace)) {
    all += "\n" + shown(token.id) + shown(token.description) + shown(token.revision) + shown(token.last_used_at) +
           shown(token.last_used_from);
    const auto loaded = VALUE(trial, backend.load_token(workspace, token.id));
    HOLDS(trial, loaded && same(*loaded, token));
  }
  for (const OwnerRecord& owner : VALUE(trial, backend.list_owners(workspace, "", 100)).owners) {
    all += "\n" + shown(owner.owner) + shown(owner.revision) + shown(owner.may_use);
    const auto loaded = VALUE(trial, backend.load_owner(workspace, owner.owner));
    HOLDS(trial, loaded && same(*loaded, owner));
  }
  const TokenCounts counts = VALUE(trial, backend.count_tokens(workspace, "", 999'999));
  all += "\n" + shown(counts.active) + " " + shown(counts.revoked);
  all += " " + shown(VALUE(trial, backend.count_tokens(workspace, "alice", 999'999)).active);
  all += " " + shown(VALUE(trial, backend.count_live(workspace, "alice", 0, 100)));
  for (const EndedToken& ended : VALUE(trial, backend.list_ended(workspace, time_max, 100))) all += shown(ended.id);
  const Changes changes = VALUE(trial, backend.changes(workspace, 0));
  all += " " + shown(changes.revision) + shown(changes.everything) +
         shown(std::string(changes.link.begin(), changes.link.end()));
  if (!changes.everything) HOLDS(trial, is_linked(changes, 0, Bytes32{}));
  for (const std::string& name : names_in(changes)) all += " " + shown(name);
  return all;
}

void calls_stay_inside(Trial& trial) {
  const auto backend = trial.open_bare();
  for (const std::string& name : workspaces()) {
    must_commit(trial, *backend, {put_new(workspace_of(name)), put_new(owner_of("alice"))}, name);
    must_commit(trial, *backend, {put_new(token_in(name, 1)), put_new(token_in(name, 2))}, name);
  }
  for (const std::string& name : workspaces()) {
    std::vector<std::string> before;
    for (const std::string& other : workspaces()) before.push_back(portrait(trial, *backend, other));

    const std::vector<Use> uses = {{id_of(1), 5, "used in " + shown(name)}};
    VALUE(trial, backend->record_uses(name, uses));
    TokenRecord changed = next_of(token_in(name, 1));
    changed.revoked_at = 9;
    OwnerRecord owner = owner_of("alice");
    owner.revision = 2;
    owner.may_use = false;
    WorkspaceRecord settings = workspace_of(name);
    settings.revision = 2;
    must_commit(trial, *backend,
                {replace(changed), Mutation::remove_token(id_of(2), 1), put_new(token_in(name, 3)),
                 Mutation::put(owner, 1), Mutation::put(settings, 1)},
                name);
    EQUAL(trial, commit(*backend, {put_new(token_in(name, 3))}, name).outcome, CommitOutcome::conflict);

    for (std::size_t at = 0; at < workspaces().size(); ++at) {
      const std::string now = portrait(trial, *backend, workspaces()[at]);
      if (workspaces()[at] == name) {
        HOLDS(trial, now != before[at]);
      } else {
        EQUAL(trial, now, before[at]);
      }
    }
  }
}

void unknown_workspace_is_empty(Trial& trial) {
  const auto backend = trial.open();
  must_commit(trial, *backend, {put_new(token_of(1)), put_new(owner_of("alice"))});
  const std::string nothing = portrait(trial, *backend, "nowhere");
  for (const std::string& name : {std::string("Default"), std::string("default "), std::string("defaul"),
                                  std::string("default\0", 8), std::string("%"), std::string("_______")}) {
    EQUAL(trial, portrait(trial, *backend, name), nothing);
    EQUAL(trial, commit(*backend, {Mutation::remove_token(id_of(1), 1)}, name).outcome, CommitOutcome::conflict);
    EQUAL(trial, commit(*backend, {Mutation::check(RecordKind::owner, "alice", 1)}, name).outcome,
          CommitOutcome::conflict);
  }
  EQUAL(trial, VALUE(trial, backend->list_workspaces("", 10)).size(), std::size_t{1});
}

}  // namespace

void add_isolation_cases(std::vector<Case>& cases) {
  cases.push_back({"every call stays inside its workspace", calls_stay_inside});
  cases.push_back({"a workspace that is not there is empty under every near name", unknown_workspace_is_empty});
}

}  // namespace tokenstore::conformance
