// A whole store on the storage: what all the other clauses are for.
#include "tokenstore/keyring.hpp"
#include "tokenstore/store.hpp"
#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

std::unique_ptr<TokenStore> store_on(Trial& trial, std::shared_ptr<Backend> backend) {
  std::array<std::uint8_t, master_key_size> master{};
  master.fill(7);
  return VALUE(trial, TokenStore::open(std::move(backend), VALUE(trial, Keyring::from_bytes(master))));
}

Issued issue(Trial& trial, TokenStore& store, const std::string& owner) {
  IssueRequest request;
  request.owner = owner;
  request.scopes = {"read"};
  return VALUE(trial, store.issue(Actor::host(), request));
}

Reason reason_for(TokenStore& store, const Issued& token) {
  return store.validate(token.text.reveal(), Demand("read")).reason();
}

/// Asked twice, because the second answer is remembered.
bool is_valid(TokenStore& store, const Issued& token) {
  return reason_for(store, token) == Reason::none && reason_for(store, token) == Reason::none;
}

void ending_ends(Trial& trial, TokenStore& ends, TokenStore& asked) {
  for (std::uint64_t round = 0; round < trial.steps(30); ++round) {
    const std::string owner = "owner " + std::to_string(round);
    const Issued token = issue(trial, ends, owner);
    const Issued other = issue(trial, ends, "somebody else");
    if (!HOLDS(trial, is_valid(asked, token) && is_valid(asked, other))) return;
    switch (round % 4) {
      case 0:
        VALUE(trial, ends.revoke(Actor::host(), token.info.id, "lost"));
        HOLDS(trial, reason_for(asked, token) == Reason::revoked);
        break;
      case 1:
        VALUE(trial, ends.remove(Actor::host(), token.info.id));
        HOLDS(trial, reason_for(asked, token) == Reason::unknown);
        break;
      case 2:
        VALUE(trial, ends.suspend(Actor::host(), owner, "gone"));
        HOLDS(trial, reason_for(asked, token) != Reason::none);
        VALUE(trial, ends.resume(Actor::host(), owner));
        HOLDS(trial, is_valid(asked, token));
        break;
      default:
        VALUE(trial, ends.revoke_all(Actor::host(), owner, "lost everything"));
        HOLDS(trial, reason_for(asked, token) == Reason::revoked);
        break;
    }
    HOLDS(trial, is_valid(asked, other));
  }
}

void store_keeps_its_word(Trial& trial) {
  const auto backend = trial.open_bare();
  const auto store = store_on(trial, backend);
  ending_ends(trial, *store, *store);
  // What a store has ended itself it forgets by itself; another one on the handle has only the pulse and the feed.
  const auto other = store_on(trial, backend);
  ending_ends(trial, *store, *other);
}

void other_store_hears_of_it(Trial& trial) {
  const auto one = store_on(trial, trial.open_bare());
  const auto two = store_on(trial, trial.reopen());
  ending_ends(trial, *one, *two);
  ending_ends(trial, *two, *one);
}

}  // namespace

void add_store_cases(std::vector<Case>& cases) {
  cases.push_back({"a store on it refuses at once what it has ended, and nothing else", store_keeps_its_word});
  cases.push_back({.name = "a store refuses at once what another one on the same storage has ended",
                   .body = other_store_hears_of_it,
                   .needs_many_handles = true});
}

}  // namespace tokenstore::conformance
