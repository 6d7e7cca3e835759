/// Scopes, and the order in which a verdict looks at things.
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

test::Kept with_scopes(World& world, std::vector<std::string> scopes) {
  return world.issue(IssueRequest{.owner = "alice", .scopes = std::move(scopes)});
}

/// A text of the right form and tag that names a token which is not there.
std::string text_of_an_unknown_token() {
  World elsewhere;
  return elsewhere.issue("alice").text;
}

}  // namespace

TEST_CASE("a token without scopes grants nothing") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = with_scopes(world, {});
    for (const std::string scope : {"", " ", "read", "*", "none", "null"}) {
      CAPTURE(scope);
      CHECK(world.ask(token, scope) == Reason::insufficient_scope);
    }
  }
}

TEST_CASE("a scope is held exactly, not by prefix, part, case or wildcard") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = with_scopes(world, {"read:all", "write", "a*", "x"});
    for (const std::string held : {"read:all", "write", "a*", "x"}) CHECK(world.ask(token, held) == Reason::none);
    for (const std::string other : {"",
                                    " ",
                                    "read",
                                    "read:",
                                    "read:al",
                                    "read:all ",
                                    " read:all",
                                    "read:all write",
                                    "write x",
                                    "a",
                                    "ab",
                                    "*",
                                    "Write",
                                    "WRITE",
                                    "rite",
                                    "writ",
                                    "writex",
                                    "x ",
                                    "read:all,write",
                                    "a* read:all",
                                    "admin"}) {
      CAPTURE(other);
      CHECK(world.ask(token, other) == Reason::insufficient_scope);
    }
    CHECK(world.ask(token, std::string("write\0", 6)) == Reason::insufficient_scope);
    CHECK(world.ask(token, std::string("x\0y", 3)) == Reason::insufficient_scope);
    CHECK(world.ask(token, std::string(100'000, 'x')) == Reason::insufficient_scope);
  }
}

TEST_CASE("insufficient scope says who it is, with HTTP status 403, and valid says it with 200") {
  World world;
  IssueRequest request{.owner = "alice", .scopes = {"b", "a", "b"}, .metadata = std::string("m\0n", 3)};
  const auto token = world.issue(request);
  for (const std::string scope : {"a", "c"}) {
    const Verdict verdict = world.store->validate(token.text, Demand(scope));
    CHECK(verdict.id() == token.id);
    CHECK(verdict.owner() == "alice");
    CHECK(verdict.scopes() == "a b");
    CHECK(verdict.metadata() == request.metadata);
    CHECK(verdict.expires_at() == test::new_year_2026 + 90 * millis_per_day);
    CHECK(verdict.http_status() == (scope == "a" ? 200 : 403));
  }
}

TEST_CASE("64 scopes of 128 characters are held, and 65 or a longer one are refused") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    std::vector<std::string> scopes;
    for (int i = 0; i < 64; ++i) scopes.push_back(std::to_string(100 + i) + std::string(125, 's'));
    const auto token = with_scopes(world, scopes);
    for (int round = 0; round < 2; ++round) {
      for (const std::string& scope : scopes) CHECK(world.ask(token, scope) == Reason::none);
      CHECK(world.ask(token, scopes[0].substr(0, 127)) == Reason::insufficient_scope);
    }
    scopes.push_back("one-more");
    CHECK(world.store->issue(Actor::host(), {.owner = "a", .scopes = scopes}).status() == Status::invalid_argument);
    CHECK(world.store->issue(Actor::host(), {.owner = "a", .scopes = {std::string(129, 's')}}).status() ==
          Status::invalid_argument);
  }
}

