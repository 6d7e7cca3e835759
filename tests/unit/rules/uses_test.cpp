/// Last used: shown at once, written in batches, never by a request.
#include <algorithm>
#include <thread>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::Call;
using test::World;

namespace {

constexpr std::int64_t interval = 60'000;

TokenInfo info_of(World& world, const test::Kept& token) {
  return world.store->get(Actor::host(), token.id).value();
}

std::vector<test::Kept> issue_many(World& world, std::size_t count) {
  IssueRequest request;
  request.owner = "alice";
  request.scopes = {"read"};
  std::vector<test::Kept> tokens;
  for (const Issued& issued : world.store->issue_many(Actor::host(), std::vector(count, request)).value()) {
    tokens.push_back({std::string(issued.text.reveal()), issued.info.id});
  }
  return tokens;
}

void use(World& world, const test::Kept& token, std::string_view from = {}) {
  REQUIRE(world.store->validate(token.text, Demand("read", from)).valid());
}

}  // namespace

TEST_CASE("a use shows at once in the same process, and is written after the interval") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    CHECK_FALSE(info_of(world, token).last_used_at);
    world.clock->advance(5);
    use(world, token, "192.0.2.7");
    for (const TokenInfo& shown : {info_of(world, token), world.store->list(Actor::host(), {}).value().tokens.at(0)}) {
      CHECK(shown.last_used_at == test::new_year_2026 + 5);
      CHECK(shown.last_used_from == "192.0.2.7");
    }
    REQUIRE(world.store->maintain().ok());
    CHECK(world.stored(token.id).last_used_at == 0);
    world.clock->advance(interval);
    REQUIRE(world.store->maintain().ok());
    CHECK(world.stored(token.id).last_used_at == test::new_year_2026 + 5);
    CHECK(world.stored(token.id).last_used_from == "192.0.2.7");
    CHECK(world.store->statistics().uses_written == 1);
  }
}

TEST_CASE("a store that closes writes out last uses") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    use(world, token, "2001:db8::1");
    world.store.reset();
    CHECK(world.stored(token.id).last_used_at == test::new_year_2026);
    CHECK(world.stored(token.id).last_used_from == "2001:db8::1");
  }
}

TEST_CASE("no request writes, and a token costs at most one write per interval") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    use(world, token);
    const auto commits = world.backend->calls(Call::commit);
    for (int i = 0; i < 1000; ++i) {
      use(world, token, "192.0.2.1");
      world.clock->advance(1);
    }
    CHECK(world.backend->calls(Call::commit) == commits);
    CHECK(world.backend->calls(Call::record_uses) == 0);
    for (int i = 0; i < 50; ++i) {
      use(world, token);
      REQUIRE(world.store->maintain().ok());
      world.clock->advance(interval / 10);
    }
    CHECK(world.backend->calls(Call::record_uses) <= 6);
    CHECK(world.store->statistics().uses_written <= 6);
    CHECK(world.backend->calls(Call::commit) == commits);
  }
}

TEST_CASE("what is not an address is not recorded, and no address says that none was given") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    for (const std::string address : {"192.0.2.1", "2001:db8::ff", "::ffff:192.0.2.128", "::"}) {
      use(world, token, address);
      CHECK_FALSE(info_of(world, token).last_used_from.empty());
    }
    const std::string none[] = {"",
                                "localhost",
                                "192.0.2.256",
                                "192.0.2.1:80",
                                "[::1]",
                                "fe80::1%eth0",
                                "1.2.3",
                                std::string("1.2.3.4\0", 8),
                                "' OR 1=1",
                                std::string(10'000, '1')};
    for (const std::string& other : none) {
      world.clock->advance(1);
      use(world, token, "192.0.2.9");
      world.clock->advance(1);
      use(world, token, other);
      CAPTURE(other, cache);
      CHECK(info_of(world, token).last_used_from.empty());
      CHECK(info_of(world, token).last_used_at == world.clock->wall());
    }
  }
}

TEST_CASE("the last use never goes back") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    const Use later{token.id, test::new_year_2026 + 9'000'000, "192.0.2.200"};
    REQUIRE(world.backend->inner().record_uses("default", {&later, 1}).ok());
    use(world, token, "192.0.2.1");
    CHECK(info_of(world, token).last_used_at == later.used_at);
    world.clock->advance(interval);
    REQUIRE(world.store->maintain().ok());
    CHECK(world.stored(token.id).last_used_at == later.used_at);
    CHECK(info_of(world, token).last_used_from == "192.0.2.200");
    world.clock->set_wall(0);
    use(world, token);
    CHECK(info_of(world, token).last_used_at == later.used_at);
  }
}

TEST_CASE("only valid uses count") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    CHECK(world.ask(token, "admin") == Reason::insufficient_scope);
    REQUIRE(world.store->revoke(Actor::host(), token.id).ok());
    CHECK(world.ask(token) == Reason::revoked);
    CHECK_FALSE(info_of(world, token).last_used_at);
  }
}

TEST_CASE("uses that could not be written are kept and written later") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    use(world, token, "192.0.2.1");
    world.clock->advance(interval);
    world.backend->fail = [](Call call) -> std::optional<Error> {
      if (call == Call::record_uses) return Error(Status::storage_full, "full");
      return std::nullopt;
    };
    CHECK_FALSE(world.store->maintain().ok());
    CHECK(info_of(world, token).last_used_at == test::new_year_2026);
    world.backend->fail = nullptr;
    world.clock->advance(interval);
    REQUIRE(world.store->maintain().ok());
    CHECK(world.stored(token.id).last_used_at == test::new_year_2026);
  }
}

