/// Sealing anew in slices: where a call stops, the next goes on; what is not genuine is left and counted.
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::Call;
using test::World;

namespace {

const Actor host = Actor::host();
constexpr int many = 450;

Keyring second_key() {
  Keyring keyring;
  REQUIRE(keyring.add("0A", KeyUse::verify_only, test::master_key(1)).ok());
  REQUIRE(keyring.add("0B", KeyUse::active, test::master_key(2)).ok());
  return keyring;
}

std::string numbered(const std::string& name, int number) {
  return name + std::to_string(1000 + number);
}

/// As many owners with a token each.
void fill(World& world, int owners) {
  std::vector<IssueRequest> requests;
  for (int number = 0; number < owners; ++number) {
    requests.push_back({.owner = numbered("owner", number), .scopes = {"read"}});
  }
  REQUIRE(world.store->issue_many(host, requests).ok());
}

}  // namespace

TEST_CASE("resealing stops between slices when its time is over, and goes on from its cursor to the end") {
  World world;
  fill(world, many);
  const auto rotated = world.open(second_key());
  // Every look at a slice takes longer than the budget.
  world.backend->before = [&](Call call) {
    if (call == Call::list_owners || call == Call::list_tokens) world.clock->advance(5);
  };
  std::string cursor;
  std::uint64_t resealed = 0;
  std::vector<char> walks;
  do {
    const auto some = rotated->reseal(host, cursor, std::chrono::milliseconds(5)).value();
    CHECK(some.refused == 0);
    CHECK(some.kept == 0);
    resealed += some.resealed;
    cursor = some.next;
    if (!cursor.empty()) walks.push_back(cursor.front());
  } while (!cursor.empty());
  // 450 in slices of 200: two stops among the owners; the last slice of theirs and each of the tokens' but the last.
  CHECK(walks == std::vector<char>{'o', 'o', 'c', 'c'});
  CHECK(resealed == 2 + 2 * many);
  // With time enough one call does all, and finds it done.
  world.backend->before = nullptr;
  const auto again = rotated->reseal(host, {}, std::chrono::milliseconds(5)).value();
  CHECK(again.next.empty());
  CHECK(again.kept == 2 + 2 * many);
  CHECK(rotated->check(host).value().problem_count == 0);
}

TEST_CASE("resealing refuses a cursor that is none, no time, a user and a store that is only read") {
  World world;
  fill(world, 1);
  const std::string id = world.issue().id;
  for (const std::string& cursor :
       {std::string("x"), std::string("c"), std::string("c1"), std::string("o1"), "c3" + id, "d1" + id, "c1" + id + "0",
        std::string("c1owner"), std::string("o1a\n"), std::string("c2"), std::string("c20"), std::string("c20g"),
        std::string("c2g0"), std::string("c2/0"), std::string("c2:0"), std::string("c2`0"), std::string("c2A0"),
        "o2" + std::string(604, '0')}) {
    CAPTURE(cursor);
    CHECK(world.store->reseal(host, cursor).status() == Status::invalid_argument);
  }
  for (const std::string& cursor :
       {"c1" + id, std::string("o1alice"), std::string("c200"), std::string("o2af09"), "o2" + std::string(602, '0')}) {
    CAPTURE(cursor);
    CHECK(world.store->reseal(host, cursor).ok());
  }
  // Behind the last owner there are tokens only, behind the lowest token nothing.
  CHECK(world.store->reseal(host, "o1zz")->kept == 2);
  CHECK(world.store->reseal(host, "c200")->kept == 0);
  CHECK(world.store->reseal(host, {}, std::chrono::milliseconds(0)).status() == Status::invalid_argument);
  CHECK(world.store->reseal(host, {}, std::chrono::milliseconds(1)).ok());
  CHECK(world.store->reseal(Actor::user("alice")).status() == Status::permission_denied);
  world.backend->only_reads = true;
  CHECK(world.store->reseal(host).status() == Status::read_only);
}

TEST_CASE("resealing leaves what is not genuine as it is, and counts it") {
  World world;
  const auto token = world.issue("alice");
  world.issue("bob");
  TokenRecord changed = world.stored(token.id);
  changed.scopes = "admin";
  world.smuggle(changed, changed.revision++);
  OwnerRecord owner = world.stored_owner("bob");
  owner.revoke_all_count = 7;
  world.smuggle(owner, owner.revision++);
  const auto rotated = world.open(second_key());
  const TokenRecord before = world.stored(token.id);
  auto done = rotated->reseal(host).value();
  CHECK(done.resealed == 4);
  CHECK(done.refused == 2);
  CHECK(done.kept == 0);
  CHECK(world.stored(token.id).seal == before.seal);
  CHECK(world.stored(token.id).seal_key_id == "0A");
  // The same for the records of workspace and store, as storage may answer them later.
  world.backend->alter_workspace = [](std::optional<WorkspaceRecord>& record) { record->tokens_enabled = false; };
  world.backend->alter_store = [](std::optional<StoreRecord>& record) { record->id[0] ^= 1; };
  done = rotated->reseal(host).value();
  CHECK(done.refused == 4);
  CHECK(done.kept == 2);
  world.backend->alter_workspace = [](std::optional<WorkspaceRecord>& record) { record.reset(); };
  world.backend->alter_store = [](std::optional<StoreRecord>& record) { record.reset(); };
  done = rotated->reseal(host).value();
  CHECK(done.refused == 2);
  CHECK(done.kept == 2);
}

TEST_CASE("resealing tries a slice again that somebody changed meanwhile, and counts each record once") {
  World world;
  fill(world, 3);
  const auto rotated = world.open(second_key());
  int races = 0;
  world.backend->before = [&](Call call) {
    if (call != Call::commit || races > 0) return;
    ++races;
    // Between the reading of the settings and their commit.
    REQUIRE(world.store->set_policy(host, {.most_active_per_owner = 9}).ok());
  };
  const auto done = rotated->reseal(host).value();
  CHECK(races == 1);
  CHECK(done.resealed == 2 + 2 * 3);
  CHECK(done.kept == 0);
  CHECK(rotated->policy(host)->most_active_per_owner == 9);
}