TEST_CASE("what is not a scope is refused at issue") {
  World world;
  const std::string bad[] = {"",     " ",       "a b", "a\"b", "a\\b", "a\tb", "a\nb", std::string("a\0b", 3),
                             "\x7F", "\xC3\xA9"};
  for (const std::string& scope : bad) {
    CAPTURE(scope);
    CHECK(world.store->issue(Actor::host(), {.owner = "a", .scopes = {"ok", scope}}).status() ==
          Status::invalid_argument);
  }
  // All that RFC 6749 allows.
  std::string all;
  for (char c = 0x21; c <= 0x7E; ++c) {
    if (c != '"' && c != '\\') all += c;
  }
  CHECK(world.ask(with_scopes(world, {all}), all) == Reason::none);
}

TEST_CASE("a wrong secret for an ended, suspended or foreign id answers as an unknown token does") {
  for (const std::size_t cache : test::cache_sizes()) {
    for (const std::string state : {"active", "revoked", "expired", "suspended", "disabled"}) {
      World world(cache);
      const auto token = world.issue("alice");
      CAPTURE(state, cache);
      if (state == "revoked") REQUIRE(world.store->revoke(Actor::host(), token.id).ok());
      if (state == "expired") REQUIRE(world.store->expire(Actor::host(), token.id).ok());
      if (state == "suspended") REQUIRE(world.store->suspend(Actor::host(), "alice").ok());
      if (state == "disabled") world.set_policy({.tokens_enabled = false});
      // A store of the same key made another secret for this id: right form, right tag, wrong secret.
      World twin;
      const auto stranger = twin.issue("mallory");
      TokenRecord record = world.stored(token.id);
      record.id = stranger.id;
      world.smuggle(record, 0);
      const std::string unknown = text_of_an_unknown_token();
      const Verdict wrong = world.store->validate(stranger.text, Demand("read"));
      const Verdict missing = world.store->validate(unknown, Demand("read"));
      CHECK(wrong.reason() == Reason::wrong_secret);
      CHECK(missing.reason() == Reason::unknown);
      CHECK(wrong.outcome() == missing.outcome());
      CHECK(wrong.http_status() == missing.http_status());
      CHECK(wrong.id() == missing.id());
      CHECK(wrong.owner().empty());
      CHECK(wrong.scopes().empty());
      CHECK(wrong.metadata().empty());
      CHECK(wrong.expires_at() == 0);
    }
  }
}

TEST_CASE("an ended token presented with its secret still says nothing of who and what") {
  World world;
  const auto token = world.issue(IssueRequest{.owner = "alice", .scopes = {"read"}, .metadata = "m"});
  REQUIRE(world.store->revoke(Actor::host(), token.id).ok());
  Verdict verdict = world.store->validate(world.issue("bob").text, Demand("read"));
  REQUIRE(verdict.owner() == "bob");
  // A verdict that is used again keeps nothing of the last one.
  world.store->validate(token.text, Demand("read"), verdict);
  CHECK(verdict.reason() == Reason::revoked);
  CHECK(verdict.owner().empty());
  CHECK(verdict.id().empty());
  CHECK(verdict.metadata().empty());
}

TEST_CASE("no stored value is accepted as a token") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    const TokenRecord record = world.stored(token.id);
    const auto octets = [](const Bytes32& bytes) { return std::string(bytes.begin(), bytes.end()); };
    const auto hex = [](const Bytes32& bytes) {
      std::string text;
      for (const std::uint8_t byte : bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
      }
      return text;
    };
    std::vector<std::string> values{record.id,
                                    record.key_id,
                                    "1" + record.key_id + record.id,
                                    record.owner,
                                    octets(record.verifier),
                                    octets(record.seal),
                                    hex(record.verifier),
                                    hex(record.seal)};
    const std::string handle = "pat_1" + record.key_id + record.id + "_";
    for (const Bytes32& bytes : {record.verifier, record.seal}) {
      values.push_back(handle + hex(bytes).substr(0, 43) + token.text.substr(token.text.size() - 14));
      values.push_back(handle + hex(bytes).substr(0, 57));
      values.push_back(token.text.substr(0, token.text.size() - 57) + hex(bytes).substr(0, 43) +
                       token.text.substr(token.text.size() - 14));
    }
    for (const std::string& value : values) {
      const Verdict verdict = world.store->validate(value, Demand("read"));
      CHECK(verdict.outcome() == Outcome::invalid);
      CHECK(verdict.reason() == Reason::malformed);
    }
    CHECK(world.ask(token) == Reason::none);
  }
}

