/// Whoever can write the database but lacks the key cannot mint, extend, widen or un-revoke a token.
#include <functional>
#include <map>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

template <typename T>
using Changes = std::map<std::string, std::function<void(T&)>>;

const Changes<TokenRecord>& token_changes() {
  static const Changes<TokenRecord> all{
      {"key id", [](TokenRecord& r) { r.key_id = "0B"; }},
      {"verifier", [](TokenRecord& r) { r.verifier[31] ^= 1; }},
      {"owner", [](TokenRecord& r) { r.owner = "bob"; }},
      {"description", [](TokenRecord& r) { r.description += 'x'; }},
      {"scopes", [](TokenRecord& r) { r.scopes = "admin read"; }},
      {"no scopes", [](TokenRecord& r) { r.scopes.clear(); }},
      {"metadata", [](TokenRecord& r) { r.metadata = "admin"; }},
      {"metadata and description swapped", [](TokenRecord& r) { std::swap(r.metadata, r.description); }},
      {"created at", [](TokenRecord& r) { --r.created_at; }},
      {"created by", [](TokenRecord& r) { r.created_by = "host "; }},
      {"not before", [](TokenRecord& r) { --r.not_before; }},
      {"a later end", [](TokenRecord& r) { ++r.expires_at; }},
      {"no end", [](TokenRecord& r) { r.expires_at = never; }},
      {"revoked at", [](TokenRecord& r) { r.revoked_at = 5; }},
      {"revoked by", [](TokenRecord& r) { r.revoked_by = "host"; }},
      {"revoke reason", [](TokenRecord& r) { r.revoke_reason = "x"; }},
      {"revision", [](TokenRecord& r) { ++r.revision; }},
      {"seal key id", [](TokenRecord& r) { r.seal_key_id = "0B"; }},
      {"empty seal key id", [](TokenRecord& r) { r.seal_key_id.clear(); }},
      {"seal", [](TokenRecord& r) { r.seal[0] ^= 0x80; }},
      {"no seal", [](TokenRecord& r) { r.seal = {}; }},
  };
  return all;
}

const Changes<OwnerRecord>& owner_changes() {
  static const Changes<OwnerRecord> all{
      {"may issue", [](OwnerRecord& r) { r.may_issue = !r.may_issue; }},
      {"may use", [](OwnerRecord& r) { r.may_use = !r.may_use; }},
      {"suspended at", [](OwnerRecord& r) { r.suspended_at = r.suspended_at == never ? 5 : never; }},
      {"suspended by", [](OwnerRecord& r) { r.suspended_by += "x"; }},
      {"suspend reason", [](OwnerRecord& r) { r.suspend_reason += "x"; }},
      {"revoke all count", [](OwnerRecord& r) { ++r.revoke_all_count; }},
      {"revision", [](OwnerRecord& r) { ++r.revision; }},
      {"seal key id", [](OwnerRecord& r) { r.seal_key_id = "0B"; }},
      {"seal", [](OwnerRecord& r) { r.seal[31] ^= 1; }},
  };
  return all;
}

const Changes<WorkspaceRecord>& workspace_changes() {
  static const Changes<WorkspaceRecord> all{
      {"tokens enabled", [](WorkspaceRecord& r) { r.tokens_enabled = !r.tokens_enabled; }},
      {"users may issue", [](WorkspaceRecord& r) { r.users_may_issue = !r.users_may_issue; }},
      {"never allowed", [](WorkspaceRecord& r) { r.never_allowed = !r.never_allowed; }},
      {"longest lifetime", [](WorkspaceRecord& r) { r.longest_lifetime = never; }},
      {"default lifetime", [](WorkspaceRecord& r) { ++r.default_lifetime; }},
      {"cap", [](WorkspaceRecord& r) { ++r.most_active_per_owner; }},
      {"created at", [](WorkspaceRecord& r) { ++r.created_at; }},
      {"revision", [](WorkspaceRecord& r) { ++r.revision; }},
      {"seal key id", [](WorkspaceRecord& r) { r.seal_key_id = "0B"; }},
      {"seal", [](WorkspaceRecord& r) { r.seal[0] ^= 1; }},
  };
  return all;
}

