/// The small parts of the validator: addresses, use words, generations, scope sets, the pool, the log.
#include <set>

#include "unit/validate/table_world.hpp"
#include "validate/generations.hpp"
#include "validate/use_log.hpp"

using namespace tokenstore;
using namespace tokenstore::test;
using validate::Generations;
using validate::PackedAddress;
using validate::UseWord;

TEST_CASE("addresses are packed and come back in the form of RFC 5952") {
  const std::pair<const char*, const char*> same[] = {
      {"192.0.2.1", "192.0.2.1"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  };
  for (const auto& [from, to] : same) CHECK(PackedAddress::parse(from).text() == to);
}

TEST_CASE("what is not an address is not packed") {
  using namespace std::string_view_literals;
  for (const std::string_view text : {""sv,
                                      "localhost"sv,
                                      "1.2.3"sv,
                                      "1.2.3.4.5"sv,
                                      "01.2.3.4"sv,
                                      "256.1.1.1"sv,
                                      "1.2.3.4 "sv,
                                      " 1.2.3.4"sv,
                                      "1..2.3"sv,
                                      "1.2.3."sv,
                                      ".1.2.3"sv,
                                      "-1.2.3.4"sv,
                                      "1.2.3.4\0"sv,
                                      "::1\0"sv,
                                      "\0"sv,
                                      ":::"sv,
                                      "1::2::3"sv,
                                      "12345::"sv,
                                      "fe80::1%eth0"sv,
                                      "[::1]"sv,
                                      "1.2.3.4:80"sv,
                                      "::ffff:1.2.3.4.5"sv,
                                      "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"sv}) {
    INFO(text);
    CHECK(PackedAddress::parse(text).kind == PackedAddress::Kind::none);
    CHECK(PackedAddress::parse(text).text().empty());
  }
}

TEST_CASE("a use word keeps time, version, heat, lock and kind apart") {
  const UnixMillis latest = (UnixMillis{1} << 48) - 1;
  for (const UnixMillis time : {UnixMillis{0}, UnixMillis{1}, latest_time, latest}) {
    for (const unsigned version : {0U, 1U, 2047U}) {
      for (std::uint64_t heat = 0; heat <= UseWord::hottest; ++heat) {
        const UseWord use{UseWord::pack(time, version, heat, PackedAddress::Kind::ipv6)};
        CHECK(use.time() == time);
        CHECK(use.version() == version);
        CHECK(use.heat() == heat);
        CHECK_FALSE(use.locked());
        CHECK(use.address_kind() == PackedAddress::Kind::ipv6);
        const UseWord locked{use.word | UseWord::lock};
        CHECK(locked.locked());
        CHECK(locked.time() == time);
        CHECK(locked.version() == version);
      }
    }
  }
  // The version wraps within its bits.
  CHECK(UseWord{UseWord::pack(1, 2048, 0, PackedAddress::Kind::none)}.version() == 0);
  CHECK(UseWord{UseWord::pack(1, 2048, 0, PackedAddress::Kind::none)}.time() == 1);
}

TEST_CASE("a change raises the generation of its group alone, and a change of everything each") {
  Generations generations;
  const std::uint16_t alice = Generations::group_of("alice");
  const std::uint16_t bob = Generations::group_of("bob");
  REQUIRE(alice != bob);
  generations.raise(alice);
  CHECK(generations.of(alice) == 1);
  CHECK(generations.of(bob) == 0);
  generations.raise_all();
  CHECK(generations.of(alice) == 2);
  CHECK(generations.of(bob) == 1);
  std::set<std::uint16_t> groups;
  for (int i = 0; i < 100'000; ++i) groups.insert(Generations::group_of(std::to_string(i)));
  CHECK(groups.size() == Generations::groups);
}

TEST_CASE("scope sets are kept once, up to their limits") {
  validate::ScopeSets sets;
  CHECK(sets.at(validate::ScopeSets::none).text.empty());
  CHECK(sets.add("read") == 1);
  CHECK(sets.add("read write") == 2);
  CHECK(sets.add("read") == 1);
  CHECK(sets.at(2).text == "read write");
  for (int i = 3; i < 1024; ++i) CHECK(sets.add("s" + std::to_string(i)) == i);
  CHECK(sets.add("one too many") == validate::ScopeSets::none);
  CHECK(sets.add("s1000") == 1000);
  validate::ScopeSets small(10);
  CHECK(small.add("12345") == 1);
  CHECK(small.add("123456") == validate::ScopeSets::none);
  CHECK(small.bytes() <= small.limit());
}

TEST_CASE("a wanted scope is found in a set whether it has a bit or not") {
  validate::ScopeSets sets;
  // Asked for before any set has it: no bit yet, and found all the same.
  const validate::ScopeSets::Wanted early = sets.wanted("scope:7");
  CHECK(early.bit == 0);
  // Far more scopes than there are bits.
  constexpr std::size_t count = 3 * validate::ScopeSets::most_bits;
  std::vector<std::string> scopes;
  for (std::size_t i = 0; i < count; ++i) scopes.push_back("scope:" + std::to_string(i));
  for (std::size_t i = 0; i + 1 < count; ++i) REQUIRE(sets.add(scopes[i] + " " + scopes[i + 1]) == i + 1);
  std::size_t with_bit = 0;
  for (std::size_t wanted = 0; wanted < count; ++wanted) {
    const validate::ScopeSets::Wanted asked = sets.wanted(scopes[wanted]);
    with_bit += asked.bit != 0 ? 1 : 0;
    for (std::size_t i = 0; i + 1 < count; ++i) {
      if (asked.in(sets.at(static_cast<std::uint16_t>(i + 1))) != (wanted == i || wanted == i + 1))
        FAIL(wanted << " in " << i);
    }
  }
  CHECK(with_bit == validate::ScopeSets::most_bits);
  CHECK(early.in(sets.at(8)));
  CHECK_FALSE(early.in(sets.at(9)));
  for (const char* none : {"", " ", "scope", "scope:1 scope:2", "scope:12 ", " scope:1", "SCOPE:1"}) {
    CHECK_FALSE(sets.wanted(none).in(sets.at(1)));
  }
}

TEST_CASE("the pool keeps to its budget and recycles by size") {
  validate::ExtraPool pool(64 * 10);
  const std::string text(100, 'x');
  std::vector<std::uint32_t> blocks;
  while (const std::uint32_t block = pool.put({text, "s", "m"}, 64 * 8)) blocks.push_back(block);
  CHECK(blocks.size() == 4);
  CHECK(pool.bytes() <= 64 * 8);
  CHECK(pool.put({"a", "b", "c"}, 64 * 8) == 0);
  CHECK(pool.put({"a", "b", "c"}, 64 * 9) != 0);
  pool.recycle(blocks[0]);
  CHECK(pool.put({text, "t", "n"}, 64 * 8) == blocks[0]);
  auto copy = std::make_unique<ExtraCopy>();
  REQUIRE(pool.copy(blocks[0], *copy));
  CHECK(copy->text().owner == text);
  CHECK(copy->text().scopes == "t");
  CHECK(copy->text().metadata == "n");
  CHECK_FALSE(pool.copy(1'000'000, *copy));
}

TEST_CASE("the log of uses keeps the later of two, and no more than it may") {
  validate::UseLog log(2);
  log.note("a", 5, "192.0.2.1");
  log.note("a", 4, "192.0.2.2");
  log.note("b", 1, "");
  log.note("c", 1, "");
  CHECK(log.find("a")->used_at == 5);
  CHECK(log.find("a")->used_from == "192.0.2.1");
  CHECK_FALSE(log.find("c"));
  CHECK(log.take(1, "").at(0).id == "a");
  log.note("a", 6, "");
  CHECK(log.take(5, "a").at(0).id == "b");
  CHECK(log.take(5, "a").empty());
  CHECK(log.take(5, "").size() == 1);
}
