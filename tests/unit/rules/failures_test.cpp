/// Storage that fails at every call, once or from then on, with every outcome: an error or the right
/// result, and never a token that is valid although somebody was told that it had ended.
#include <functional>
#include <map>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::Call;
using test::World;

namespace {

const Actor root = Actor::administrator("root");

/// A change that takes the token out of use.
struct Ending {
  std::function<Status(World&, const test::Kept&)> run;
  /// A failed one is denied by this process at once, whichever call failed (the actor is trusted).
  bool denied_whatever_failed;
};

const std::map<std::string, Ending>& endings() {
  static const std::map<std::string, Ending> all{
      {"revoke", {[](World& w, const test::Kept& t) { return w.store->revoke(root, t.id, "x").status(); }, true}},
      {"expire", {[](World& w, const test::Kept& t) { return w.store->expire(root, t.id).status(); }, true}},
      {"remove", {[](World& w, const test::Kept& t) { return w.store->remove(root, t.id).status(); }, true}},
      {"suspend", {[](World& w, const test::Kept&) { return w.store->suspend(root, "alice").status(); }, true}},
      {"may not use",
       {[](World& w, const test::Kept&) {
          return w.store->set_owner(root, "alice", {true, false}).status();
        },
        true}},
      {"tokens disabled",
       {[](World& w, const test::Kept&) { return w.store->set_policy(root, {.tokens_enabled = false}).status(); },
        true}},
      {"revoke all", {[](World& w, const test::Kept&) { return w.store->revoke_all(root, "alice").status(); }, true}},
  };
  return all;
}

/// Whether storage itself denies the token: what another process sees.
bool denied_by_storage(World& world, const test::Kept& token) {
  const auto fresh = world.open();
  return World::ask(*fresh, token) != Reason::none;
}

void heal(World& world) {
  world.backend->fail = nullptr;
  world.backend->commit_outcome = nullptr;
  world.backend->before = nullptr;
}

}  // namespace

TEST_CASE("whichever storage call fails, an ending answers an error that is not not-found, or it holds") {
  for (const std::size_t cache : test::cache_sizes()) {
    for (const auto& [name, ending] : endings()) {
      for (const bool from_then_on : {false, true}) {
        for (const Status status : {Status::unavailable, Status::storage_full, Status::unknown, Status::internal}) {
          for (int failing = 1;; ++failing) {
            World world(cache);
            const auto token = world.issue("alice");
            REQUIRE(world.ask(token) == Reason::none);
            int calls = 0;
            world.backend->fail = [&](Call) -> std::optional<Error> {
              ++calls;
              if (calls == failing || (from_then_on && calls > failing)) return Error(status, "the disk is on fire");
              return std::nullopt;
            };
            const Status answer = ending.run(world, token);
            const int calls_made = calls;
            heal(world);
            CAPTURE(name, from_then_on, failing, status, cache);
            if (answer == Status::ok) {
              CHECK(world.ask(token) != Reason::none);
              CHECK(denied_by_storage(world, token));
            } else {
              CHECK(answer == status);
              if (ending.denied_whatever_failed) CHECK(world.ask(token) != Reason::none);
            }
            // A retry holds, here and elsewhere.
            const Status again = ending.run(world, token);
            CHECK((again == Status::ok || (again == Status::not_found && name == "remove")));
            CHECK(world.ask(token) != Reason::none);
            CHECK(denied_by_storage(world, token));
            if (calls_made < failing) break;  // a clean run
          }
        }
      }
    }
  }
}

TEST_CASE("whatever a commit answers, this process denies the token at once and a retry holds") {
  for (const std::size_t cache : test::cache_sizes()) {
    for (const auto& [name, ending] : endings()) {
      for (const CommitOutcome outcome : {CommitOutcome::failed, CommitOutcome::unknown}) {
        for (const bool happens : {false, true}) {
          World world(cache);
          const auto token = world.issue("alice");
          REQUIRE(world.ask(token) == Reason::none);
          world.backend->commit_outcome = [&] { return outcome; };
          world.backend->commit_happens = happens;
          const Status answer = ending.run(world, token);
          CAPTURE(name, static_cast<int>(outcome), happens, cache);
          CHECK(answer == (outcome == CommitOutcome::unknown ? Status::unknown : Status::unavailable));
          CHECK(world.ask(token) != Reason::none);
          CHECK(world.ask(token) != Reason::storage);
          heal(world);
          CHECK(world.ask(token) != Reason::none);
          const Status again = ending.run(world, token);
          CHECK((again == Status::ok || (again == Status::not_found && name == "remove" && happens)));
          CHECK(world.ask(token) != Reason::none);
          CHECK(denied_by_storage(world, token));
        }
      }
    }
  }
}

