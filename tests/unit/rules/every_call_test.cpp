/// Every operation that ends nothing, and opening, with storage that fails at each of its calls in turn; what ends
/// something is in failures_test.cpp.
#include <functional>
#include <map>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::Call;
using test::World;

namespace {

const Actor root = Actor::administrator("root");

Status opening(World& world, const char* workspace) {
  return TokenStore::open(world.backend, test::one_key(), world.options(workspace)).status();
}

Keyring second_key() {
  Keyring keyring;
  REQUIRE(keyring.add("0A", KeyUse::verify_only, test::master_key(1)).ok());
  REQUIRE(keyring.add("0B", KeyUse::active, test::master_key(2)).ok());
  return keyring;
}

using Operation = std::function<Status(World&)>;

const std::map<std::string, Operation>& operations() {
  static const std::map<std::string, Operation> all{
      {"open", [](World& w) { return opening(w, "default"); }},
      {"open a new workspace", [](World& w) { return opening(w, "another"); }},
      {"issue to a new owner",
       [](World& w) { return w.store->issue(Actor::host(), {.owner = "carol", .scopes = {"read"}}).status(); }},
      {"issue under a cap",
       [](World& w) { return w.store->issue(Actor::host(), {.owner = "alice", .scopes = {"read"}}).status(); }},
      {"list", [](World& w) { return w.store->list(root, {}).status(); }},
      {"count", [](World& w) { return w.store->count(root).status(); }},
      {"owner", [](World& w) { return w.store->owner(root, "alice").status(); }},
      {"list owners", [](World& w) { return w.store->list_owners(root).status(); }},
      {"policy", [](World& w) { return w.store->policy(root).status(); }},
      {"set policy", [](World& w) { return w.store->set_policy(root, {.most_active_per_owner = 7}).status(); }},
      {"set owner",
       [](World& w) {
         return w.store->set_owner(root, "alice", {false, true}).status();
       }},
      {"resume", [](World& w) { return w.store->resume(root, "bob").status(); }},
      {"purge", [](World& w) { return w.store->purge(root, w.store->now()).status(); }},
      {"reseal",
       [](World& w) {
         // What one key sealed is sealed anew under another.
         const auto store = TokenStore::open(w.backend, second_key(), w.options());
         return store.ok() ? (*store)->reseal(root).status() : store.status();
       }},
      {"check", [](World& w) { return w.store->check(root).status(); }},
      {"maintain", [](World& w) { return w.store->maintain(std::chrono::milliseconds(50)).status(); }},
  };
  return all;
}

/// Two owners, one of them suspended, with a token that is in use and one that has ended; a cap.
void furnish(World& world) {
  world.set_policy({.most_active_per_owner = 5});
  const auto used = world.issue("alice");
  const auto over = world.issue("bob");
  REQUIRE(world.store->revoke(root, over.id).ok());
  REQUIRE(world.store->suspend(root, "bob").ok());
  REQUIRE(world.ask(used) == Reason::none);
  world.clock->advance(120'000);
}

}  // namespace

TEST_CASE("whichever storage call fails, an operation says so and does its work when it is asked again") {
  for (const auto& [name, operation] : operations()) {
    for (int failing = 1;; ++failing) {
      World world;
      furnish(world);
      int calls = 0;
      world.backend->fail = [&](Call) -> std::optional<Error> {
        if (++calls != failing) return std::nullopt;
        return Error(Status::unavailable, "the disk is on fire");
      };
      CAPTURE(name, failing);
      const Status answer = operation(world);
      CHECK(answer == (calls < failing ? Status::ok : Status::unavailable));
      const bool clean = calls < failing;
      world.backend->fail = nullptr;
      CHECK(operation(world) == Status::ok);
      if (clean) break;
    }
  }
}

TEST_CASE("a new store on storage that fails at any call is made by the next who opens it") {
  for (int failing = 1;; ++failing) {
    const auto backend = std::make_shared<test::PuppetBackend>(memory_backend());
    int calls = 0;
    backend->fail = [&](Call) -> std::optional<Error> {
      if (++calls != failing) return std::nullopt;
      return Error(Status::unavailable, "the disk is on fire");
    };
    CAPTURE(failing);
    const auto opened = TokenStore::open(backend, test::one_key());
    CHECK(opened.status() == (calls < failing ? Status::ok : Status::unavailable));
    const bool clean = calls < failing;
    backend->fail = nullptr;
    CHECK(TokenStore::open(backend, test::one_key()).ok());
    if (clean) break;
  }
}

TEST_CASE("whatever the commit that makes a workspace answers, opening says what is so") {
  struct Case {
    CommitOutcome outcome;
    bool happens;
    Status expected;
  };
  for (const Case& one :
       {Case{CommitOutcome::conflict, true, Status::ok}, Case{CommitOutcome::conflict, false, Status::unavailable},
        Case{CommitOutcome::committed, false, Status::unavailable},
        Case{CommitOutcome::failed, false, Status::unavailable},
        Case{CommitOutcome::unknown, true, Status::unavailable}}) {
    const auto backend = std::make_shared<test::PuppetBackend>(memory_backend());
    backend->commit_outcome = [&] { return one.outcome; };
    backend->commit_happens = one.happens;
    const auto opened = TokenStore::open(backend, test::one_key());
    CAPTURE(static_cast<int>(one.outcome), one.happens);
    CHECK(opened.status() == one.expected);
    backend->commit_outcome = nullptr;
    CHECK(TokenStore::open(backend, test::one_key()).ok());
  }
}

TEST_CASE("a workspace is made by nobody who may not, and a store says where it is and why it could not answer") {
  World world;
  StoreOptions options = world.options("another");
  options.create_workspace = false;
  CHECK(TokenStore::open(world.backend, test::one_key(), options).status() == Status::not_found);
  options.create_workspace = true;
  world.backend->only_reads = true;
  CHECK(TokenStore::open(world.backend, test::one_key(), options).status() == Status::not_found);
  CHECK(TokenStore::open(world.backend, test::one_key(), world.options()).ok());
  world.backend->only_reads = false;
  const auto another = TokenStore::open(world.backend, test::one_key(), options).value();
  CHECK(another->workspace() == "another");
  CHECK(another->prefix() == "pat");
  CHECK_FALSE(world.store->why_unavailable().has_value());
  const auto token = world.issue();
  world.backend->fail = [](Call) -> std::optional<Error> { return Error(Status::unavailable, "the disk is on fire"); };
  CHECK(world.ask(token) == Reason::storage);
  world.backend->fail = nullptr;
  REQUIRE(world.store->why_unavailable().has_value());
  CHECK(world.store->why_unavailable()->error.message() == "the disk is on fire");
  CHECK(world.store->why_unavailable()->at == world.store->now());
}
