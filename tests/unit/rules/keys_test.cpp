/// Keyrings and workspaces: which key opens what, and that tenants do not mix.
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

Keyring two_keys(KeyUse first, KeyUse second) {
  Keyring keyring;
  REQUIRE(keyring.add("0A", first, test::master_key(1)).ok());
  REQUIRE(keyring.add("0B", second, test::master_key(2)).ok());
  return keyring;
}

}  // namespace

TEST_CASE("a wrong key does not open a store, and writes nothing") {
  World world;
  const auto token = world.issue("alice");
  const auto commits = world.backend->calls(test::Call::commit);
  CHECK(TokenStore::open(world.backend, test::one_key(2), world.options()).status() == Status::wrong_key);
  CHECK(TokenStore::open(world.backend, test::one_key(1, "0B"), world.options()).status() == Status::wrong_key);
  CHECK(TokenStore::open(world.backend, test::one_key(2), world.options("another")).status() == Status::wrong_key);
  Keyring inactive;
  REQUIRE(inactive.add("0A", KeyUse::verify_only, test::master_key(1)).ok());
  CHECK(TokenStore::open(world.backend, std::move(inactive), world.options()).status() == Status::wrong_key);
  CHECK(world.backend->calls(test::Call::commit) == commits);
  CHECK(world.ask(token) == Reason::none);
}

TEST_CASE("after a change of keys old and new tokens work side by side") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto old = world.issue("alice");
    const auto rotated = world.open(two_keys(KeyUse::verify_only, KeyUse::active));
    const auto fresh = World::issue(*rotated, IssueRequest{.owner = "alice", .scopes = {"read"}});
    CHECK(fresh.text.substr(0, 7) == "pat_10B");
    CHECK(World::ask(*rotated, old) == Reason::none);
    CHECK(World::ask(*rotated, fresh) == Reason::none);
    // A change seals with the new key what the old one made.
    const auto ended = world.issue("alice");
    REQUIRE(rotated->revoke(Actor::host(), ended.id).ok());
    CHECK(World::ask(*rotated, ended) == Reason::revoked);
    CHECK(world.stored(ended.id).seal_key_id == "0B");
    CHECK(rotated->check(Actor::host()).value().problem_count == 0);
  }
}

TEST_CASE("retiring a key ends its tokens, and lists still show them") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto old = world.issue("alice");
    // What the old key sealed has to be sealed anew first.
    const auto too_soon =
        TokenStore::open(world.backend, two_keys(KeyUse::retired, KeyUse::active), world.options()).status();
    CHECK(too_soon == Status::wrong_key);
    REQUIRE(world.open(two_keys(KeyUse::verify_only, KeyUse::active))->reseal(Actor::host())->resealed == 4);
    const auto retired = world.open(two_keys(KeyUse::retired, KeyUse::active));
    CHECK(World::ask(*retired, old) == Reason::retired_key);
    CHECK(World::ask(*retired, World::issue(*retired, IssueRequest{.owner = "alice", .scopes = {"read"}})) ==
          Reason::none);
    const auto page = retired->list(Actor::host(), {.owner = "alice"}).value();
    CHECK(page.tokens.size() == 2);
    for (const TokenInfo& token : page.tokens) CHECK(token.state != TokenState::tampered);
    REQUIRE(retired->revoke(Actor::host(), old.id).ok());
    CHECK(World::ask(*retired, old) != Reason::none);
    CHECK(retired->remove(Actor::host(), old.id).ok());
  }
}

TEST_CASE("a token of a key that the keyring does not hold is forged") {
  World world;
  const auto rotated = world.open(two_keys(KeyUse::verify_only, KeyUse::active));
  const auto fresh = World::issue(*rotated, IssueRequest{.owner = "alice", .scopes = {"read"}});
  CHECK(world.ask(fresh) == Reason::forged);
  // Sealed with it, it is shown as what cannot be believed.
  CHECK(world.store->get(Actor::host(), fresh.id).status() == Status::tampered);
}

TEST_CASE("a token of another store's key under the same key id is forged") {
  World world;
  const auto other = TokenStore::open(memory_backend(), test::one_key(77)).value();
  CHECK(world.ask(World::issue(*other, IssueRequest{.owner = "alice", .scopes = {"read"}})) == Reason::forged);
}

TEST_CASE("a token of one workspace is unknown in another, with the same prefix and key") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto other = world.open(test::one_key(), "other");
    const auto here = world.issue("alice");
    const auto there = World::issue(*other, IssueRequest{.owner = "alice", .scopes = {"read"}});
    for (int round = 0; round < 2; ++round) {
      CHECK(world.ask(here) == Reason::none);
      CHECK(World::ask(*other, there) == Reason::none);
      CHECK(world.ask(there) == Reason::unknown);
      CHECK(World::ask(*other, here) == Reason::unknown);
    }
    // Neither policy, nor owners, nor lists are shared.
    REQUIRE(other->set_policy(Actor::host(), {.tokens_enabled = false}).ok());
    CHECK(world.ask(here) == Reason::none);
    REQUIRE(other->suspend(Actor::host(), "alice").ok());
    CHECK(world.ask(here) == Reason::none);
    CHECK(world.store->list(Actor::host(), {}).value().tokens.size() == 1);
    CHECK(world.store->revoke_all(Actor::host(), "alice").value() == 1);
    REQUIRE(other->set_policy(Actor::host(), {}).ok());
    REQUIRE(other->resume(Actor::host(), "alice").ok());
    CHECK(World::ask(*other, there) == Reason::none);
  }
}

TEST_CASE("a token of another prefix is malformed here") {
  World world;
  StoreOptions options = world.options();
  options.prefix = "key";
  const auto other = TokenStore::open(world.backend, test::one_key(), options).value();
  const auto token = World::issue(*other, IssueRequest{.owner = "alice", .scopes = {"read"}});
  CHECK(World::ask(*other, token) == Reason::none);
  CHECK(world.ask(token) == Reason::malformed);
}
