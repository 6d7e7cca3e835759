/// Actors x owners x workspaces: who may do what, and that what is not theirs looks like nothing.
#include <functional>
#include <map>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

struct Answer {
  Status status = Status::ok;
  std::string message;
  bool operator==(const Answer&) const = default;
};

template <typename T>
Answer answer_of(const Result<T>& result) {
  return result.ok() ? Answer{} : Answer{result.status(), result.error().message()};
}

using Operation = std::function<Answer(TokenStore&, const Actor&, const std::string& id)>;

/// Every operation that names a token by its id.
const std::map<std::string, Operation>& operations_on_an_id() {
  static const std::map<std::string, Operation> all{
      {"get", [](TokenStore& s, const Actor& a, const std::string& id) { return answer_of(s.get(a, id)); }},
      {"expire", [](TokenStore& s, const Actor& a, const std::string& id) { return answer_of(s.expire(a, id)); }},
      {"expire at",
       [](TokenStore& s, const Actor& a, const std::string& id) { return answer_of(s.expire(a, id, s.now() + 5)); }},
      {"revoke",
       [](TokenStore& s, const Actor& a, const std::string& id) { return answer_of(s.revoke(a, id, "because")); }},
      {"remove", [](TokenStore& s, const Actor& a, const std::string& id) { return answer_of(s.remove(a, id)); }},
  };
  return all;
}

const std::string unknown_id = "0123456789ABCDEF";

}  // namespace

TEST_CASE("another's token answers exactly like an unknown id, whatever a user asks") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto other = world.open(test::one_key(), "other");
    const auto bobs = world.issue("bob");
    const auto elsewhere = World::issue(*other, {.owner = "alice", .scopes = {"read"}});
    const Actor alice = Actor::user("alice");
    for (const auto& [name, operation] : operations_on_an_id()) {
      CAPTURE(name, cache);
      const Answer unknown = operation(*world.store, alice, unknown_id);
      CHECK(unknown.status == Status::not_found);
      CHECK(operation(*world.store, alice, bobs.id) == unknown);
      CHECK(operation(*world.store, alice, elsewhere.id) == unknown);
      CHECK(operation(*world.store, alice, "") == unknown);
      CHECK(operation(*world.store, alice, "no id at all' OR 1=1 --") == unknown);
      CHECK(operation(*world.store, alice, bobs.text) == unknown);
      CHECK(world.ask(bobs) == Reason::none);
      CHECK(World::ask(*other, elsewhere) == Reason::none);
    }
    // The same for one whose record was tampered with: its existence is not told either.
    TokenRecord record = world.stored(bobs.id);
    record.description = "changed";
    world.smuggle(record, record.revision);
    for (const auto& [name, operation] : operations_on_an_id()) {
      CAPTURE(name);
      CHECK(operation(*world.store, alice, bobs.id) == operation(*world.store, alice, unknown_id));
    }
  }
}

TEST_CASE("another workspace's token answers exactly like an unknown id, for every actor") {
  World world;
  const auto other = world.open(test::one_key(), "other");
  const auto elsewhere = World::issue(*other, {.owner = "alice", .scopes = {"read"}});
  for (const Actor& actor : {Actor::user("alice"), Actor::administrator("alice"), Actor::host()}) {
    for (const auto& [name, operation] : operations_on_an_id()) {
      CAPTURE(name);
      CHECK(operation(*world.store, actor, elsewhere.id) == operation(*world.store, actor, unknown_id));
      CHECK(operation(*world.store, actor, unknown_id).status == Status::not_found);
      CHECK(World::ask(*other, elsewhere) == Reason::none);
    }
  }
}

TEST_CASE("a user acts on their own tokens, administrators and the host on anyone's") {
  for (const Actor& actor : {Actor::user("alice"), Actor::administrator("root"), Actor::host()}) {
    for (const auto& [name, operation] : operations_on_an_id()) {
      World world;
      const auto token = world.issue("alice");
      CAPTURE(name, static_cast<int>(actor.kind()));
      CHECK(operation(*world.store, actor, token.id) == Answer{});
    }
  }
}

TEST_CASE("names that differ in one octet are different owners") {
  World world;
  for (const std::string mine : {"alice", "Alice", "alice ", "alic\xC3\xA9", "ali%", "alic_", "a"}) world.issue(mine);
  for (const std::string mine : {"alice", "Alice", "alice ", "alic\xC3\xA9", "ali%", "alic_", "a"}) {
    CAPTURE(mine);
    auto page = world.store->list(Actor::user(mine), {}).value();
    REQUIRE(page.tokens.size() == 1);
    CHECK(page.tokens[0].owner == mine);
    CHECK(world.store->count(Actor::user(mine)).value().active == 1);
    CHECK(world.store->list(Actor::host(), {.owner = mine}).value().tokens.size() == 1);
  }
}

TEST_CASE("a user never issues for another owner, whatever the other arguments") {
  World world;
  world.set_policy({.never_allowed = true});
  for (const Actor& actor : {Actor::user("alice"), Actor::administrator("alice")}) {
    for (const std::string owner : {"bob", "Alice", "alice ", "host", "user:alice", "administrator:alice", "a"}) {
      for (const Lifetime lifetime : {Lifetime::policy_default(), Lifetime::never(), Lifetime::millis(1)}) {
        for (const bool pending : {false, true}) {
          IssueRequest request{.owner = owner, .description = "alice", .scopes = {"alice"}, .metadata = "owner=alice"};
          request.lifetime = lifetime;
          if (pending) request.not_before = world.clock->wall();
          CAPTURE(owner);
          CHECK(world.store->issue(actor, request).status() == Status::permission_denied);
          const std::vector<IssueRequest> mixed{{.owner = "alice"}, request};
          CHECK(world.store->issue_many(actor, mixed).status() == Status::permission_denied);
        }
      }
    }
    CHECK(world.store->issue(actor, {.owner = ""}).status() == Status::invalid_argument);
  }
  // Nothing of a refused batch stays behind, not even for the owner that was allowed.
  CHECK(world.store->list(Actor::host(), {}).value().tokens.empty());
  CHECK(world.store->list_owners(Actor::host()).value().owners.empty());
}

