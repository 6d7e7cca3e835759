/// What only comes about where storage lies, fails in the second step, or the clock moves in the middle of a call.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <new>
#include <thread>
#include <tuple>

#include "store/rules.hpp"
#include "support/seeded_random.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::Call;
using test::World;

namespace {

const Actor host = Actor::host();

/// From the n-th commit on every commit fails.
void fail_commits_from(World& world, int number) {
  world.backend->fail = [number, commits = 0](Call call) mutable -> std::optional<Error> {
    if (call != Call::commit || ++commits < number) return std::nullopt;
    return Error(Status::unavailable, "the disk is on fire");
  };
}

bool names(const CheckReport& report, std::string_view words) {
  return std::any_of(report.problems.begin(), report.problems.end(),
                     [&](const std::string& line) { return line.find(words) != std::string::npos; });
}

}  // namespace

TEST_CASE("an ending of what was changed or removed outside, which nobody else can be told of, is told and denies") {
  for (const std::size_t cache : test::cache_sizes()) {
    for (const bool removed : {false, true}) {
      World world(cache);
      const auto token = world.issue("alice");
      REQUIRE(world.ask(token) == Reason::none);
      TokenRecord record = world.stored(token.id);
      const auto alter = [&](std::optional<TokenRecord>& answer) {
        if (removed) {
          answer.reset();
        } else if (answer) {
          answer->scopes += " admin";
        }
      };
      world.backend->alter_token = alter;
      fail_commits_from(world, 1);
      CHECK(world.store->revoke(host, token.id).status() == Status::unavailable);
      CHECK(world.store->expire(host, token.id).status() == Status::unavailable);
      if (removed) CHECK(world.store->remove(host, token.id).status() == Status::unavailable);
      world.backend->fail = nullptr;
      world.backend->alter_token = nullptr;
      CHECK(world.ask(token) == Reason::revoked);
    }
  }
}

TEST_CASE("revoking all of an owner who has no record tells whoever remembers them, or says that it could not") {
  World world;
  const auto token = world.issue("alice");
  REQUIRE(world.ask(token) == Reason::none);
  world.backend->alter_owner = [](std::optional<OwnerRecord>& record) { record.reset(); };
  world.backend->fail = [](Call call) -> std::optional<Error> {
    if (call == Call::list_tokens) return Error(Status::unavailable, "the disk is on fire");
    return std::nullopt;
  };
  CHECK(world.store->revoke_all(host, "alice").status() == Status::unavailable);
  fail_commits_from(world, 1);
  CHECK(world.store->revoke_all(host, "alice").status() == Status::unavailable);
  CHECK(world.store->revoke_all(host, "nobody").status() == Status::unavailable);
  world.backend->fail = nullptr;
  const std::uint64_t before = world.backend->calls(Call::commit);
  CHECK(world.store->revoke_all(host, "nobody").status() == Status::not_found);
  CHECK(world.backend->calls(Call::commit) == before + 1);
  // A user must not be able to make everybody look at everything.
  CHECK(world.store->revoke_all(Actor::user("nobody"), "nobody").status() == Status::not_found);
  CHECK(world.backend->calls(Call::commit) == before + 1);
  world.backend->alter_owner = nullptr;
  CHECK(world.ask(token) == Reason::revoked);
}

TEST_CASE("settings of an owner whose record was changed cannot be made, and it is said if nobody could be told") {
  World world;
  world.issue("alice");
  world.backend->alter_owner = [](std::optional<OwnerRecord>& record) {
    if (record) record->may_use = !record->may_use;
  };
  CHECK(world.store->suspend(host, "alice").status() == Status::tampered);
  fail_commits_from(world, 1);
  CHECK(world.store->suspend(host, "alice").status() == Status::unavailable);
}

TEST_CASE("a name that is none has no settings") {
  World world;
  const std::string longer(owner_max + 1, 'o');
  for (const std::string& owner : {std::string(), longer, std::string("a\nb")}) {
    CHECK(world.store->owner(host, owner).status() == Status::invalid_argument);
    CHECK(world.store->suspend(host, owner).status() == Status::invalid_argument);
    CHECK(world.store->revoke_all(host, owner).status() == Status::invalid_argument);
  }
}

