/// Expire, revoke, revoke all, delete: what each does once, twice, and after another.
#include <limits>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

TEST_CASE("expire brings the end forward to the time given, and never moves it back") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const UnixMillis now = world.clock->wall();
    const auto token = world.issue();
    CHECK(world.store->expire(Actor::host(), token.id, now + 1000).value().expires_at == now + 1000);
    for (const UnixMillis later : {now + 1001, latest_time, latest_time + 1, never - 1, never}) {
      CAPTURE(later);
      CHECK(world.store->expire(Actor::host(), token.id, later).status() == Status::invalid_argument);
    }
    CHECK(world.store->get(Actor::host(), token.id).value().expires_at == now + 1000);
    CHECK(world.store->expire(Actor::host(), token.id, now + 1000).value().expires_at == now + 1000);
    CHECK(world.store->expire(Actor::host(), token.id, now + 10).value().expires_at == now + 10);
    CHECK(world.ask(token) == Reason::none);
    world.clock->advance(10);
    CHECK(world.ask(token) == Reason::expired);
  }
}

TEST_CASE("expire with no time or a time gone by ends the token now, not in the past") {
  for (const std::size_t cache : test::cache_sizes()) {
    for (const std::optional<UnixMillis> at :
         {std::optional<UnixMillis>{}, std::optional<UnixMillis>{0}, std::optional<UnixMillis>{-1},
          std::optional<UnixMillis>{std::numeric_limits<UnixMillis>::min()},
          std::optional<UnixMillis>{test::new_year_2026}}) {
      World world(cache);
      const auto token = world.issue();
      world.clock->advance(60'000);
      CHECK(world.ask(token) == Reason::none);
      const auto info = world.store->expire(Actor::host(), token.id, at).value();
      CHECK(info.expires_at == test::new_year_2026 + 60'000);
      CHECK(info.state == TokenState::expired);
      CHECK(world.ask(token) == Reason::expired);
    }
  }
}

TEST_CASE("expiring twice keeps the first end") {
  World world;
  const auto token = world.issue();
  const auto first = world.store->expire(Actor::host(), token.id).value();
  world.clock->advance(5000);
  const auto revision = world.stored(token.id).revision;
  CHECK(world.store->expire(Actor::host(), token.id).value().expires_at == first.expires_at);
  CHECK(world.stored(token.id).revision == revision);
}

TEST_CASE("a token that never expires can be given an end that can be written down, and no other") {
  World world;
  world.set_policy({.never_allowed = true});
  IssueRequest request{.owner = "alice", .scopes = {"read"}};
  request.lifetime = Lifetime::never();
  const auto token = world.issue(request);
  CHECK(world.store->expire(Actor::host(), token.id, latest_time + 1).status() == Status::invalid_argument);
  CHECK(world.store->expire(Actor::host(), token.id, never - 1).status() == Status::invalid_argument);
  CHECK(world.store->expire(Actor::host(), token.id, never).value().expires_at == never);
  CHECK(world.store->expire(Actor::host(), token.id, latest_time).value().expires_at == latest_time);
  CHECK(world.store->expire(Actor::host(), token.id, never).status() == Status::invalid_argument);
}

TEST_CASE("revoking twice keeps the first who, when and why") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    CHECK(world.ask(token) == Reason::none);
    const auto first = world.store->revoke(Actor::user("alice"), token.id, "lost my laptop").value();
    CHECK(first.state == TokenState::revoked);
    CHECK(first.revoked_at == test::new_year_2026);
    CHECK(first.revoked_by == "user:alice");
    CHECK(first.revoke_reason == "lost my laptop");
    world.clock->advance(1000);
    for (const auto& info : {world.store->revoke(Actor::administrator("root"), token.id, "another reason").value(),
                             world.store->get(Actor::host(), token.id).value()}) {
      CHECK(info.revoked_at == first.revoked_at);
      CHECK(info.revoked_by == first.revoked_by);
      CHECK(info.revoke_reason == first.revoke_reason);
    }
    CHECK(world.store->revoke_all(Actor::host(), "alice", "a third").value() == 0);
    CHECK(world.store->get(Actor::host(), token.id).value().revoke_reason == "lost my laptop");
    CHECK(world.ask(token) == Reason::revoked);
  }
}