TEST_CASE("many uses are written in the order of their ids, and after a failure in the middle none is lost") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    constexpr std::size_t count = 2'500;
    const std::vector<test::Kept> tokens = issue_many(world, count);
    for (std::size_t i = 0; i < count; ++i) use(world, tokens[i * 1'999 % count]);

    std::vector<std::string> recorded;
    world.backend->recorded = [&](std::span<const Use> uses) {
      for (const Use& one : uses) recorded.push_back(one.id);
    };
    int call = 0;
    world.backend->fail = [&](Call which) -> std::optional<Error> {
      if (which == Call::record_uses && ++call == 2) return Error(Status::storage_full, "full");
      return std::nullopt;
    };
    world.clock->advance(interval);
    CHECK_FALSE(world.store->maintain().ok());
    CHECK(recorded.size() < count);
    CHECK_FALSE(recorded.empty());
    world.clock->advance(interval);
    recorded.clear();
    REQUIRE(world.store->maintain().ok());
    CHECK(std::is_sorted(recorded.begin(), recorded.end()));
    for (const test::Kept& token : tokens) REQUIRE(world.stored(token.id).last_used_at == test::new_year_2026);
  }
}

TEST_CASE("writing uses stops when the time is over, and goes on with the next call") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    constexpr std::size_t count = 5'500;
    const std::vector<test::Kept> tokens = issue_many(world, count);
    for (const test::Kept& token : tokens) use(world, token);
    std::size_t recorded = 0;
    world.backend->recorded = [&](std::span<const Use> uses) {
      recorded += uses.size();
      world.clock->advance(30);  // so long does storage take
    };
    world.clock->advance(interval);

    constexpr std::chrono::milliseconds budget(50);
    std::size_t turns = 0;
    for (bool more = true; more; ++turns) {
      const std::size_t before = recorded;
      more = world.store->maintain(budget).value();
      CHECK(recorded - before <= 2'000);
      if (turns > 0) continue;
      CHECK(more);
      // Shown at once although neither it nor what comes after it is written, and not lost.
      use(world, tokens.back(), "192.0.2.1");
      CHECK(info_of(world, tokens.back()).last_used_from == "192.0.2.1");
      CHECK(info_of(world, tokens.front()).last_used_at == test::new_year_2026);
    }
    CHECK(turns == 3);
    for (const test::Kept& token : tokens) REQUIRE(world.stored(token.id).last_used_at >= test::new_year_2026);
    world.clock->advance(interval);
    REQUIRE(world.store->maintain().ok());
    CHECK(world.stored(tokens.back().id).last_used_from == "192.0.2.1");
    CHECK_FALSE(world.store->maintain().value());
  }
}

TEST_CASE("any time budget will do") {
  using std::chrono::milliseconds;
  for (const milliseconds budget : {milliseconds::max(), milliseconds(1), milliseconds(0), milliseconds::min()}) {
    World world;
    const auto token = world.issue("alice");
    use(world, token);
    world.clock->advance(interval);
    REQUIRE(world.store->maintain(budget).ok());
    CHECK(world.stored(token.id).last_used_at == test::new_year_2026);
  }
}

TEST_CASE("a store that closes in the middle of writing uses writes the rest, and those since") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const std::vector<test::Kept> tokens = issue_many(world, 3'500);
    for (const test::Kept& token : tokens) use(world, token);
    world.clock->advance(interval);
    REQUIRE(world.store->maintain(std::chrono::milliseconds(0)).value());
    use(world, tokens.front(), "192.0.2.1");
    world.store.reset();
    for (const test::Kept& token : tokens) REQUIRE(world.stored(token.id).last_used_at >= test::new_year_2026);
    CHECK(world.stored(tokens.front().id).last_used_from == "192.0.2.1");
  }
}

TEST_CASE("storage has its turn of upkeep although uses cannot be written") {
  World world;
  const auto token = world.issue("alice");
  use(world, token);
  world.clock->advance(interval);
  world.backend->fail = [](Call call) -> std::optional<Error> {
    if (call == Call::record_uses) return Error(Status::storage_full, "full");
    return std::nullopt;
  };
  const auto before = world.backend->calls(Call::maintain);
  CHECK(world.store->maintain().status() == Status::storage_full);
  CHECK(world.backend->calls(Call::maintain) == before + 1);
}

TEST_CASE("the upkeep thread hurries for uses that are left, and not for what storage cannot do yet") {
  World world;
  world.store.reset();
  world.backend->never_tidy = true;
  StoreOptions options = world.options();
  options.clock = nullptr;
  options.use_interval = std::chrono::milliseconds(200);
  options.upkeep_thread = true;
  const auto store = TokenStore::open(world.backend, test::one_key(), std::move(options)).value();
  const auto before = world.backend->calls(Call::maintain);
  std::this_thread::sleep_for(std::chrono::milliseconds(1000));
  CHECK(world.backend->calls(Call::maintain) > before);
  CHECK(world.backend->calls(Call::maintain) <= before + 10);  // five or fewer; in a hurry it were some forty
}