TEST_CASE("a user whose token could not be read ends it here if it is theirs, and nobody else's") {
  const Actor alice = Actor::user("alice");
  const std::vector<std::function<Status(World&, const test::Kept&)>> all = {
      [&](World& w, const test::Kept& t) { return w.store->revoke(alice, t.id, "x").status(); },
      [&](World& w, const test::Kept& t) { return w.store->expire(alice, t.id).status(); },
      [&](World& w, const test::Kept& t) { return w.store->remove(alice, t.id).status(); },
  };
  for (const std::size_t cache : test::cache_sizes()) {
    for (const auto& end : all) {
      World world(cache);
      const auto hers = world.issue("alice");
      const auto another = world.issue("alice");
      const auto his = world.issue("bob");
      for (const auto& token : {hers, another, his}) REQUIRE(world.ask(token) == Reason::none);
      world.backend->fail = [](Call call) -> std::optional<Error> {
        if (call != Call::load_token) return std::nullopt;
        return Error(Status::unavailable, "the disk is on fire");
      };
      CHECK(end(world, hers) == Status::unavailable);
      CHECK(end(world, his) == Status::unavailable);
      heal(world);
      CHECK(world.ask(hers) != Reason::none);
      CHECK(world.ask(his) == Reason::none);
      CHECK(world.ask(another) == Reason::none);
      CHECK(end(world, his) == Status::not_found);
      CHECK(world.ask(his) == Reason::none);
      REQUIRE(end(world, hers) == Status::ok);
      CHECK(denied_by_storage(world, hers));
    }
  }
}

TEST_CASE("what an owner is issued until their revoke all succeeds is denied with the rest, and nothing afterwards") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto before = world.issue("alice");
    world.backend->commit_outcome = [] { return CommitOutcome::failed; };
    CHECK(world.store->revoke_all(root, "alice").status() == Status::unavailable);
    heal(world);
    const auto between = world.issue("alice");
    CHECK(world.ask(before) != Reason::none);
    CHECK(world.ask(between) != Reason::none);
    CHECK(world.ask(world.issue("bob")) == Reason::none);
    REQUIRE(world.store->revoke_all(root, "alice").ok());
    const auto after = world.issue("alice");
    CHECK(world.ask(before) == Reason::revoked);
    CHECK(world.ask(between) == Reason::revoked);
    CHECK(world.ask(after) == Reason::none);
  }
}

TEST_CASE("a conflict is tried again until it is settled") {
  for (const auto& [name, ending] : endings()) {
    World world;
    const auto token = world.issue("alice");
    int conflicts = 0;
    world.backend->commit_outcome = [&]() -> std::optional<CommitOutcome> {
      if (++conflicts <= 20) return CommitOutcome::conflict;
      return std::nullopt;
    };
    CAPTURE(name);
    CHECK(ending.run(world, token) == Status::ok);
    CHECK(world.ask(token) != Reason::none);
  }
}

TEST_CASE("a conflict that never ends is told, not waited for") {
  World world;
  const auto token = world.issue("alice");
  world.backend->commit_outcome = [] { return CommitOutcome::conflict; };
  CHECK(world.store->revoke(root, token.id).status() == Status::conflict);
  CHECK(world.store->issue(Actor::host(), {.owner = "alice"}).status() == Status::conflict);
}

TEST_CASE("a failed stop of an owner is not lifted by a change of something else") {
  World world;
  const auto token = world.issue("alice");
  world.backend->commit_outcome = [] { return CommitOutcome::failed; };
  CHECK(world.store->suspend(root, "alice").status() == Status::unavailable);
  heal(world);
  REQUIRE(world.store->set_owner(root, "alice", {.may_issue = false}).ok());
  CHECK(world.ask(token) != Reason::none);
  REQUIRE(world.store->resume(root, "alice").ok());
  CHECK(world.ask(token) == Reason::none);

  world.backend->commit_outcome = [] { return CommitOutcome::failed; };
  CHECK(world.store->set_owner(root, "alice", {.may_use = false}).status() == Status::unavailable);
  heal(world);
  REQUIRE(world.store->suspend(root, "alice").ok());
  REQUIRE(world.store->resume(root, "alice").ok());
  CHECK(world.ask(token) != Reason::none);
  REQUIRE(world.store->set_owner(root, "alice", {.may_use = true}).ok());
  CHECK(world.ask(token) == Reason::none);

  world.backend->commit_outcome = [] { return CommitOutcome::failed; };
  CHECK(world.store->set_policy(root, {.tokens_enabled = false}).status() == Status::unavailable);
  CHECK(world.ask(token) != Reason::none);
  heal(world);
  world.set_policy({});
  CHECK(world.ask(token) == Reason::none);
}

TEST_CASE("a user's failed revoke denies their own token, and not another's") {
  World world;
  const auto mine = world.issue("alice");
  const auto bobs = world.issue("bob");
  world.backend->commit_outcome = [] { return CommitOutcome::failed; };
  CHECK(world.store->revoke(Actor::user("alice"), mine.id).status() == Status::unavailable);
  CHECK(world.store->revoke(Actor::user("alice"), bobs.id).status() == Status::not_found);
  CHECK(world.store->expire(Actor::user("alice"), bobs.id).status() == Status::not_found);
  CHECK(world.store->remove(Actor::user("alice"), bobs.id).status() == Status::not_found);
  heal(world);
  world.backend->fail = [](Call) { return Error(Status::unavailable, "gone"); };
  CHECK(world.store->revoke(Actor::user("alice"), bobs.id).status() == Status::unavailable);
  CHECK(world.store->remove(Actor::user("alice"), bobs.id).status() == Status::unavailable);
  heal(world);
  CHECK(world.ask(mine) == Reason::revoked);
  CHECK(world.ask(bobs) == Reason::none);
}

