/// Every text argument: too long, empty, control characters, bad UTF-8, and octets that mean something
/// to somebody else (quotes, wildcards, NUL) and are literal here.
#include <functional>
#include <map>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

using Give = std::function<Status(TokenStore&, const std::string&)>;

struct Argument {
  Give give;
  std::size_t most;
  bool may_be_empty;
};

const std::map<std::string, Argument>& text_arguments() {
  static const Actor host = Actor::host();
  static const std::map<std::string, Argument> all{
      {"issue owner",
       {[](TokenStore& s, const std::string& t) { return s.issue(host, {.owner = t}).status(); }, owner_max, false}},
      {"issue description",
       {[](TokenStore& s, const std::string& t) { return s.issue(host, {.owner = "o", .description = t}).status(); },
        description_max, true}},
      {"revoke reason",
       {[](TokenStore& s, const std::string& t) {
          const auto id = s.issue(host, {.owner = "o"}).value().info.id;
          const Status status = s.revoke(host, id, t).status();
          const auto info = s.get(host, id).value();
          CHECK((info.state == TokenState::revoked) == (status == Status::ok));
          if (status == Status::ok) CHECK(info.revoke_reason == t);
          return status;
        },
        reason_max, true}},
      {"revoke all reason",
       {[](TokenStore& s, const std::string& t) {
          if (!s.issue(host, {.owner = "o"}).ok()) return Status::internal;
          return s.revoke_all(host, "o", t).status();
        },
        reason_max, true}},
      {"suspend owner",
       {[](TokenStore& s, const std::string& t) { return s.suspend(host, t).status(); }, owner_max, false}},
      {"suspend reason",
       {[](TokenStore& s, const std::string& t) {
          return s.suspend(host, "o-" + std::to_string(t.size()), t).status();
        },
        reason_max, true}},
      {"set owner",
       {[](TokenStore& s, const std::string& t) { return s.set_owner(host, t, {}).status(); }, owner_max, false}},
      {"resume owner",
       {[](TokenStore& s, const std::string& t) { return s.resume(host, t).status(); }, owner_max, false}},
      {"user",
       {[](TokenStore& s, const std::string& t) { return s.list(Actor::user(t), {}).status(); }, owner_max, false}},
      {"administrator",
       {[](TokenStore& s, const std::string& t) { return s.list(Actor::administrator(t), {}).status(); }, owner_max,
        false}},
  };
  return all;
}

}  // namespace

TEST_CASE("every text argument is taken up to its limit and refused beyond it") {
  for (const auto& [name, argument] : text_arguments()) {
    CAPTURE(name);
    World world;
    CHECK(argument.give(*world.store, std::string(argument.most, 'a')) == Status::ok);
    CHECK(argument.give(*world.store, std::string(argument.most + 1, 'a')) == Status::invalid_argument);
    CHECK(argument.give(*world.store, std::string(1'000'000, 'a')) == Status::invalid_argument);
    CHECK(argument.give(*world.store, "") == (argument.may_be_empty ? Status::ok : Status::invalid_argument));
    // Octets count, not characters: 127 of two octets and one more.
    std::string wide;
    while (wide.size() + 2 <= argument.most) wide += "\xC3\xA9";
    CHECK(argument.give(*world.store, wide) == Status::ok);
    CHECK(argument.give(*world.store, wide + "\xC3\xA9") == Status::invalid_argument);
  }
}

TEST_CASE("control characters and bad UTF-8 are refused in every text argument") {
  const std::string bad[] = {std::string("a\0b", 3),
                             std::string(1, '\0'),
                             "\n",
                             "a\rb",
                             "\x1B[31m",
                             "\x7F",
                             "\xC2\x85",
                             "\xFF",
                             "\xC3",
                             "\xC0\xAF",
                             "\xED\xA0\x80",
                             "\xF4\x90\x80\x80",
                             "\x80",
                             "\xE2\x82",
                             "\xF8\x88\x80\x80\x80"};
  for (const auto& [name, argument] : text_arguments()) {
    World world;
    for (const std::string& text : bad) {
      CAPTURE(name, text);
      CHECK(argument.give(*world.store, text) == Status::invalid_argument);
    }
  }
}

TEST_CASE("quotes, wildcards and markup are literal in every text argument") {
  const std::string odd[] = {"'",   "\"",    "%",  "_",    "\\",  "'; DROP TABLE tokens; --", "a' OR '1'='1",     "*",
                             "?",   "$(id)", "{}", "%s%n", "<b>", "\xF0\x9F\x94\x91",         "../../etc/passwd", " ",
                             "NULL"};
  for (const auto& [name, argument] : text_arguments()) {
    World world;
    for (const std::string& text : odd) {
      CAPTURE(name, text);
      CHECK(argument.give(*world.store, text) == Status::ok);
    }
  }
  World world;
  for (const std::string& text : odd) world.issue(IssueRequest{.owner = text, .description = text});
  for (const std::string& text : odd) {
    CAPTURE(text);
    const auto page = world.store->list(Actor::user(text), {}).value();
    REQUIRE(page.tokens.size() == 1);
    CHECK(page.tokens[0].description == text);
    CHECK(world.store->count(Actor::host(), text).value().active == 1);
    CHECK(world.store->revoke_all(Actor::host(), text).value() == 1);
  }
}