TEST_CASE("a token text is accepted in one spelling only") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const auto token = world.issue("alice");
    CHECK(world.ask(token) == Reason::none);
    for (const std::string& other :
         {token.text + " ", " " + token.text, token.text + "\n", token.text + '\0', "Bearer " + token.text,
          token.text.substr(1), std::string(), "PAT" + token.text.substr(3)}) {
      CHECK(world.ask({other, token.id}) == Reason::malformed);
    }
    for (std::size_t at = 0; at < token.text.size(); ++at) {
      for (const char c : {'0', 'a', 'Z', '_', '-', '\0', '\xFF'}) {
        if (token.text[at] == c) continue;
        std::string changed = token.text;
        changed[at] = c;
        const Reason reason = world.ask({changed, token.id});
        CHECK((reason == Reason::malformed || reason == Reason::forged));
      }
    }
  }
}

TEST_CASE("asking without waiting answers as asking does, or not at all, and never calls storage") {
  World world(StoreOptions{}.cache_bytes);
  const auto token = world.issue("alice");
  const auto asked = [&](std::string_view text, std::string_view scope = "read") -> std::optional<Verdict> {
    const std::uint64_t calls = world.backend->calls();
    const std::uint64_t unavailable = world.store->statistics().unavailable;
    Verdict verdict;
    const bool decided = world.store->try_validate(text, Demand(scope), verdict);
    CHECK(world.backend->calls() == calls);
    CHECK(world.store->statistics().unavailable == unavailable);
    if (decided) return verdict;
    CHECK(verdict.outcome() == Outcome::unavailable);
    CHECK(verdict.id().empty());
    return std::nullopt;
  };
  CHECK_FALSE(asked(token.text));
  CHECK(world.ask(token) == Reason::none);

  const auto valid = asked(token.text);
  REQUIRE(valid);
  CHECK(valid->valid());
  CHECK(valid->owner() == "alice");
  CHECK(asked(token.text, "write")->reason() == Reason::insufficient_scope);
  // What needs no storage is decided though nothing is remembered of it.
  CHECK(asked("nonsense")->reason() == Reason::malformed);
  CHECK(asked(std::string(token.text.size(), 'x'))->reason() == Reason::malformed);
  auto mint = TokenStore::open(memory_backend(), test::one_key(9));
  REQUIRE(mint.ok());
  CHECK(asked(World::issue(**mint, {.owner = "mallory", .scopes = {"read"}}).text)->reason() == Reason::forged);

  // An ending by this process is known at once; somebody else's change has first to be read.
  REQUIRE(world.store->suspend(Actor::host(), "alice").ok());
  const auto suspended = asked(token.text);
  CHECK((!suspended || suspended->reason() == Reason::owner_suspended));
  REQUIRE(world.store->resume(Actor::host(), "alice").ok());
  CHECK(world.ask(token) == Reason::none);
  const auto other = world.open();
  REQUIRE(other->revoke(Actor::host(), token.id).ok());
  CHECK_FALSE(asked(token.text));
  CHECK(world.ask(token) == Reason::revoked);
  CHECK(asked(token.text)->reason() == Reason::revoked);
}

TEST_CASE("without a cache asking without waiting decides what needs no storage alone") {
  World world(0);
  const auto token = world.issue("alice");
  CHECK(world.ask(token) == Reason::none);
  Verdict verdict;
  CHECK_FALSE(world.store->try_validate(token.text, Demand("read"), verdict));
  CHECK(world.store->try_validate("nonsense", Demand("read"), verdict));
  CHECK(verdict.reason() == Reason::malformed);
}
