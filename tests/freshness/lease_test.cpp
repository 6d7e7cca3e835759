/// A pulse that can be relied on for a while only, as that of storage on another machine; and hits that are seldom
/// taken.
#include <atomic>
#include <limits>
#include <stdexcept>

#include "support/forwarding_backend.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::Call;
using test::World;

namespace {

constexpr std::size_t cache = std::size_t{4} << 20;

/// Its pulse is trusted until a time of the monotonic clock.
class LeasedPulse final : public test::ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  Pulse pulse() noexcept override {
    Pulse pulse = ForwardingBackend::pulse();
    pulse.trusted_until = until.load();
    return pulse;
  }
  std::atomic<std::int64_t> until{std::numeric_limits<std::int64_t>::max()};
};

}  // namespace

TEST_CASE("nothing is answered from memory once the pulse is not to be relied on, and all of it again when it is") {
  const auto storage = std::make_shared<LeasedPulse>(memory_backend());
  World world(cache, storage);
  const auto token = world.issue("alice");
  storage->until = world.clock->monotonic() + 100;
  REQUIRE(world.ask(token) == Reason::none);
  const auto loads = [&] { return world.backend->calls(Call::load_token); };
  const std::uint64_t before = loads();
  Verdict verdict;
  // A coarse clock may be 10 ms behind: so much earlier it ends.
  for (int at = 0; at < 90; ++at) {
    CHECK(world.ask(token) == Reason::none);
    CHECK(world.store->try_validate(token.text, Demand("read"), verdict));
    world.clock->advance(1);
  }
  CHECK(loads() == before);
  for (int at = 1; at <= 20; ++at) {
    CHECK(world.ask(token) == Reason::none);
    CHECK(loads() == before + static_cast<std::uint64_t>(at));
    CHECK_FALSE(world.store->try_validate(token.text, Demand("read"), verdict));
    CHECK(verdict.reason() == Reason::storage);
    world.clock->advance(1);
  }
  storage->until = world.clock->monotonic() + 100;
  const std::uint64_t again = loads();
  for (int i = 0; i < 10; ++i) CHECK(world.ask(token) == Reason::none);
  CHECK(loads() <= again + 1);
}

TEST_CASE(
    "under a pulse that lags behind any change of an owner's record counts, under an exact one only what matters") {
  for (const bool exact : {true, false}) {
    const auto storage = std::make_shared<LeasedPulse>(memory_backend());
    World world(cache, storage);
    const auto token = world.issue("alice");
    const auto other = world.open();
    if (!exact) storage->until = world.clock->monotonic() + 1'000'000;
    for (int i = 0; i < 3; ++i) REQUIRE(world.ask(token) == Reason::none);
    const std::uint64_t before = world.backend->calls(Call::load_token);
    // Whether the owner may have new tokens says nothing of this one.
    REQUIRE(other->set_owner(Actor::host(), "alice", {.may_issue = false}).ok());
    CHECK(world.ask(token) == Reason::none);
    CHECK(world.backend->calls(Call::load_token) == before + (exact ? 0 : 1));
    REQUIRE(other->suspend(Actor::host(), "alice").ok());
    CHECK(world.ask(token) == Reason::owner_suspended);
  }
}

TEST_CASE("a token in memory lacks a scope that another token there has") {
  World world(cache);
  const auto reads = world.issue();
  const auto writes = world.issue(IssueRequest{.owner = "bob", .scopes = {"write"}});
  for (const auto& [token, scope] : {std::pair(&reads, "read"), std::pair(&writes, "write")}) {
    REQUIRE(world.ask(*token, scope) == Reason::none);
    REQUIRE(world.ask(*token, scope) == Reason::none);
  }
  const std::uint64_t hits = world.store->statistics().hits;
  CHECK(world.ask(reads, "write") == Reason::insufficient_scope);
  CHECK(world.ask(writes, "read") == Reason::insufficient_scope);
  CHECK(world.ask(writes, "write") == Reason::none);
  CHECK(world.store->statistics().hits == hits + 3);
}

TEST_CASE("a set of scopes of any length comes from memory as it was issued") {
  World world(cache);
  for (std::size_t count = 1; count <= 24; ++count) {
    IssueRequest request{.owner = "alice", .scopes = {}};
    std::string expected;
    for (std::size_t number = 0; number < count; ++number) {
      request.scopes.push_back("scope" + std::string(1, static_cast<char>('a' + number)));
      expected += (number == 0 ? "" : " ") + request.scopes.back();
    }
    const auto token = world.issue(request);
    REQUIRE(world.ask(token, "scopea") == Reason::none);
    const std::uint64_t hits = world.store->statistics().hits;
    const Verdict verdict = world.store->validate(token.text, Demand("scopea"));
    CHECK(world.store->statistics().hits == hits + 1);
    CHECK(verdict.scopes() == expected);
    CHECK(verdict.owner() == "alice");
  }
}

TEST_CASE("storage that throws is unavailable, with a line that says so, and no call is told anything else") {
  World world(cache);
  const auto token = world.issue("alice");
  world.backend->before = [](Call call) {
    if (call == Call::load_token) throw std::runtime_error("of its own");
  };
  CHECK(world.ask(token) == Reason::storage);
  const auto why = world.store->why_unavailable();
  REQUIRE(why);
  CHECK(why->error.status() == Status::internal);
  CHECK(why->error.message().find("thrown an exception") != std::string::npos);
  CHECK(why->error.message().find("of its own") == std::string::npos);
  world.backend->before = [](Call call) {
    if (call == Call::load_token) throw std::bad_alloc();
  };
  CHECK(world.ask(token) == Reason::storage);
  CHECK(world.store->why_unavailable()->error.status() == Status::out_of_memory);
  world.backend->before = nullptr;
  CHECK(world.ask(token) == Reason::none);
}