TEST_CASE("metadata holds any octets up to its limit, and comes back unchanged") {
  World world;
  std::string metadata;
  for (std::size_t i = 0; i < metadata_max; ++i) metadata += static_cast<char>(i);
  const auto token = world.issue(IssueRequest{.owner = "o", .scopes = {"read"}, .metadata = metadata});
  CHECK(world.store->validate(token.text, Demand("read")).metadata() == metadata);
  CHECK(world.store->get(Actor::host(), token.id).value().metadata == metadata);
  CHECK(world.store->issue(Actor::host(), {.owner = "o", .metadata = metadata + "x"}).status() ==
        Status::invalid_argument);
}

TEST_CASE("the largest of everything fits in one token") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    IssueRequest request{.owner = std::string(owner_max, 'o'), .description = std::string(description_max, 'd')};
    for (std::size_t i = 0; i < scopes_max; ++i) {
      request.scopes.push_back(std::to_string(100 + i) + std::string(scope_max - 3, 's'));
    }
    request.metadata.assign(metadata_max, '\xFF');
    const auto token = world.issue(request);
    for (int round = 0; round < 3; ++round) {
      const Verdict verdict = world.store->validate(token.text, Demand(request.scopes[63]));
      CHECK(verdict.valid());
      CHECK(verdict.owner() == request.owner);
      CHECK(verdict.metadata() == request.metadata);
      CHECK(verdict.scopes().size() == scopes_max * (scope_max + 1) - 1);
    }
  }
}

TEST_CASE("a refused argument changes nothing") {
  World world;
  const auto token = world.issue("o");
  const auto commits = world.backend->calls(test::Call::commit);
  const std::string bad = "a\nb";
  CHECK_FALSE(world.store->issue(Actor::host(), {.owner = "o", .description = bad}).ok());
  CHECK_FALSE(world.store->revoke(Actor::host(), token.id, bad).ok());
  CHECK_FALSE(world.store->revoke_all(Actor::host(), "o", bad).ok());
  CHECK_FALSE(world.store->suspend(Actor::host(), "o", bad).ok());
  CHECK_FALSE(world.store->suspend(Actor::host(), bad).ok());
  CHECK_FALSE(world.store->set_policy(Actor::host(), {.longest_lifetime = 0}).ok());
  CHECK_FALSE(world.store->issue_many(Actor::host(), std::vector<IssueRequest>{{.owner = "o"}, {.owner = ""}}).ok());
  CHECK(world.backend->calls(test::Call::commit) == commits);
  CHECK(world.ask(token) == Reason::none);
}

TEST_CASE("an error is one impersonal line in lower case") {
  World world;
  world.issue("alice");
  std::vector<std::string> messages;
  const auto note = [&](const auto& result) {
    REQUIRE_FALSE(result.ok());
    messages.push_back(result.error().message());
  };
  note(world.store->issue(Actor::host(), {.owner = ""}));
  note(world.store->issue(Actor::host(), {.owner = "a", .description = "\n"}));
  note(world.store->issue(Actor::user(""), {.owner = "a"}));
  note(world.store->issue(Actor::user("b"), {.owner = "a"}));
  note(world.store->issue(Actor::host(), {.owner = "a", .scopes = {" "}}));
  note(world.store->get(Actor::host(), "x"));
  note(world.store->owner(Actor::host(), "x"));
  note(world.store->list(Actor::host(), {.limit = 0}));
  note(world.store->list(Actor::host(), {.cursor = "x"}));
  note(world.store->list_owners(Actor::host(), "\n"));
  note(world.store->purge(Actor::host(), never));
  note(world.store->set_policy(Actor::user("a"), {}));
  note(world.store->suspend(Actor::host(), "alice", "\n"));
  for (const std::string& message : messages) {
    CAPTURE(message);
    CHECK(message.size() > 10);
    CHECK_FALSE((message[0] >= 'A' && message[0] <= 'Z'));
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.find("the the") == std::string::npos);
    CHECK(message.back() != '.');
  }
}

TEST_CASE("what a store is opened with is checked") {
  const auto open_with = [](auto change) {
    World world;
    StoreOptions options = world.options();
    change(options);
    return TokenStore::open(memory_backend(), test::one_key(), options).status();
  };
  for (const std::string workspace : {"", "a\nb", "\xFF"}) {
    CHECK(open_with([&](StoreOptions& o) { o.workspace = workspace; }) == Status::invalid_argument);
  }
  CHECK(open_with([](StoreOptions& o) { o.workspace.assign(256, 'w'); }) == Status::invalid_argument);
  CHECK(open_with([](StoreOptions& o) { o.workspace.assign(255, '%'); }) == Status::ok);
  for (const std::string prefix : {"", "a", "A1", "1a", "a_", "_a", "a__b", "a-b", "aB", "abcdefghijklmnopqrstuvwxy"}) {
    CAPTURE(prefix);
    CHECK(open_with([&](StoreOptions& o) { o.prefix = prefix; }) == Status::invalid_argument);
  }
  for (const std::string prefix : {"ab", "a1", "a_b_c1", "abcdefghijklmnopqrstuvwx"}) {
    CHECK(open_with([&](StoreOptions& o) { o.prefix = prefix; }) == Status::ok);
  }
  CHECK(open_with([](StoreOptions& o) { o.use_interval = std::chrono::milliseconds{0}; }) == Status::invalid_argument);
  CHECK(open_with([](StoreOptions& o) { o.create_workspace = false; }) == Status::not_found);
  CHECK(TokenStore::open(nullptr, test::one_key()).status() == Status::invalid_argument);
  CHECK(TokenStore::open(memory_backend(), Keyring()).status() == Status::wrong_key);
}