TEST_CASE("an expired token can still be revoked, and a revoked one not expired") {
  World world;
  const auto token = world.issue();
  const auto expired = world.store->expire(Actor::host(), token.id).value();
  world.clock->advance(10);
  const auto revoked = world.store->revoke(Actor::host(), token.id, "stolen").value();
  CHECK(revoked.state == TokenState::revoked);
  CHECK(revoked.expires_at == expired.expires_at);
  const auto revision = world.stored(token.id).revision;
  CHECK(world.store->expire(Actor::host(), token.id).value().state == TokenState::revoked);
  CHECK(world.stored(token.id).revision == revision);
}

TEST_CASE("deleting twice answers not found the second time, and the token is unknown") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    CHECK(world.ask(token) == Reason::none);
    CHECK(world.store->remove(Actor::user("alice"), token.id).ok());
    CHECK(world.ask(token) == Reason::unknown);
    CHECK(world.store->remove(Actor::user("alice"), token.id).status() == Status::not_found);
    CHECK(world.store->revoke(Actor::host(), token.id).status() == Status::not_found);
    CHECK(world.store->get(Actor::host(), token.id).status() == Status::not_found);
    CHECK(world.store->list(Actor::host(), {}).value().tokens.empty());
  }
}

TEST_CASE("a tampered record can be deleted, and neither revoked nor expired") {
  World world;
  const auto token = world.issue("alice");
  TokenRecord record = world.stored(token.id);
  record.scopes = "admin read";
  world.smuggle(record, record.revision);
  CHECK(world.store->revoke(Actor::host(), token.id).status() == Status::tampered);
  CHECK(world.store->expire(Actor::host(), token.id).status() == Status::tampered);
  CHECK(world.store->revoke_all(Actor::host(), "alice").value() == 0);
  CHECK(world.ask(token) == Reason::tampered);
  CHECK(world.store->remove(Actor::administrator("root"), token.id).ok());
  CHECK(world.ask(token) == Reason::unknown);
}

TEST_CASE("revoke all ends what is active and pending of one owner, and nothing else") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    std::vector<test::Kept> alices;
    for (int i = 0; i < 1203; ++i) alices.push_back(world.issue("alice"));
    IssueRequest later{.owner = "alice", .scopes = {"read"}};
    later.not_before = world.clock->wall() + 1000;
    for (int i = 0; i < 7; ++i) alices.push_back(world.issue(later));
    const auto bobs = world.issue("bob");
    const auto expired = world.issue("alice");
    REQUIRE(world.store->expire(Actor::host(), expired.id).ok());
    CHECK(world.ask(alices.front()) == Reason::none);
    CHECK(world.store->revoke_all(Actor::administrator("root"), "alice", "left").value() == 1210);
    for (const auto& token : alices) REQUIRE(world.ask(token) == Reason::revoked);
    CHECK(world.ask(bobs) == Reason::none);
    CHECK(world.ask(expired) == Reason::expired);
    CHECK(world.store->revoke_all(Actor::host(), "alice").value() == 0);
    CHECK(world.store->revoke_all(Actor::host(), "nobody").status() == Status::not_found);
    CHECK(world.ask(world.issue("alice")) == Reason::none);
  }
}

TEST_CASE("a token that becomes active while revoke all is under way does not slip through") {
  World world;
  IssueRequest later{.owner = "alice", .scopes = {"read"}};
  later.not_before = world.clock->wall() + 1;
  const auto token = world.issue(later);
  world.backend->before = [&](test::Call call) {
    // The clock ticks between any two looks at storage.
    if (call == test::Call::list_tokens) world.clock->advance(1);
  };
  CHECK(world.store->revoke_all(Actor::host(), "alice").value() == 1);
  CHECK(world.ask(token) == Reason::revoked);
}

TEST_CASE("no ending changes who the token is for, what it may do or when it was made") {
  World world;
  IssueRequest request{
      .owner = "alice", .description = "laptop", .scopes = {"b", "a"}, .metadata = std::string("\0\xFF", 2)};
  const auto token = world.issue(request);
  const auto before = world.store->get(Actor::host(), token.id).value();
  REQUIRE(world.store->expire(Actor::host(), token.id, world.clock->wall() + 5).ok());
  REQUIRE(world.store->revoke(Actor::host(), token.id).ok());
  const auto after = world.store->get(Actor::host(), token.id).value();
  CHECK(after.owner == before.owner);
  CHECK(after.description == before.description);
  CHECK(after.scopes == std::vector<std::string>{"a", "b"});
  CHECK(after.metadata == request.metadata);
  CHECK(after.created_at == before.created_at);
  CHECK(after.created_by == before.created_by);
  CHECK(after.not_before == before.not_before);
}
