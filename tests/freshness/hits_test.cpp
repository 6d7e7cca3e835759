/// What a hit costs, and what it may not do: backend calls, allocations, stale times.
#include <cstdlib>
#include <future>
#include <new>
#include <thread>

#include "unit/rules/world.hpp"

namespace {
std::atomic<std::uint64_t> allocations{0};
}

// Every allocation of the program is counted. Not inlined, or g++ 12 takes malloc and delete for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;  // NOLINT: this is the allocator
  throw std::bad_alloc();
}
// Catch2 uses this one, and AddressSanitizer wants each block freed by the family that made it.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);  // NOLINT: as above
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);  // NOLINT: as above
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);  // NOLINT: as above
}

using namespace tokenstore;
using test::Call;
using test::World;

namespace {

constexpr std::size_t cache = std::size_t{4} << 20;

}  // namespace

TEST_CASE("a hit calls no storage and allocates nothing") {
  World world(cache);
  const auto plain = world.issue("alice");
  const auto large =
      world.issue({.owner = std::string(200, 'o'), .scopes = {"read", "write"}, .metadata = std::string(4096, '\0')});
  Verdict verdict;
  for (const auto& token : {plain, large}) {
    REQUIRE(world.ask(token) == Reason::none);
    REQUIRE(world.ask(token) == Reason::none);
    const std::uint64_t calls = world.backend->calls();
    const std::uint64_t hits = world.store->statistics().hits;
    const std::uint64_t before = allocations;
    bool right = true;
    for (int i = 0; i < 1000; ++i) {
      world.store->validate(token.text, Demand("read", "2001:db8::1"), verdict);
      right = right && verdict.valid() && !verdict.owner().empty();
      world.store->validate(token.text, Demand("delete"), verdict);
      right = right && verdict.reason() == Reason::insufficient_scope;
      world.clock->advance(1);
    }
    const std::uint64_t after = allocations;
    CHECK(right);
    CHECK(after == before);
    CHECK(world.backend->calls() == calls);
    CHECK(world.store->statistics().hits == hits + 2000);
  }
  // The counter counts.
  const std::uint64_t before = allocations;
  CHECK(std::string(100, 'x').size() == 100);
  CHECK(allocations > before);
}

TEST_CASE("a forged or malformed token costs no storage call, and a token that is gone costs one") {
  World world(cache);
  const auto token = world.issue("alice");
  const auto gone = world.issue("alice");
  REQUIRE(world.store->remove(Actor::host(), gone.id).ok());
  std::string malformed = token.text;
  malformed.back() = malformed.back() == '0' ? '1' : '0';
  const auto stranger = World(cache).issue("mallory");  // the same keys: its id is not here
  CHECK(world.ask(gone) == Reason::unknown);
  CHECK(world.ask(stranger) == Reason::unknown);
  const std::uint64_t calls = world.backend->calls();
  const Statistics before = world.store->statistics();
  for (int i = 0; i < 100; ++i) {
    CHECK_FALSE(world.store->validate(malformed, Demand("read")).valid());
    CHECK(world.ask(gone) == Reason::unknown);
    CHECK(world.ask(stranger) == Reason::unknown);
  }
  const auto elsewhere = TokenStore::open(memory_backend(), test::one_key(9), world.options());
  REQUIRE(elsewhere.ok());
  const auto forged = World::issue(**elsewhere, {.owner = "alice", .scopes = {"read"}});
  for (int i = 0; i < 100; ++i) CHECK(world.ask(forged) == Reason::forged);
  CHECK(world.backend->calls() == calls);
  const Statistics after = world.store->statistics();
  CHECK(after.malformed - before.malformed == 100);
  CHECK(after.forged - before.forged == 100);
  CHECK(after.negative_hits - before.negative_hits == 200);
  CHECK(after.misses == before.misses);
  CHECK(after.cache_bytes <= cache);
}

TEST_CASE("a cached token is refused at the very millisecond at which its time comes") {
  for (const int lag : {0, 1, 9, 10}) {
    World world(cache);
    world.clock->set_lags(lag, lag);
    const auto token = world.issue({.owner = "alice", .scopes = {"read"}, .lifetime = Lifetime::millis(1000)});
    for (int at = 0; at < 1000; ++at) {
      if (world.ask(token) != Reason::none) FAIL("refused at " << at << " ms with a lag of " << lag);
      world.clock->advance(1);
    }
    CHECK(world.store->statistics().hits > 900);
    CHECK(world.ask(token) == Reason::expired);
    // A clock set back revives nothing.
    world.clock->set_wall(test::new_year_2026 - 86'400'000);
    CHECK(world.ask(token) == Reason::expired);
    CHECK(world.ask(token) == Reason::expired);
  }
}

TEST_CASE("storage that fails while the cache is warm: right or unavailable, never stale after a change") {
  for (std::size_t call = 0; call < test::call_count; ++call) {
    World world(cache);
    const auto token = world.issue("alice");
    const auto other = world.issue("bob");
    REQUIRE(world.ask(token) == Reason::none);
    REQUIRE(world.store->revoke(Actor::host(), token.id).ok());
    world.backend->fail = [call](Call asked) -> std::optional<Error> {
      if (static_cast<std::size_t>(asked) != call) return std::nullopt;
      return Error(Status::unavailable, "the disk is broken");
    };
    for (int i = 0; i < 3; ++i) {
      const Verdict verdict = world.store->validate(token.text, Demand("read"));
      CHECK_FALSE(verdict.valid());
      CHECK(world.store->validate(other.text, Demand("read")).outcome() != Outcome::invalid);
    }
    world.backend->fail = nullptr;
    CHECK(world.ask(token) == Reason::revoked);
    CHECK(world.ask(other) == Reason::none);
  }
}

TEST_CASE("a flush that blocks does not block validation, and drops nothing from another store's cache") {
  World world(cache);
  const auto token = world.issue("alice");
  const auto neighbour = world.open();
  REQUIRE(world.ask(token) == Reason::none);
  REQUIRE(World::ask(*neighbour, token) == Reason::none);
  REQUIRE(World::ask(*neighbour, token) == Reason::none);
  const Statistics before = neighbour->statistics();
  world.clock->advance(120'000);
  REQUIRE(world.ask(token) == Reason::none);
  std::promise<void> entered;
  std::promise<void> release;
  world.backend->before = [&](Call call) {
    if (call != Call::record_uses) return;
    entered.set_value();
    release.get_future().wait();
  };
  std::thread flushing([&] { CHECK(world.store->maintain().ok()); });
  entered.get_future().wait();
  for (int i = 0; i < 1000; ++i) REQUIRE(world.ask(token) == Reason::none);
  // Another thread that finds the flush due does not write the same again.
  CHECK(world.store->maintain().ok());
  release.set_value();
  flushing.join();
  world.backend->before = nullptr;
  CHECK(world.store->statistics().uses_written == 1);
  REQUIRE(World::ask(*neighbour, token) == Reason::none);
  const Statistics after = neighbour->statistics();
  CHECK(after.hits == before.hits + 1);
  CHECK(after.dropped_all == before.dropped_all);
  CHECK(after.catch_ups == before.catch_ups);
}