TEST_CASE("who issued a token is the actor, and nothing in a request changes that") {
  World world;
  CHECK(world.store->issue(Actor::user("alice"), {.owner = "alice"}).value().info.created_by == "user:alice");
  CHECK(world.store->issue(Actor::administrator("root"), {.owner = "root"}).value().info.created_by ==
        "administrator:root");
  CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).value().info.created_by == "host");
  // A user called "host" is not the host.
  CHECK(world.store->issue(Actor::user("host"), {.owner = "host"}).value().info.created_by == "user:host");
}

TEST_CASE("lists and counts of a user hold their own tokens only") {
  World world;
  world.issue("alice");
  world.issue("bob");
  world.issue("bob");
  const Actor alice = Actor::user("alice");
  CHECK(world.store->list(alice, {}).value().tokens.size() == 1);
  CHECK(world.store->list(alice, {.owner = "alice"}).value().tokens.size() == 1);
  const auto foreign = world.store->list(alice, {.owner = "bob"}).value();
  const auto nobody = world.store->list(alice, {.owner = "nobody"}).value();
  CHECK(foreign.tokens.size() == nobody.tokens.size());
  CHECK(foreign.next == nobody.next);
  CHECK(world.store->count(alice).value().active == 1);
  CHECK(world.store->count(alice, "bob").value().active == 0);
  CHECK(world.store->count(alice, "nobody").value().active == 0);
  for (const Actor& actor : {Actor::administrator("root"), Actor::host()}) {
    CHECK(world.store->list(actor, {}).value().tokens.size() == 3);
    CHECK(world.store->list(actor, {.owner = "bob"}).value().tokens.size() == 2);
    CHECK(world.store->count(actor).value().active == 3);
    CHECK(world.store->count(actor, "bob").value().active == 2);
  }
}

TEST_CASE("settings of another owner answer a user exactly like those of nobody") {
  World world;
  world.issue("alice");
  world.issue("bob");
  const Actor alice = Actor::user("alice");
  const auto unknown = answer_of(world.store->owner(alice, "nobody"));
  CHECK(unknown.status == Status::not_found);
  CHECK(answer_of(world.store->owner(alice, "bob")) == unknown);
  CHECK(answer_of(world.store->revoke_all(alice, "bob")) == answer_of(world.store->revoke_all(alice, "nobody")));
  CHECK(world.store->owner(alice, "alice").value().owner == "alice");
  CHECK(world.store->revoke_all(alice, "alice").value() == 1);
  CHECK(world.store->count(Actor::host(), "bob").value().active == 1);
}

TEST_CASE("what only administrators may do, a user may do to nobody, and a missing owner changes nothing") {
  World world;
  world.issue("alice");
  const Actor alice = Actor::user("alice");
  for (const std::string owner : {"alice", "bob", "nobody"}) {
    CAPTURE(owner);
    CHECK(world.store->suspend(alice, owner).status() == Status::permission_denied);
    CHECK(world.store->resume(alice, owner).status() == Status::permission_denied);
    CHECK(world.store->set_owner(alice, owner, {}).status() == Status::permission_denied);
  }
  CHECK(world.store->list_owners(alice).status() == Status::permission_denied);
  CHECK(world.store->set_policy(alice, {}).status() == Status::permission_denied);
  CHECK(world.store->purge(alice, 0).status() == Status::permission_denied);
  CHECK(world.store->check(alice).status() == Status::permission_denied);
  CHECK(world.store->list_owners(Actor::host()).value().owners.size() == 1);
}

TEST_CASE("an actor without a proper name may do nothing") {
  World world;
  const auto token = world.issue("alice");
  const std::string names[] = {"", std::string(256, 'a'), "a\nb", "a\xFF", std::string("a\0b", 3)};
  for (const std::string& name : names) {
    for (const Actor& actor : {Actor::user(name), Actor::administrator(name)}) {
      CAPTURE(name);
      for (const auto& [operation_name, operation] : operations_on_an_id()) {
        CAPTURE(operation_name);
        CHECK(operation(*world.store, actor, token.id).status == Status::invalid_argument);
      }
      CHECK(world.store->issue(actor, {.owner = name}).status() == Status::invalid_argument);
      CHECK(world.store->list(actor, {}).status() == Status::invalid_argument);
      CHECK(world.store->count(actor).status() == Status::invalid_argument);
      CHECK(world.store->owner(actor, "alice").status() == Status::invalid_argument);
      CHECK(world.store->revoke_all(actor, "alice").status() == Status::invalid_argument);
      CHECK(world.store->policy(actor).status() == Status::invalid_argument);
      CHECK(world.store->suspend(actor, "alice").status() == Status::invalid_argument);
      CHECK(world.store->purge(actor, 0).status() == Status::invalid_argument);
    }
  }
  CHECK(world.ask(token) == Reason::none);
}
