/// What check() reads, counts and names, and that it can be stopped.
#include <algorithm>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

const Actor host = Actor::host();
constexpr std::uint64_t a_page = 1000;

/// More owners, with a token each, than are read at once.
void fill(World& world, std::uint64_t owners) {
  std::vector<IssueRequest> requests;
  for (std::uint64_t number = 0; number < owners; ++number) {
    requests.push_back({.owner = "owner" + std::to_string(number), .scopes = {"read"}});
  }
  REQUIRE(world.store->issue_many(host, requests).ok());
}

bool names(const CheckReport& report, std::string_view words) {
  return std::any_of(report.problems.begin(), report.problems.end(),
                     [&](const std::string& line) { return line.find(words) != std::string::npos; });
}

}  // namespace

TEST_CASE("a check reads every page, tells how far it is and can be stopped after any") {
  World world;
  fill(world, a_page + 1);
  std::vector<std::uint64_t> told;
  const auto report = world.store->check(host, [&](std::uint64_t done, std::uint64_t) {
    told.push_back(done);
    return true;
  });
  REQUIRE(report.ok());
  CHECK(report->owners == a_page + 1);
  CHECK(report->tokens == a_page + 1);
  CHECK(report->problem_count == 0);
  REQUIRE(report->keys.size() == 1);
  CHECK(report->keys[0].seals == 2 + 2 * (a_page + 1));
  CHECK(report->keys[0].living_tokens == a_page + 1);
  REQUIRE(told.size() >= 3);
  CHECK(told[0] == a_page);
  CHECK(told[1] == 2 * a_page + 1);
  CHECK(told[2] == 2 * a_page + 2);
  for (std::size_t stop = 0; stop < 3; ++stop) {
    std::size_t asked = 0;
    const auto stopped = world.store->check(host, [&](std::uint64_t, std::uint64_t) { return asked++ != stop; });
    CHECK(stopped.status() == Status::conflict);
    CHECK(asked == stop + 1);
  }
}

TEST_CASE("a check counts every problem, and has a line for the first thousand") {
  World world;
  fill(world, a_page + 1);
  world.backend->alter_list = [](TokenList& list) {
    for (TokenRecord& record : list.tokens) record.scopes += "x";
  };
  const auto report = world.store->check(host).value();
  CHECK(report.problem_count == a_page + 1);
  CHECK(report.problems.size() == a_page);
  CHECK(report.keys[0].living_tokens == 0);
}

TEST_CASE("a check names records of store and workspace that are missing, changed or another's") {
  World world;
  world.issue("alice");
  struct Case {
    const char* words;
    std::function<void(std::optional<StoreRecord>&)> store;
    std::function<void(std::optional<WorkspaceRecord>&)> workspace;
  };
  World elsewhere;
  const StoreRecord other_store = elsewhere.backend->inner().load_store().value().value();
  const auto another = world.open(test::one_key(), "another");
  const WorkspaceRecord other_workspace = world.stored_workspace("another");
  const Case cases[] = {
      {"the record of the store is missing", [](auto& record) { record.reset(); }, {}},
      {"the record of the store has a seal that does not verify", [](auto& record) { ++record->created_at; }, {}},
      {"the record of the store is another store's", [&](auto& record) { record = other_store; }, {}},
      {"the record of the workspace is missing", {}, [](auto& record) { record.reset(); }},
      {"the record of the workspace has a seal that does not verify", {}, [](auto& record) { ++record->created_at; }},
      {"the record of the workspace is another one's", {}, [&](auto& record) { record = other_workspace; }},
  };
  for (const Case& one : cases) {
    world.backend->alter_store = one.store;
    world.backend->alter_workspace = one.workspace;
    const auto report = world.store->check(host).value();
    CAPTURE(one.words);
    CHECK(report.problem_count == 1);
    CHECK(names(report, one.words));
  }
}

TEST_CASE("a check passes on what the storage finds in itself, and needs no change feed") {
  World world;
  world.issue("alice");
  world.backend->alter_integrity = [](std::vector<std::string>& lines) { lines.emplace_back("page 7 is torn"); };
  world.backend->alter_changes = [](Changes& changes) { changes.everything = true; };
  const auto report = world.store->check(host).value();
  CHECK(report.problem_count == 1);
  CHECK(names(report, "storage: page 7 is torn"));
}

TEST_CASE("a check believes a feed that begins late from its first entry on, and no later than its head") {
  World world;
  for (int change = 0; change < 5; ++change) REQUIRE(world.store->set_policy(host, {}).ok());
  const auto trimmed = [&](auto more) {
    world.backend->alter_changes = [=](Changes& changes) {
      changes.complete_from = 2;
      if (changes.entries.size() < 2) return;
      changes.entries.erase(changes.entries.begin(), changes.entries.begin() + 2);
      more(changes);
    };
    return world.store->check(host).value().problem_count;
  };
  // The backend is asked from revision 2 on, and has been told nothing of the trimming.
  world.backend->alter_changes = [](Changes& changes) { changes.complete_from = 2; };
  CHECK(world.store->check(host).value().problem_count == 0);
  CHECK(trimmed([](Changes&) {}) == 1);
  for (const std::size_t at : {std::size_t{0}, std::size_t{1}}) {
    world.backend->alter_changes = [=](Changes& changes) {
      changes.complete_from = 2;
      if (changes.entries.size() > 2) changes.entries[at + 1].link[5] ^= 1;
    };
    CHECK(world.store->check(host).value().problem_count == 1);
  }
  world.backend->alter_changes = [](Changes& changes) {
    changes.complete_from = 2;
    ++changes.revision;
  };
  CHECK(world.store->check(host).value().problem_count == 1);
  world.backend->alter_changes = [](Changes& changes) {
    changes.complete_from = 2;
    changes.link[0] ^= 1;
  };
  CHECK(world.store->check(host).value().problem_count == 1);
  // Nothing announced since: the head alone is there, and nothing to compare it with.
  world.backend->alter_changes = [](Changes& changes) {
    changes.complete_from = changes.revision;
    changes.entries.clear();
  };
  CHECK(world.store->check(host).value().problem_count == 0);
}

TEST_CASE("living tokens of a key are those that are active or pending and not revoked with the rest") {
  World world;
  world.issue("alice");
  world.issue({.owner = "alice", .scopes = {"read"}, .not_before = world.store->now() + 1'000});
  const auto revoked = world.issue("alice");
  REQUIRE(world.store->revoke(host, revoked.id).ok());
  const auto expired = world.issue("alice");
  REQUIRE(world.store->expire(host, expired.id).ok());
  CHECK(world.store->check(host)->keys[0].living_tokens == 2);
  world.issue("bob");
  REQUIRE(world.store->revoke_all(host, "bob").ok());
  CHECK(world.store->check(host)->keys[0].living_tokens == 2);
}