TEST_CASE("an end in the future that has gone by while the record was read changes nothing") {
  World world;
  const auto token = world.issue({.owner = "alice", .scopes = {"read"}, .lifetime = Lifetime::millis(1'000)});
  const UnixMillis end = world.store->get(host, token.id)->expires_at;
  world.backend->before = [&](Call call) {
    if (call == Call::load_token) world.clock->advance(2'000);
  };
  const auto info = world.store->expire(host, token.id, world.clock->wall() + 500);
  world.backend->before = nullptr;
  REQUIRE(info.ok());
  CHECK(info->expires_at == end);
  CHECK(world.stored(token.id).expires_at == end);
  CHECK(world.ask(token) == Reason::expired);
}

TEST_CASE("no tokens are what is issued where none was asked for, and a user counts nobody else's") {
  World world;
  world.issue("bob");
  const std::uint64_t commits = world.backend->calls(Call::commit);
  const auto none = world.store->issue_many(host, {});
  REQUIRE(none.ok());
  CHECK(none->empty());
  CHECK(world.backend->calls(Call::commit) == commits);
  const Actor alice = Actor::user("alice");
  CHECK(world.store->count(alice, "bob")->active == 0);
  world.issue("alice");
  CHECK(world.store->count(alice, "alice")->active == 1);
  CHECK(world.store->count(alice)->active == 1);
  CHECK(world.store->count(host, "bob")->active == 1);
}

TEST_CASE("more tokens at once than a cap allows are refused, also for an owner who has none") {
  World world;
  Policy policy;
  policy.most_active_per_owner = 2;
  world.set_policy(policy);
  const std::vector<IssueRequest> three(3, {.owner = "alice", .scopes = {"read"}});
  CHECK(world.store->issue_many(host, three).status() == Status::refused);
  CHECK(world.store->count(host, "alice")->active == 0);
  CHECK(world.store->issue_many(host, std::span(three).first(2)).ok());
}

TEST_CASE("lists of owners that say there is more and show none come to their end") {
  World world;
  world.issue("alice");
  world.backend->alter_owners = [](OwnerList& list) {
    list.owners.clear();
    list.more = true;
  };
  CHECK(world.store->list_owners(host)->next.empty());
  const auto report = world.store->check(host);
  REQUIRE(report.ok());
  CHECK(report->owners == 0);
  const auto resealed = world.store->reseal(host, {}, std::chrono::seconds(10));
  REQUIRE(resealed.ok());
  CHECK(resealed->next.empty());
}

TEST_CASE("a list of owners goes on behind a name that nobody can give, the empty one among them") {
  World world;
  world.issue("alice");
  world.issue("bob");
  world.backend->alter_owners = [](OwnerList& list) {
    if (list.owners.empty()) return;
    list.owners.resize(1);
    if (list.owners[0].owner == "alice") list.owners[0].owner = "";
    list.more = true;
  };
  const OwnerPage first = world.store->list_owners(host, {}, 1).value();
  CHECK(first.owners.empty());
  REQUIRE_FALSE(first.next.empty());
  world.backend->alter_owners = nullptr;
  const OwnerPage rest = world.store->list_owners(host, first.next).value();
  REQUIRE(rest.owners.size() == 2);
  CHECK(rest.owners[0].owner == "alice");
}

TEST_CASE("a token is denied whose owner's record was put back to before everything was revoked, and check names it") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto before = world.issue("alice");
    const OwnerRecord old = world.stored_owner("alice");
    REQUIRE(world.store->revoke_all(host, "alice").ok());
    const auto after = world.issue("alice");
    REQUIRE(world.ask(after) == Reason::none);
    world.smuggle(old, world.stored_owner("alice").revision);
    CHECK(world.ask(after) == Reason::tampered);
    CHECK(world.ask(before) == Reason::revoked);
    const auto report = world.store->check(host).value();
    CHECK(names(report, "belongs to a record of its owner that was removed or put back"));
    CHECK(report.keys[0].living_tokens == 0);
  }
}

TEST_CASE("what is revoked by its owner's count alone lives no more for a check") {
  World world;
  world.issue("alice");
  world.issue("bob");
  // The count is written, the marks of the tokens are not.
  fail_commits_from(world, 2);
  CHECK_FALSE(world.store->revoke_all(host, "alice").ok());
  world.backend->fail = nullptr;
  const auto report = world.store->check(host).value();
  CHECK(report.problem_count == 0);
  CHECK(report.keys[0].living_tokens == 1);
}

TEST_CASE("a check reads an owner once more who has changed since the owners were read, and names one who is gone") {
  World world;
  world.issue("alice");
  const auto hide = [](OwnerList& list) { list.owners.clear(); };
  world.backend->alter_owners = hide;
  CHECK(world.store->check(host)->problem_count == 0);
  world.backend->alter_owner = [](std::optional<OwnerRecord>& record) { record.reset(); };
  CHECK(names(world.store->check(host).value(), "has no genuine record of its owner"));
  world.backend->alter_owner = nullptr;
  world.backend->fail = [](Call call) -> std::optional<Error> {
    if (call == Call::load_owner) return Error(Status::unavailable, "the disk is on fire");
    return std::nullopt;
  };
  CHECK(names(world.store->check(host).value(), "has no genuine record of its owner"));
}

TEST_CASE("a workspace is not made over anything that was in it, whichever part of it shows") {
  for (const bool tokens_show : {false, true}) {
    World world;
    world.issue("alice");
    world.backend->alter_workspace = [](std::optional<WorkspaceRecord>& record) { record.reset(); };
    if (tokens_show) {
      world.backend->alter_owners = [](OwnerList& list) { list.owners.clear(); };
    } else {
      world.backend->alter_list = [](TokenList& list) { list.tokens.clear(); };
    }
    CHECK(TokenStore::open(world.backend, test::one_key(), world.options()).status() == Status::tampered);
  }
  // A list that found nothing yet and would go on shows something too.
  World world;
  world.backend->alter_workspace = [](std::optional<WorkspaceRecord>& record) { record.reset(); };
  world.backend->alter_list = [](TokenList& list) { list.next_before_id = "0000000000000001"; };
  CHECK(TokenStore::open(world.backend, test::one_key(), world.options()).status() == Status::tampered);
}

TEST_CASE("workspaces without the record of their store are not opened, whether or not it is one of them") {
  World world;
  for (const char* name : {"default", "another"}) {
    world.backend->alter_store = [](std::optional<StoreRecord>& record) { record.reset(); };
    CHECK(TokenStore::open(world.backend, test::one_key(), world.options(name)).status() == Status::tampered);
  }
}

TEST_CASE("the settings of another workspace open no store") {
  World world;
  const auto other = world.open(test::one_key(), "another");
  const WorkspaceRecord another = world.stored_workspace("another");
  world.backend->alter_workspace = [&](std::optional<WorkspaceRecord>& record) { record = another; };
  CHECK(TokenStore::open(world.backend, test::one_key(), world.options()).status() == Status::wrong_key);
}

TEST_CASE("the random source that a host gives makes the births of what is new, and the tokens") {
  const auto opened = [](std::uint64_t seed) {
    StoreOptions options;
    options.random = std::make_shared<test::SeededRandom>(seed);
    options.clock = std::make_shared<test::FakeClock>();
    auto backend = memory_backend();
    auto store = TokenStore::open(backend, test::one_key(), std::move(options));
    REQUIRE(store.ok());
    const auto token = World::issue(**store, {.owner = "alice", .scopes = {"read"}});
    return std::tuple(backend->load_store().value()->id, backend->load_workspace("default").value()->birth, token.text);
  };
  CHECK(opened(7) == opened(7));
  CHECK(std::get<0>(opened(7)) != std::get<0>(opened(8)));
  CHECK(std::get<1>(opened(7)) != std::get<1>(opened(8)));
}

TEST_CASE("a workspace whose record goes missing under an open store is named in every change of settings") {
  World world;
  world.backend->alter_workspace = [](std::optional<WorkspaceRecord>& record) { record.reset(); };
  CHECK(world.store->policy(host).status() == Status::tampered);
  CHECK(world.store->set_policy(host, {}).status() == Status::tampered);
  World elsewhere;
  const WorkspaceRecord reborn = elsewhere.stored_workspace();
  world.backend->alter_workspace = [&](std::optional<WorkspaceRecord>& record) { record = reborn; };
  CHECK(world.store->policy(host).status() == Status::tampered);
}

TEST_CASE("a commit of which nobody knows whether it happened says so in storage's own words, or in ours") {
  World world;
  const auto token = world.issue("alice");
  world.backend->commit_outcome = [] { return CommitOutcome::unknown; };
  const auto ours = world.store->revoke(host, token.id);
  CHECK(ours.status() == Status::unknown);
  CHECK(ours.error().message() == "storage failed while committing; read to find out whether it happened");
  // Whatever status storage gives its words: nothing but "unknown" is true.
  for (const Status status : {Status::unknown, Status::unavailable, Status::ok, Status::conflict}) {
    CAPTURE(status);
    world.backend->commit_outcome = [status] {
      return test::PuppetCommit(CommitOutcome::unknown, Error(status, "the connection broke while committing"));
    };
    const auto theirs = world.store->revoke(host, token.id);
    CHECK(theirs.status() == Status::unknown);
    CHECK(theirs.error().message() == "the connection broke while committing");
  }
}

TEST_CASE(
    "a switch-off that storage refused for a reason of its own denies everything here, a refusal of ours does not") {
  World world;
  const auto token = world.issue("alice");
  CHECK(world.store->set_policy(Actor::user("alice"), {.tokens_enabled = false}).status() == Status::permission_denied);
  CHECK(world.ask(token) == Reason::none);
  world.backend->commit_outcome = [] { return CommitOutcome::conflict; };
  CHECK(world.store->set_policy(host, {.tokens_enabled = false}).status() == Status::conflict);
  world.backend->commit_outcome = nullptr;
  CHECK(world.ask(token) == Reason::none);
  for (const Status status : {Status::cannot_open, Status::not_a_store, Status::newer_schema, Status::storage_full,
                              Status::out_of_memory, Status::internal, Status::unknown, Status::unavailable}) {
    world.backend->fail = [status](Call call) -> std::optional<Error> {
      if (call == Call::commit) return Error(status, "the disk is on fire");
      return std::nullopt;
    };
    CAPTURE(status);
    CHECK(world.store->set_policy(host, {.tokens_enabled = false}).status() == status);
    world.backend->fail = nullptr;
    CHECK(world.ask(token) == Reason::revoked);
    world.set_policy({});
    CHECK(world.ask(token) == Reason::none);
  }
}

TEST_CASE("a store whose storage throws closes all the same") {
  World world(StoreOptions{}.cache_bytes);
  const auto token = world.issue("alice");
  REQUIRE(world.ask(token) == Reason::none);
  bool asked = false;
  world.backend->before = [&](Call call) {
    if (call != Call::record_uses) return;
    asked = true;
    throw std::bad_alloc();
  };
  world.store.reset();
  CHECK(asked);
}

TEST_CASE("a store that closes in the middle of writing uses, which storage then refuses, closes all the same") {
  World world(StoreOptions{}.cache_bytes);
  const std::vector<IssueRequest> many(1'500, IssueRequest{.owner = "alice", .scopes = {"read"}});
  const std::vector<Issued> issued = world.store->issue_many(host, many).value();
  for (const Issued& token : issued) REQUIRE(world.store->validate(token.text.reveal(), Demand("read")).valid());
  world.clock->advance(StoreOptions{}.use_interval.count());
  CHECK(world.store->maintain(std::chrono::milliseconds(0)).value());
  const std::uint64_t written = world.store->statistics().uses_written;
  CHECK(written < issued.size());
  const std::uint64_t asked = world.backend->calls(Call::record_uses);
  world.backend->fail = [](Call call) -> std::optional<Error> {
    if (call == Call::record_uses) return Error(Status::unavailable, "the disk is on fire");
    return std::nullopt;
  };
  world.store.reset();
  CHECK(world.backend->calls(Call::record_uses) == asked + 1);
}

TEST_CASE("a use of a token that is ended while uses are being written is written all the same, once") {
  World world(StoreOptions{}.cache_bytes);
  const std::vector<IssueRequest> many(1'500, IssueRequest{.owner = "alice", .scopes = {"read"}});
  const std::vector<Issued> issued = world.store->issue_many(host, many).value();
  for (const Issued& token : issued) REQUIRE(world.store->validate(token.text.reveal(), Demand("read")).valid());
  std::map<std::string, int> written;
  world.backend->recorded = [&](std::span<const Use> uses) {
    for (const Use& use : uses) ++written[use.id];
  };
  world.clock->advance(StoreOptions{}.use_interval.count());
  while (written.empty()) REQUIRE(world.store->maintain(std::chrono::milliseconds(0)).ok());
  REQUIRE(written.size() < issued.size());
  for (const Issued& token : issued) {
    if (written.count(token.info.id) == 0) REQUIRE(world.store->revoke(host, token.info.id).ok());
  }
  while (world.store->maintain(std::chrono::milliseconds(0)).value()) continue;
  world.clock->advance(StoreOptions{}.use_interval.count());
  while (world.store->maintain(std::chrono::milliseconds(0)).value()) continue;
  CHECK(written.size() == issued.size());
  CHECK(std::all_of(written.begin(), written.end(), [](const auto& one) { return one.second == 1; }));
}

TEST_CASE("a store that can only read closes without writing uses") {
  World world(StoreOptions{}.cache_bytes);
  REQUIRE(world.ask(world.issue("alice")) == Reason::none);
  world.backend->only_reads = true;
  CHECK_FALSE(world.store->maintain().value());
  world.store.reset();
  CHECK(world.backend->calls(Call::record_uses) == 0);
}

TEST_CASE("a lifetime that is none gives no end") {
  const auto end = rules::end_of_life(Policy{}, Lifetime::millis(-1), test::new_year_2026);
  CHECK(end.status() == Status::invalid_argument);
}

TEST_CASE("the upkeep thread outlives turns for which there was no memory, or no storage") {
  World world;
  world.store.reset();
  std::atomic<int> turns{0};
  world.backend->before = [&](Call call) {
    if (call == Call::maintain && ++turns < 3) throw std::bad_alloc();
  };
  world.backend->fail = [&](Call call) -> std::optional<Error> {
    if (call == Call::maintain && turns < 5) return Error(Status::unavailable, "the disk is on fire");
    return std::nullopt;
  };
  StoreOptions options = world.options();
  options.upkeep_thread = true;
  options.use_interval = std::chrono::milliseconds(5);
  const auto store = TokenStore::open(world.backend, test::one_key(), std::move(options));
  REQUIRE(store.ok());
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (turns < 7 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  CHECK(turns >= 7);
}