void expect_token_tampered(World& world, const test::Kept& token) {
  CHECK(world.ask(token) == Reason::tampered);
  CHECK(world.ask(token, "admin") == Reason::tampered);
  const auto page = world.store->list(Actor::host(), {}).value();
  bool seen = false;
  for (const TokenInfo& info : page.tokens) {
    if (info.id != token.id) continue;
    seen = true;
    CHECK(info.state == TokenState::tampered);
    CHECK(info.owner.empty());
    CHECK(info.scopes.empty());
    CHECK(info.metadata.empty());
    CHECK(info.description.empty());
  }
  CHECK(seen);
  CHECK(world.store->get(Actor::host(), token.id).status() == Status::tampered);
  const auto report = world.store->check(Actor::host()).value();
  CHECK(report.problem_count >= 1);
  CHECK(report.problems.front().find(token.id) != std::string::npos);
}

}  // namespace

TEST_CASE("changing any field of a token's record denies it as tampered") {
  for (const std::size_t cache : test::cache_sizes()) {
    for (const auto& [name, change] : token_changes()) {
      CAPTURE(name, cache);
      World world(cache);
      IssueRequest request{.owner = "alice", .description = "laptop", .scopes = {"read"}, .metadata = "m"};
      const auto token = world.issue(request);
      const auto other = world.issue("alice");
      world.issue("bob");
      CHECK(world.ask(token) == Reason::none);
      CHECK(world.store->check(Actor::host()).value().problem_count == 0);
      TokenRecord record = world.stored(token.id);
      const auto expected = record.revision;
      change(record);
      world.smuggle(record, expected);
      if (name == "verifier") {
        // Whoever changes the verifier has no secret that fits.
        CHECK(world.ask(token) == Reason::wrong_secret);
        CHECK(world.store->get(Actor::host(), token.id).status() == Status::tampered);
      } else {
        expect_token_tampered(world, token);
      }
      CHECK(world.ask(other) == Reason::none);
    }
  }
}

TEST_CASE("the last use of a token is not sealed, and can be changed without ending it") {
  World world;
  const auto token = world.issue("alice");
  const Use use{token.id, 42, "192.0.2.1"};
  REQUIRE(world.backend->inner().record_uses("default", {&use, 1}).ok());
  CHECK(world.ask(token) == Reason::none);
}

TEST_CASE("undoing a revocation or an end in the record denies as tampered") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto revoked = world.issue("alice");
    const auto expired = world.issue("alice");
    REQUIRE(world.store->revoke(Actor::host(), revoked.id, "stolen").ok());
    REQUIRE(world.store->expire(Actor::host(), expired.id).ok());
    CHECK(world.ask(revoked) == Reason::revoked);
    TokenRecord record = world.stored(revoked.id);
    record.revoked_at = never;
    world.smuggle(record, record.revision);
    CHECK(world.ask(revoked) == Reason::tampered);
    record.revoked_by.clear();
    record.revoke_reason.clear();
    record.revision = 1;
    world.smuggle(record, world.stored(revoked.id).revision);
    CHECK(world.ask(revoked) == Reason::tampered);
    record = world.stored(expired.id);
    record.expires_at = never;
    world.smuggle(record, record.revision);
    CHECK(world.ask(expired) == Reason::tampered);
  }
}

TEST_CASE("records that are swapped, copied to another id or another workspace are denied") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto other = world.open(test::one_key(), "other");
    const auto first = world.issue(IssueRequest{.owner = "alice", .scopes = {"read"}});
    const auto second = world.issue(IssueRequest{.owner = "bob", .scopes = {"admin"}});
    World::issue(*other, {.owner = "alice", .scopes = {"read"}});
    const TokenRecord one = world.stored(first.id);
    const TokenRecord two = world.stored(second.id);
    // The same rows in another workspace: its own tokens they are not.
    world.smuggle(one, 0, "other");
    CHECK(World::ask(*other, first) != Reason::none);
    CHECK(other->get(Actor::host(), first.id).status() == Status::tampered);
    // Contents under the other's id.
    TokenRecord swapped = two;
    swapped.id = one.id;
    world.smuggle(swapped, one.revision);
    swapped = one;
    swapped.id = two.id;
    world.smuggle(swapped, two.revision);
    for (const std::string scope : {"read", "admin"}) {
      CHECK(world.ask(first, scope) != Reason::none);
      CHECK(world.ask(second, scope) != Reason::none);
    }
    // A right verifier in another's record.
    swapped = two;
    swapped.id = one.id;
    swapped.verifier = one.verifier;
    world.smuggle(swapped, world.stored(one.id).revision);
    CHECK(world.ask(first, "admin") == Reason::tampered);
  }
}

