/// Lists: pages, cursors, filters.
#include <algorithm>
#include <set>

#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

TEST_CASE("paging sees each of 2,500 tokens once, newest first, while others come and go") {
  World world;
  std::set<std::string> stay;
  std::vector<std::string> go;
  std::vector<IssueRequest> hundred(100, IssueRequest{.owner = "alice", .description = "old"});
  for (int i = 0; i < 25; ++i) {
    const auto made = world.store->issue_many(Actor::host(), hundred).value();
    for (const Issued& issued : made) stay.insert(issued.info.id);
    go.push_back(world.store->issue(Actor::host(), {.owner = "alice"}).value().info.id);
    world.clock->advance(1);
  }
  for (const std::size_t limit : {std::size_t{1000}, std::size_t{97}}) {
    for (const std::string owner : {"", "alice"}) {
      std::multiset<std::string> seen;
      std::string last;
      ListQuery query{.owner = owner, .limit = limit};
      do {
        const auto page = world.store->list(Actor::host(), query).value();
        CHECK(page.tokens.size() <= limit);
        for (const TokenInfo& token : page.tokens) {
          CHECK((last.empty() || token.id < last));
          last = token.id;
          if (token.description == "old") seen.insert(token.id);
        }
        query.cursor = page.next;
        REQUIRE(world.store->issue(Actor::host(), {.owner = "alice", .description = "new"}).ok());
        if (!go.empty()) {
          REQUIRE(world.store->remove(Actor::host(), go.back()).ok());
          go.pop_back();
        }
      } while (!query.cursor.empty());
      CHECK(std::equal(seen.begin(), seen.end(), stay.begin(), stay.end()));
    }
  }
}

TEST_CASE("page sizes are 1 to 1,000") {
  World world;
  for (int i = 0; i < 3; ++i) world.issue("alice");
  for (const std::size_t bad : {std::size_t{0}, std::size_t{1001}, std::size_t{1'000'000}, ~std::size_t{0}}) {
    CHECK(world.store->list(Actor::host(), {.limit = bad}).status() == Status::invalid_argument);
    CHECK(world.store->list_owners(Actor::host(), {}, bad).status() == Status::invalid_argument);
  }
  CHECK(world.store->list(Actor::host(), {.limit = 1}).value().tokens.size() == 1);
  CHECK(world.store->list(Actor::host(), {.limit = 1000}).value().tokens.size() == 3);
}

TEST_CASE("an unknown or malformed cursor is refused, and a foreign one shows nothing foreign") {
  World world;
  for (int i = 0; i < 3; ++i) world.issue("alice");
  const auto bobs = world.issue("bob");
  for (int i = 0; i < 3; ++i) world.issue("alice");
  const std::string bad[] = {"x",
                             "c1",
                             "c2" + bobs.id,
                             bobs.id,
                             "c1" + bobs.id + "x",
                             "c1%%%%%%%%%%%%%%%%",
                             "c1' OR 1=1 --    ",
                             std::string("c1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18),
                             std::string(100'000, 'c')};
  for (const std::string& cursor : bad) {
    CHECK(world.store->list(Actor::user("alice"), {.cursor = cursor}).status() == Status::invalid_argument);
  }
  // A cursor says where to go on, never whose tokens: somebody else's works, and shows one's own.
  const auto foreign = world.store->list(Actor::user("bob"), {}).value();
  CHECK(foreign.next.empty());
  const auto shown = world.store->list(Actor::user("alice"), {.cursor = "c1" + bobs.id}).value();
  for (const TokenInfo& token : shown.tokens) CHECK(token.owner == "alice");
  CHECK(world.store->list(Actor::host(), {.cursor = "c10000000000000000"}).value().tokens.empty());
  CHECK(world.store->list(Actor::host(), {.cursor = "c1zzzzzzzzzzzzzzzz"}).value().tokens.size() == 7);
}

TEST_CASE("the text filter is literal and ignores ASCII case only") {
  World world;
  for (const std::string description : {"100% done", "100 done", "a_b", "aXb", "O'Brien", "quote \"x\"", "Back\\slash",
                                        "LAPTOP", "\xC3\x89t\xC3\xA9"}) {
    world.issue(IssueRequest{.owner = "alice", .description = description});
  }
  const auto found = [&](const std::string& text) {
    return world.store->list(Actor::user("alice"), {.text = text}).value().tokens.size();
  };
  CHECK(found("%") == 1);
  CHECK(found("100%") == 1);
  CHECK(found("100") == 2);
  CHECK(found("_") == 1);
  CHECK(found("a_b") == 1);
  CHECK(found("A_B") == 1);
  CHECK(found("'") == 1);
  CHECK(found("o'brien") == 1);
  CHECK(found("\"") == 1);
  CHECK(found("\\") == 1);
  CHECK(found("*") == 0);
  CHECK(found("laptop") == 1);
  CHECK(found("' OR 1=1 --") == 0);
  CHECK(found(std::string("\0", 1)) == 0);
  CHECK(found(std::string("100\0", 4)) == 0);
  CHECK(found("\xFF") == 0);
  CHECK(found("\xC3\x89") == 1);
  CHECK(found("\xC3\xA9T") == 0);
  CHECK(found("") == 9);
  CHECK(found(std::string(100'000, 'a')) == 0);
}

TEST_CASE("owners are listed by name in octet order, each once") {
  World world;
  std::vector<std::string> names;
  for (int i = 0; i < 55; ++i) names.push_back("owner " + std::to_string(i * 7919 % 1000));
  names.insert(names.end(), {"%", "'", "A", "a", "\xC3\xA9"});
  for (const std::string& name : names) world.issue(name);
  std::sort(names.begin(), names.end());
  for (const std::size_t limit : {std::size_t{1}, std::size_t{7}, std::size_t{1000}}) {
    std::vector<std::string> seen;
    std::string cursor;
    do {
      const auto page = world.store->list_owners(Actor::host(), cursor, limit).value();
      for (const OwnerInfo& owner : page.owners) seen.push_back(owner.owner);
      cursor = page.next;
    } while (!cursor.empty());
    CHECK(seen == names);
  }
}