TEST_CASE("when storage cannot be asked, a verdict is unavailable, never valid and never invalid") {
  for (const std::size_t cache : test::cache_sizes()) {
    for (const Call failing : {Call::load_token, Call::load_owner, Call::load_workspace}) {
      for (const bool throws : {false, true}) {
        World world(cache);
        const auto token = world.issue("alice");
        const auto ended = world.issue("alice");
        REQUIRE(world.store->revoke(root, ended.id).ok());
        const auto fresh = world.open();  // remembers nothing
        const auto fault = [&](Call call) {
          if (call != failing) return;
          if (throws) throw std::bad_alloc();
        };
        if (throws) {
          world.backend->before = fault;
        } else {
          world.backend->fail = [&](Call call) -> std::optional<Error> {
            if (call == failing) return Error(Status::unavailable, "gone");
            return std::nullopt;
          };
        }
        CAPTURE(static_cast<int>(failing), throws, cache);
        const Verdict verdict = fresh->validate(token.text, Demand("read"));
        CHECK(verdict.outcome() == Outcome::unavailable);
        CHECK(verdict.reason() == Reason::storage);
        CHECK(verdict.http_status() == 503);
        CHECK(World::ask(*fresh, ended) != Reason::none);
        heal(world);
        CHECK(World::ask(*fresh, token) == Reason::none);
        CHECK(World::ask(*fresh, ended) == Reason::revoked);
      }
    }
  }
}

TEST_CASE("malformed and forged texts are refused even while storage is down") {
  World world;
  const auto token = world.issue("alice");
  const auto stranger = TokenStore::open(memory_backend(), test::one_key(99)).value();
  const auto forged = World::issue(*stranger, {.owner = "alice", .scopes = {"read"}});
  world.backend->fail = [](Call) { return Error(Status::unavailable, "gone"); };
  CHECK(world.ask({"nonsense", ""}) == Reason::malformed);
  CHECK(world.ask({forged.text, ""}) == Reason::forged);
  CHECK(world.ask(token) == Reason::storage);
}

TEST_CASE("a failed issue leaves nothing that is valid, and a retry gives another token") {
  for (int failing = 1;; ++failing) {
    World world;
    world.set_policy({.most_active_per_owner = 5});
    int calls = 0;
    world.backend->fail = [&](Call) -> std::optional<Error> {
      if (++calls == failing) return Error(Status::unavailable, "gone");
      return std::nullopt;
    };
    const auto issued = world.store->issue(Actor::user("alice"), {.owner = "alice", .scopes = {"read"}});
    const bool clean = calls < failing;
    heal(world);
    CAPTURE(failing);
    if (!issued.ok()) {
      CHECK(issued.status() == Status::unavailable);
      CHECK(world.store->list(Actor::host(), {}).value().tokens.empty());
    }
    CHECK(world.ask(world.issue("alice")) == Reason::none);
    if (clean) {
      CHECK(issued.ok());
      break;
    }
  }
}

TEST_CASE("a read-only store validates and lists, and answers read only to every change") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    world.backend->only_reads = true;
    const auto reader = world.open();
    CHECK(World::ask(*reader, token) == Reason::none);
    CHECK(reader->list(Actor::host(), {}).value().tokens.size() == 1);
    CHECK(reader->issue(Actor::host(), {.owner = "alice"}).status() == Status::read_only);
    CHECK(reader->revoke(root, token.id).status() == Status::read_only);
    CHECK(reader->expire(root, token.id).status() == Status::read_only);
    CHECK(reader->remove(root, token.id).status() == Status::read_only);
    CHECK(reader->revoke_all(root, "alice").status() == Status::read_only);
    CHECK(reader->suspend(root, "alice").status() == Status::read_only);
    CHECK(reader->set_owner(root, "alice", {false, false}).status() == Status::read_only);
    CHECK(reader->set_policy(root, {}).status() == Status::read_only);
    CHECK(reader->maintain().ok());
    CHECK(World::ask(*reader, token) == Reason::none);
  }
}

TEST_CASE("a backend without memory makes no call crash and no verdict valid") {
  World world;
  const auto token = world.issue("alice");
  REQUIRE(world.store->revoke(root, token.id).ok());
  for (int failing = 1; failing < 12; ++failing) {
    int calls = 0;
    world.backend->before = [&](Call) {
      if (++calls == failing) throw std::bad_alloc();
    };
    CHECK(world.ask(token) != Reason::none);
    for (const auto& [name, ending] : endings()) {
      calls = 0;
      try {
        static_cast<void>(ending.run(world, token));
      } catch (const std::bad_alloc&) {
      }
      CHECK(world.ask(token) != Reason::none);
    }
  }
}