TEST_CASE("changing any field of an owner's record denies every token of theirs") {
  for (const std::size_t cache : test::cache_sizes()) {
    for (const bool suspended : {false, true}) {
      for (const auto& [name, change] : owner_changes()) {
        CAPTURE(name, cache, suspended);
        World world(cache);
        const auto token = world.issue("alice");
        const auto bobs = world.issue("bob");
        CHECK(world.ask(token) == Reason::none);
        if (suspended) REQUIRE(world.store->suspend(Actor::host(), "alice", "gone").ok());
        OwnerRecord record = world.stored_owner("alice");
        const auto expected = record.revision;
        change(record);
        world.smuggle(record, expected);
        CHECK(world.ask(token) == Reason::tampered);
        CHECK(world.ask(bobs) == Reason::none);
        CHECK(world.store->owner(Actor::host(), "alice").status() == Status::tampered);
        const auto owners = world.store->list_owners(Actor::host()).value().owners;
        REQUIRE(owners.size() == 2);
        CHECK(owners[0].tampered);
        CHECK_FALSE(owners[0].settings.may_use);
        CHECK_FALSE(owners[1].tampered);
        CHECK(world.store->check(Actor::host()).value().problem_count >= 1);
        CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).status() == Status::tampered);
        CHECK(world.store->resume(Actor::host(), "alice").status() == Status::tampered);
      }
    }
  }
}

TEST_CASE("changing any field of the workspace's record denies every token and opens no more") {
  for (const std::size_t cache : test::cache_sizes()) {
    for (const auto& [name, change] : workspace_changes()) {
      CAPTURE(name, cache);
      World world(cache);
      const auto token = world.issue("alice");
      CHECK(world.ask(token) == Reason::none);
      WorkspaceRecord record = world.stored_workspace();
      const auto expected = record.revision;
      change(record);
      world.smuggle(record, expected);
      CHECK(world.ask(token) == Reason::tampered);
      CHECK(world.store->policy(Actor::host()).status() == Status::tampered);
      CHECK(world.store->set_policy(Actor::host(), {}).status() == Status::tampered);
      CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).status() == Status::tampered);
      CHECK(world.store->check(Actor::host()).value().problem_count >= 1);
      CHECK(TokenStore::open(world.backend, test::one_key(), world.options()).status() == Status::wrong_key);
    }
  }
}

TEST_CASE("a settings record that is missing denies, and a workspace is not made anew over its tokens") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    REQUIRE(world.store->suspend(Actor::host(), "alice").ok());  // so that everybody looks
    REQUIRE(world.store->resume(Actor::host(), "alice").ok());
    world.backend->alter_owner = [](std::optional<OwnerRecord>& record) { record.reset(); };
    CHECK(world.ask(token) == Reason::tampered);
    world.backend->alter_owner = nullptr;

    // Without the workspace's row nothing opens, and an open store denies.
    World target(cache, memory_backend());
    const auto stays = target.issue("alice");
    target.backend->alter_workspace = [](std::optional<WorkspaceRecord>& record) { record.reset(); };
    const auto reopened = TokenStore::open(target.backend, test::one_key(), target.options());
    CHECK(reopened.status() == Status::tampered);
    REQUIRE(target.store->suspend(Actor::host(), "bob").ok());  // moves the pulse
    const Reason reason = target.ask(stays);
    CHECK((cache != 0 || reason == Reason::tampered));
  }
}

TEST_CASE("made-up records are denied") {
  World world;
  const auto token = world.issue("alice");
  TokenRecord record = world.stored(token.id);
  record.id = "0000000000000001";
  record.scopes = "admin";
  world.smuggle(record, 0);
  OwnerRecord owner;
  owner.owner = "mallory";
  owner.revision = 1;
  world.smuggle(owner, 0);
  CHECK(world.store->get(Actor::host(), record.id).status() == Status::tampered);
  CHECK(world.store->owner(Actor::host(), "mallory").status() == Status::tampered);
  CHECK(world.store->issue(Actor::host(), {.owner = "mallory"}).status() == Status::tampered);
  // The two, and the change feed that was written without the key.
  CHECK(world.store->check(Actor::host()).value().problem_count == 3);
  CHECK(world.ask(token) == Reason::none);
  CHECK(world.store->remove(Actor::host(), record.id).ok());
}
