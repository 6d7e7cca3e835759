/// The n-th allocation fails, for every n and every operation: an exception or an error, and nothing half done.
///
/// A program of its own, because it replaces operator new. What SQLite and libsodium allocate is not touched
/// here; the C ABI's test of the same name fails those too.
#include <functional>
#include <sstream>

#include "support/scarce_memory.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::Call;
using test::World;

namespace {

struct Scene {
  explicit Scene(std::size_t cache) : world(cache) {
    alive = world.issue("alice");
    second = world.issue("alice");
    ended = world.issue("alice");
    bobs = world.issue("bob");
    REQUIRE(world.store->revoke(Actor::host(), ended.id).ok());
    world.clock->advance(5);
    // A feed and a cache that are in use.
    for (const test::Kept& token : {alive, second, ended, bobs}) (void)world.ask(token);
  }

  /// All that can be seen of the store.
  std::string seen() {
    std::ostringstream text;
    ListQuery everything;
    everything.limit = 1000;
    const TokenPage tokens = world.store->list(Actor::host(), everything).value();
    for (const TokenInfo& token : tokens.tokens) {
      text << token.id << ' ' << token.owner << ' ' << static_cast<int>(token.state) << ' ' << token.expires_at << ' '
           << token.revoked_at.value_or(-1) << '\n';
    }
    const OwnerPage owners = world.store->list_owners(Actor::host()).value();
    for (const OwnerInfo& owner : owners.owners) {
      text << owner.owner << ' ' << owner.settings.may_issue << owner.settings.may_use << ' '
           << owner.suspended_at.value_or(-1) << '\n';
    }
    const Policy policy = world.store->policy(Actor::host()).value();
    text << policy.tokens_enabled << policy.users_may_issue << policy.never_allowed << '\n';
    return text.str();
  }

  World world;
  test::Kept alive;
  test::Kept second;
  test::Kept ended;
  test::Kept bobs;
};

struct Operation {
  const char* name;
  std::function<Status(Scene&)> run;
  /// Works in more than one commit: an error may come after some of them.
  bool in_steps = false;
  /// What it answers once it is done. It may have been: forgetting needs no memory, and is no reason to fail.
  Status again = Status::ok;
};

const std::vector<Operation>& operations() {
  static const Actor host = Actor::host();
  static const std::vector<Operation> all = {
      {"issue", [](Scene& s) { return s.world.store->issue(host, {.owner = "alice", .scopes = {"read"}}).status(); }},
      {"issue for a new owner",
       [](Scene& s) { return s.world.store->issue(host, {.owner = "carol", .scopes = {"read"}}).status(); }},
      {"issue many",
       [](Scene& s) {
         const std::vector<IssueRequest> three(3, {.owner = "alice", .description = std::string(100, 'd')});
         return s.world.store->issue_many(host, three).status();
       }},
      {"get", [](Scene& s) { return s.world.store->get(host, s.alive.id).status(); }},
      {"list", [](Scene& s) { return s.world.store->list(host, {}).status(); }},
      {"count", [](Scene& s) { return s.world.store->count(host).status(); }},
      {"expire", [](Scene& s) { return s.world.store->expire(host, s.alive.id).status(); }},
      {"revoke", [](Scene& s) { return s.world.store->revoke(host, s.alive.id, "because").status(); }},
      {"revoke all", [](Scene& s) { return s.world.store->revoke_all(host, "alice").status(); }, true},
      {"remove", [](Scene& s) { return s.world.store->remove(host, s.alive.id).status(); }, false, Status::not_found},
      {"owner", [](Scene& s) { return s.world.store->owner(host, "alice").status(); }},
      {"list owners", [](Scene& s) { return s.world.store->list_owners(host).status(); }},
      {"set owner", [](Scene& s) { return s.world.store->set_owner(host, "alice", {.may_issue = false}).status(); }},
      {"suspend", [](Scene& s) { return s.world.store->suspend(host, "alice", "because").status(); }},
      {"resume", [](Scene& s) { return s.world.store->resume(host, "alice").status(); }},
      {"policy", [](Scene& s) { return s.world.store->policy(host).status(); }},
      {"set policy", [](Scene& s) { return s.world.store->set_policy(host, {.users_may_issue = false}).status(); }},
      {"purge", [](Scene& s) { return s.world.store->purge(host, s.world.clock->wall()).status(); }, true},
      {"check", [](Scene& s) { return s.world.store->check(host).status(); }},
      {"maintain", [](Scene& s) { return s.world.store->maintain().status(); }},
      {"a second workspace",
       [](Scene& s) {
         return TokenStore::open(s.world.backend, test::one_key(), s.world.options("another")).status();
       }},
  };
  return all;
}

}  // namespace

