/// A purge of much, while others work.
#include <atomic>
#include <chrono>
#include <thread>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

TEST_CASE("a purge of 50,000 stalls nobody: every issue meanwhile succeeds") {
  World world;
  std::vector<IssueRequest> many(10'000, IssueRequest{.owner = "alice"});
  for (IssueRequest& request : many) request.lifetime = Lifetime::millis(1);
  for (int i = 0; i < 5; ++i) REQUIRE(world.store->issue_many(Actor::host(), many).ok());
  world.clock->advance(2);
  std::atomic<bool> purging{true};
  std::uint64_t issued = 0;
  std::uint64_t failed = 0;
  std::thread other([&] {
    while (purging) {
      const auto token = world.store->issue(Actor::host(), {.owner = "alice", .scopes = {"read"}});
      ++(token.ok() && world.store->validate(token->text.reveal(), Demand("read")).valid() ? issued : failed);
    }
  });
  const auto result = world.store->purge(Actor::host(), world.store->now(), std::chrono::milliseconds::max());
  purging = false;
  other.join();
  CHECK(result.value().complete);
  CHECK(result.value().removed == 50'000);
  CHECK(failed == 0);
  CHECK(issued > 0);
  CHECK(world.store->count(Actor::host()).value().active == issued);
}
