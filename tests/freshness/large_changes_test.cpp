/// The cost of a change is that change's, not the cache's: large batches make nobody forget what they do not name.
#include <catch2/catch.hpp>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::Kept;
using test::World;

namespace {

const Actor host = Actor::host();

struct Hot {
  World world{StoreOptions{}.cache_bytes, memory_backend()};
  std::unique_ptr<TokenStore> other = world.open();
  std::vector<Kept> tokens;

  explicit Hot(int count) {
    for (int number = 0; number < count; ++number) {
      tokens.push_back(world.issue(IssueRequest{.owner = "owner" + std::to_string(number % 50),
                                                .scopes = {"read"},
                                                .lifetime = Lifetime::millis(1'000'000)}));
    }
    ask_all();
  }
  void ask_all() const {
    for (const Kept& token : tokens) REQUIRE(World::ask(*other, token) == Reason::none);
  }
  /// Share of the next answers of the other store that came from memory, in each thousand.
  std::uint64_t hits_in_a_thousand(const std::function<bool()>& change_a_part) const {
    ask_all();
    const Statistics before = other->statistics();
    for (bool more = true; more;) {
      more = change_a_part();
      ask_all();
    }
    const Statistics after = other->statistics();
    const std::uint64_t hits = after.hits - before.hits;
    CHECK(after.dropped_all == before.dropped_all);
    CHECK(after.catch_ups > before.catch_ups);
    return hits * 1000 / (hits + after.misses - before.misses);
  }
};

}  // namespace

TEST_CASE("a purge of many tokens makes nobody forget the others") {
  Hot hot(500);
  std::vector<IssueRequest> short_lived(20'000, IssueRequest{.owner = "gone", .lifetime = Lifetime::millis(1)});
  REQUIRE(hot.world.store->issue_many(host, short_lived).ok());
  hot.world.clock->advance(10);
  // Time passes with each commit, so that the purge comes in slices.
  hot.world.backend->before = [&](test::Call call) {
    if (call == test::Call::commit) hot.world.clock->advance(2);
  };
  int slices = 0;
  CHECK(hot.hits_in_a_thousand([&] {
    const auto purged = hot.world.store->purge(host, hot.world.clock->wall(), std::chrono::milliseconds(1)).value();
    ++slices;
    return !purged.complete;
  }) >= 990);
  CHECK(slices > 20);
}

TEST_CASE("revoking all that one owner has makes nobody forget the others") {
  Hot hot(500);
  std::vector<IssueRequest> many(3'000, IssueRequest{.owner = "leaver", .scopes = {"read"}});
  REQUIRE(hot.world.store->issue_many(host, many).ok());
  int calls = 0;
  CHECK(hot.hits_in_a_thousand([&] {
    REQUIRE(hot.world.store->revoke_all(host, "leaver").ok());
    return ++calls < 10;
  }) >= 990);
}

TEST_CASE("issuing many tokens at once makes nobody forget any") {
  Hot hot(500);
  const std::vector<IssueRequest> many(1'000, IssueRequest{.owner = "owner7", .scopes = {"read"}});
  const Statistics before = hot.other->statistics();
  for (int round = 0; round < 10; ++round) {
    REQUIRE(hot.world.store->issue_many(host, many).ok());
    hot.ask_all();
  }
  const Statistics after = hot.other->statistics();
  CHECK(after.misses == before.misses);
  CHECK(after.dropped_all == before.dropped_all);
}

TEST_CASE("the control: what names everything makes everybody look again") {
  Hot hot(500);
  const Statistics before = hot.other->statistics();
  REQUIRE(hot.world.store->set_policy(host, {.most_active_per_owner = 9'000}).ok());
  hot.ask_all();
  CHECK(hot.other->statistics().misses - before.misses == 500);
}