TEST_CASE("without memory an operation fails as a whole, and the store goes on") {
  long faults = 0;
  for (const Operation& operation : operations()) {
    for (const bool onwards : {false, true}) {
      for (long nth = 1;; ++nth) {
        Scene scene(nth % 2 == 0 ? 0 : std::size_t{1} << 20);
        const std::string before = scene.seen();
        Status status = Status::out_of_memory;
        const bool struck = test::with_fault(nth, onwards, [&] {
          try {
            status = operation.run(scene);
          } catch (const std::bad_alloc&) {
          }
        });
        INFO(operation.name << ", allocation " << nth << (onwards ? " and all after it" : ""));
        if (!struck) {
          CHECK(status == Status::ok);
          break;
        }
        ++faults;
        CHECK((status == Status::out_of_memory || status == Status::ok));
        if (status != Status::ok && !operation.in_steps) CHECK(scene.seen() == before);
        // Whatever it was, what is denied stays denied, and another owner's token is as good as it was.
        CHECK(scene.world.ask(scene.ended) != Reason::none);
        CHECK(scene.world.ask(scene.bobs) == Reason::none);
        CHECK(operation.run(scene) == (status == Status::ok ? operation.again : Status::ok));
        if (std::string(operation.name) == "remove") CHECK(scene.world.ask(scene.alive) == Reason::unknown);
        if (std::string(operation.name) == "revoke all") {
          CHECK(scene.world.ask(scene.alive) == Reason::revoked);
          CHECK(scene.world.ask(scene.second) == Reason::revoked);
        }
      }
    }
  }
  CHECK(faults > 500);  // a fault that never strikes would prove nothing
}

TEST_CASE("without memory a validation is right or unavailable, and never throws") {
  for (const std::size_t cache : test::cache_sizes()) {
    for (const bool onwards : {false, true}) {
      int unavailable = 0;
      for (long nth = 1;; ++nth) {
        Scene scene(cache == 0 ? 0 : std::size_t{1} << 20);
        const auto fresh = scene.world.issue("alice");
        REQUIRE(scene.world.store->revoke(Actor::host(), scene.alive.id).ok());
        Outcome of_fresh = Outcome::invalid;
        Outcome of_revoked = Outcome::valid;
        const bool struck = test::with_fault(nth, onwards, [&] {
          of_fresh = scene.world.store->validate(fresh.text, Demand("read")).outcome();
          of_revoked = scene.world.store->validate(scene.alive.text, Demand("read")).outcome();
        });
        INFO("cache " << cache << ", allocation " << nth);
        CHECK(of_fresh != Outcome::invalid);
        CHECK(of_revoked != Outcome::valid);
        if (of_fresh == Outcome::unavailable) ++unavailable;
        CHECK(scene.world.ask(fresh) == Reason::none);
        CHECK(scene.world.ask(scene.alive) == Reason::revoked);
        if (!struck) break;
      }
      CHECK(unavailable > 0);
    }
  }
}

TEST_CASE("revoke all that runs out of memory half-way has revoked some, and finishes when asked again") {
  bool saw_some = false;
  for (long nth = 1;; ++nth) {
    World world;
    std::vector<test::Kept> tokens;
    // More than are revoked in one commit.
    const std::vector<IssueRequest> many(700, IssueRequest{.owner = "alice", .scopes = {"read"}});
    const std::vector<Issued> issued = world.store->issue_many(Actor::host(), many).value();
    for (const Issued& token : issued) {
      tokens.push_back({std::string(token.text.reveal()), token.info.id});
    }
    const bool struck = test::with_fault(nth * 397, false, [&] {
      try {
        (void)world.store->revoke_all(Actor::host(), "alice").ok();
      } catch (const std::bad_alloc&) {
      }
    });
    const std::uint64_t left = world.store->count(Actor::host(), "alice").value().active;
    if (left > 0 && left < tokens.size()) saw_some = true;
    CHECK(world.store->revoke_all(Actor::host(), "alice").value() == left);
    CHECK(world.ask(tokens.front()) == Reason::revoked);
    CHECK(world.ask(tokens.back()) == Reason::revoked);
    if (!struck) break;
  }
  CHECK(saw_some);
}

TEST_CASE("without memory for the line that says why, the line before it stays") {
  World world;
  const auto token = world.issue("alice");
  const std::string first(200, 'f');
  const std::string second(200, 's');
  const std::string* line = &first;
  world.backend->fail = [&](Call call) -> std::optional<Error> {
    if (call != Call::load_token) return std::nullopt;
    return Error(Status::unavailable, *line);
  };
  REQUIRE(world.ask(token) == Reason::storage);
  line = &second;
  int kept = 0;
  for (long nth = 1;; ++nth) {
    Verdict verdict;
    const bool struck =
        test::with_fault(nth, true, [&] { world.store->validate(token.text, Demand("read"), verdict); });
    CHECK(verdict.outcome() == Outcome::unavailable);
    const std::string now = world.store->why_unavailable()->error.message();
    INFO("allocation " << nth);
    CHECK((now == first || now == second || !struck || now.find("no memory is left") != std::string::npos));
    kept += now == first ? 1 : 0;
    if (!struck) {
      CHECK(now == second);
      break;
    }
  }
  CHECK(kept > 0);
}
