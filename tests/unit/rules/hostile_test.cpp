/// A backend that lies: wrong rows, others' rows, made-up lists. It can deny; it cannot forge, or make
/// a user see what is not theirs.
#include <limits>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

TEST_CASE("a backend that answers another token's record makes neither token valid") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto alices = world.issue(IssueRequest{.owner = "alice", .scopes = {"read"}});
    const auto bobs = world.issue(IssueRequest{.owner = "bob", .scopes = {"admin"}});
    const TokenRecord one = world.stored(alices.id);
    const TokenRecord two = world.stored(bobs.id);
    world.backend->alter_token = [&](std::optional<TokenRecord>& record) {
      if (record) record = record->id == one.id ? two : one;
    };
    for (const std::string scope : {"read", "admin"}) {
      CHECK(world.ask(alices, scope) != Reason::none);
      CHECK(world.ask(bobs, scope) != Reason::none);
    }
    const Actor alice = Actor::user("alice");
    // Neither shown nor ended for one who may not.
    CHECK(world.store->get(alice, alices.id).status() == Status::not_found);
    CHECK(world.store->get(alice, bobs.id).status() == Status::tampered);
    CHECK_FALSE(world.store->revoke(alice, bobs.id).ok());
    CHECK_FALSE(world.store->expire(alice, bobs.id).ok());
    CHECK_FALSE(world.store->remove(alice, alices.id).ok());
    world.backend->alter_token = nullptr;
    CHECK(world.ask(alices, "read") == Reason::none);
    CHECK(world.ask(bobs, "admin") == Reason::none);
  }
}

TEST_CASE("a user does not delete another's token through a backend that answers with the wrong record") {
  World world;
  const auto alices = world.issue("alice");
  const auto bobs = world.issue("bob");
  const TokenRecord mine = world.stored(alices.id);
  world.backend->alter_token = [&](std::optional<TokenRecord>& record) {
    if (record) record = mine;
  };
  CHECK_FALSE(world.store->remove(Actor::user("alice"), bobs.id).ok());
  world.backend->alter_token = nullptr;
  CHECK(world.ask(bobs) == Reason::none);
}

TEST_CASE("a backend that answers another owner's or workspace's settings denies") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto other = world.open(test::one_key(), "other");
    const auto token = world.issue("alice");
    world.issue("bob");
    REQUIRE(world.store->suspend(Actor::host(), "alice").ok());
    const OwnerRecord bob = world.stored_owner("bob");
    const WorkspaceRecord elsewhere = world.stored_workspace("other");
    const auto fresh = world.open();
    world.backend->alter_owner = [&](std::optional<OwnerRecord>& record) { record = bob; };
    CHECK(World::ask(*fresh, token) == Reason::tampered);
    CHECK(fresh->owner(Actor::user("alice"), "alice").status() == Status::tampered);
    CHECK(fresh->resume(Actor::host(), "alice").status() == Status::tampered);
    CHECK(fresh->issue(Actor::host(), {.owner = "alice"}).status() == Status::tampered);
    world.backend->alter_owner = [&](std::optional<OwnerRecord>& record) {
      OwnerRecord renamed = bob;
      renamed.owner = "alice";
      record = renamed;
    };
    CHECK(World::ask(*fresh, token) == Reason::tampered);
    world.backend->alter_owner = nullptr;
    REQUIRE(world.store->resume(Actor::host(), "alice").ok());
    const auto next = world.open();
    world.backend->alter_workspace = [&](std::optional<WorkspaceRecord>& record) { record = elsewhere; };
    CHECK(World::ask(*next, token) == Reason::tampered);
    CHECK(next->policy(Actor::host()).status() == Status::tampered);
  }
}

TEST_CASE("a list holds no genuine token that was not asked for") {
  World world;
  const auto mine = world.issue("alice");
  const auto bobs = world.issue("bob");
  const auto revoked = world.issue("alice");
  REQUIRE(world.store->revoke(Actor::host(), revoked.id).ok());
  world.backend->alter_list = [&](TokenList& list) {
    list.tokens = {world.stored(bobs.id), world.stored(mine.id), world.stored(revoked.id)};
  };
  auto page = world.store->list(Actor::user("alice"), {}).value();
  CHECK(page.tokens.size() == 2);
  for (const TokenInfo& token : page.tokens) CHECK(token.owner == "alice");
  page = world.store->list(Actor::user("alice"), {.state = TokenState::active}).value();
  REQUIRE(page.tokens.size() == 1);
  CHECK(page.tokens[0].id == mine.id);
  CHECK(world.store->revoke_all(Actor::user("alice"), "alice").value() == 1);
  world.backend->alter_list = nullptr;
  CHECK(world.ask(bobs) == Reason::none);
  CHECK(world.ask(mine) == Reason::revoked);
}

TEST_CASE("a backend whose lists never end does not hang revoke-all or check") {
  World world;
  const auto token = world.issue("alice");
  world.backend->alter_list = [&](TokenList& list) { list.next_before_id = token.id; };
  CHECK_FALSE(world.store->revoke_all(Actor::host(), "alice").ok());
  CHECK_FALSE(world.store->check(Actor::host()).ok());
}

TEST_CASE("a record too large for a verdict is denied, not cut") {
  World world;
  const auto token = world.issue("alice");
  const auto fresh = world.open();
  world.backend->alter_token = [](std::optional<TokenRecord>& record) {
    if (record) record->metadata.assign(1'000'000, 'x');
  };
  CHECK(World::ask(*fresh, token) == Reason::tampered);
  world.backend->alter_token = [](std::optional<TokenRecord>& record) {
    if (record) record->id.clear();
  };
  CHECK(World::ask(*fresh, token) == Reason::tampered);
}

TEST_CASE("a failure without a word, or with the word ok or conflict, is still a failure") {
  World world;
  const auto token = world.issue("alice");
  for (const Status word : {Status::ok, Status::conflict}) {
    world.backend->fail = [&](test::Call call) -> std::optional<Error> {
      if (call == test::Call::commit) return Error(word, "a word of its own");
      return std::nullopt;
    };
    CHECK(world.store->revoke(Actor::host(), token.id).status() == Status::unavailable);
    world.backend->fail = nullptr;
    CHECK(world.ask(token) == Reason::revoked);
  }
}
