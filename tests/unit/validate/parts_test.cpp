/// The small parts of the validator: addresses, use words, generations, scope sets, long texts, what was evicted, the
/// log.
#include <set>
#include <thread>

#include "unit/validate/table_world.hpp"
#include "validate/failures.hpp"
#include "validate/full_check.hpp"
#include "validate/generations.hpp"
#include "validate/pages.hpp"
#include "validate/use_log.hpp"
#include "validate/verdict_writer.hpp"

using namespace tokenstore;
using namespace tokenstore::test;
using validate::Generations;
using validate::PackedAddress;
using validate::ScopeSets;
using validate::UseWord;

namespace {

std::uint16_t add_used(ScopeSets& sets, const std::string& scopes) {
  const std::uint16_t place = sets.add(scopes);
  sets.hold(place);
  return place;
}

}  // namespace

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
  SeededRandom random(7);
  const validate::Fingerprinter fingerprinter(random);
  Generations generations(fingerprinter);
  const std::uint16_t alice = generations.group_of("alice");
  const std::uint16_t bob = generations.group_of("bob");
  REQUIRE(alice != bob);
  generations.raise(alice);
  CHECK(generations.of(alice) == 1);
  CHECK(generations.of(bob) == 0);
  generations.raise_all();
  CHECK(generations.of(alice) == 2);
  CHECK(generations.of(bob) == 1);
  std::set<std::uint16_t> groups;
  for (int i = 0; i < 100'000; ++i) groups.insert(generations.group_of(std::to_string(i)));
  CHECK(groups.size() == Generations::groups);
}

TEST_CASE("names that share a group in one process do not in another: nobody chooses a victim's group") {
  SeededRandom random(7);
  const validate::Fingerprinter here(random);
  const validate::Fingerprinter there(random);
  const Generations in_this(here);
  const Generations in_that(there);
  const std::uint16_t victim = in_this.group_of("victim");
  int sharing = 0;
  int sharing_there = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::string name = "mallory" + std::to_string(i);
    if (in_this.group_of(name) != victim) continue;
    ++sharing;
    sharing_there += in_that.group_of(name) == in_that.group_of("victim") ? 1 : 0;
  }
  CHECK(sharing > 5);
  CHECK(sharing_there <= 2);
}

TEST_CASE("scope sets are kept once, up to their limits") {
  validate::ScopeSets sets;
  CHECK(sets.at(ScopeSets::none).text().empty());
  CHECK(sets.add("") == ScopeSets::none);
  CHECK(add_used(sets, "read") == 1);
  CHECK(add_used(sets, "read write") == 2);
  CHECK(sets.add("read") == 1);
  CHECK(sets.at(2).text() == "read write");
  const std::string longest(ScopeSets::longest, 'l');
  CHECK(sets.at(add_used(sets, longest)).text() == longest);
  CHECK(sets.add(longest + "l") == ScopeSets::none);
  for (int i = 4; i < 1024; ++i) CHECK(add_used(sets, "s" + std::to_string(i)) == i);
  CHECK(sets.add("one too many") == ScopeSets::none);
  CHECK(sets.add("s1000") == 1000);
  CHECK(sets.bytes() <= sets.limit());
}

TEST_CASE("a set of scopes that no token has any more makes room for another") {
  validate::ScopeSets sets;
  for (int i = 1; i < 1024; ++i) add_used(sets, "s" + std::to_string(i));
  REQUIRE(sets.add("new") == ScopeSets::none);
  sets.release(700);
  CHECK(sets.add("new") == 700);
  CHECK(sets.at(700).text() == "new");
  sets.hold(700);
  CHECK(sets.add("s700") == ScopeSets::none);
}

TEST_CASE("a set of scopes that is asked for more often than another is used takes its place") {
  validate::ScopeSets sets;
  for (int i = 1; i < 1024; ++i) {
    add_used(sets, "s" + std::to_string(i));
    sets.hold(static_cast<std::uint16_t>(i));  // two tokens each
  }
  int asked = 0;
  for (; asked < 100 && !sets.any_retiring(); ++asked) CHECK(sets.add("wanted") == ScopeSets::none);
  CHECK(asked > 4);
  REQUIRE(sets.any_retiring());
  std::uint16_t retiring = 1;
  while (!sets.retiring(retiring)) ++retiring;
  CHECK(sets.add("s" + std::to_string(retiring)) == ScopeSets::none);
  sets.release(retiring);
  CHECK(sets.any_retiring());
  sets.release(retiring);
  CHECK_FALSE(sets.any_retiring());
  CHECK(sets.add("wanted") == retiring);
  // Those that each ask once do not get there.
  validate::ScopeSets full;
  for (int i = 1; i < 1024; ++i) add_used(full, "s" + std::to_string(i));
  for (int i = 0; i < 10'000; ++i) full.add("once" + std::to_string(i));
  CHECK_FALSE(full.any_retiring());
}

TEST_CASE("where every set of scopes retires already, one more that is wanted waits") {
  validate::ScopeSets sets;
  for (int i = 1; i < 1024; ++i) add_used(sets, "s" + std::to_string(i));
  const auto all_retire = [&] {
    for (std::uint16_t index = 1; index < 1024; ++index)
      if (!sets.retiring(index)) return false;
    return true;
  };
  int asked = 0;
  for (; asked < 100'000 && !all_retire(); ++asked) REQUIRE(sets.add("wanted") == ScopeSets::none);
  REQUIRE(all_retire());
  for (int i = 0; i < 100; ++i) CHECK(sets.add("wanted") == ScopeSets::none);
  sets.release(7);
  CHECK(sets.add("wanted") == 7);
}

TEST_CASE("a set that was asked for often keeps its turn against strangers who come once") {
  validate::ScopeSets sets;
  for (int i = 1; i < 1024; ++i) {
    add_used(sets, "s" + std::to_string(i));
    sets.hold(static_cast<std::uint16_t>(i));
  }
  // A set retires after 13 askings; strangers share its counter about once in 64.
  for (int i = 0; i < 9; ++i) sets.add("wanted");
  for (int i = 0; i < 128; ++i) sets.add("once" + std::to_string(i));
  CHECK_FALSE(sets.any_retiring());
  int more = 0;
  for (; more < 13 && !sets.any_retiring(); ++more) sets.add("wanted");
  CHECK(sets.any_retiring());
  CHECK(more < 13);
}

TEST_CASE("a set whose text has an empty part has no bit for that") {
  validate::ScopeSets sets;
  const std::uint16_t place = sets.add("read  write");
  CHECK(sets.at(place).text() == "read  write");
  CHECK(sets.wanted("").bit == 0);
  const std::uint64_t both = sets.wanted("read").bit | sets.wanted("write").bit;
  CHECK(both != 0);
  CHECK(sets.at(place).bits() == both);
}

TEST_CASE("a wanted scope is found by its bit, and one that has none is known to have none") {
  validate::ScopeSets sets;
  // Asked for before any set has it: no bit yet.
  CHECK(sets.wanted("scope:7").bit == 0);
  // Far more scopes than there are bits.
  constexpr std::size_t count = 3 * ScopeSets::most_bits;
  std::vector<std::string> scopes;
  for (std::size_t i = 0; i < count; ++i) scopes.push_back("scope:" + std::to_string(i));
  for (std::size_t i = 0; i + 1 < count; ++i) REQUIRE(add_used(sets, scopes[i] + " " + scopes[i + 1]) == i + 1);
  std::size_t with_bit = 0;
  for (std::size_t wanted = 0; wanted < count; ++wanted) {
    const std::uint64_t bit = sets.wanted(scopes[wanted]).bit;
    with_bit += bit != 0 ? 1 : 0;
    for (std::size_t i = 0; i + 1 < count && bit != 0; ++i) {
      const bool has = (sets.at(static_cast<std::uint16_t>(i + 1)).bits() & bit) != 0;
      if (has != (wanted == i || wanted == i + 1)) FAIL(wanted << " in " << i);
    }
  }
  CHECK(with_bit == ScopeSets::most_bits);
  for (const char* none : {"", " ", "scope", "scope:1 scope:2", "scope:12 ", " scope:1", "SCOPE:1"}) {
    CHECK(sets.wanted(none).bit == 0);
  }
}

TEST_CASE("a long text comes back whole, and a reference that leads nowhere is noticed") {
  const validate::CacheBank bank(8);
  const validate::Position head{3, 5};
  std::string metadata;
  for (std::size_t size : {std::size_t{1}, std::size_t{95}, std::size_t{96}, std::size_t{97}, metadata_max}) {
    metadata.assign(size, 'm');
    metadata.back() = 'z';
    const validate::LongText text{"owner", "s t", metadata};
    std::vector<validate::Position> slots;
    for (std::uint32_t i = 0; i < text.slots(); ++i) slots.push_back(validate::CacheBank::position(127 - i));
    write_long_text(bank, slots, head, text);
    const Slot entry = bank.slot(head);
    entry.store(Slot::owner, text.packed_sizes());
    entry.store(Slot::generation_and_text, (std::uint64_t{validate::CacheBank::number(slots[0])} + 1) << 32);
    LongTextCopy copy;
    REQUIRE(copy_long_text(bank, entry, copy));
    CHECK(copy.text().owner == "owner");
    CHECK(copy.text().scopes == "s t");
    CHECK(copy.text().metadata == metadata);
    CHECK(head_of_text(bank, slots.back()) == head);
    CHECK_FALSE(bank.holds_entry(slots.front()));
    // More than its slots hold.
    const std::string longer(metadata.size() + validate::LongText::slot_octets, 'm');
    entry.store(Slot::owner, validate::LongText{"owner", "s t", longer}.packed_sizes());
    CHECK_FALSE(copy_long_text(bank, entry, copy));
    entry.store(Slot::owner, text.packed_sizes());
    entry.store(Slot::generation_and_text, std::uint64_t{1'000'000} << 32);
    CHECK_FALSE(copy_long_text(bank, entry, copy));
    entry.store(Slot::owner, ~std::uint64_t{0});
    CHECK_FALSE(copy_long_text(bank, entry, copy));
    for (const auto slot : slots) bank.slot(slot).end_write();
  }
}

TEST_CASE("prints and words of ids are the same only if both their halves are") {
  using validate::Fingerprint;
  using validate::IdWords;
  CHECK(Fingerprint{1, 2} == Fingerprint{1, 2});
  CHECK_FALSE(Fingerprint{1, 2} == Fingerprint{1, 3});
  CHECK_FALSE(Fingerprint{1, 2} == Fingerprint{3, 2});
  CHECK_FALSE(IdWords{1, 2} == IdWords{1, 3});
}

TEST_CASE("a text that is empty still takes a slot, and one octet more than fits takes another") {
  using validate::LongText;
  CHECK(LongText{}.slots() == 1);
  const std::string full(LongText::slot_octets, 'm');
  CHECK(LongText{{}, {}, full}.slots() == 1);
  CHECK(LongText{"o", {}, full}.slots() == 2);
}

TEST_CASE("memory that the system does not give is none, and nothing is done to it") {
  validate::Pages none(std::size_t{1} << 62);
  CHECK(none.words() == nullptr);
  CHECK(none.bytes() == 0);
  none.discard(0, 1 << 20);
  validate::Pages empty(0);
  CHECK(empty.words() == nullptr);
  validate::Pages some(1 << 16);
  some.words()[0] = 1;
  some.words()[1024] = 2;
  some.discard(0, 100);  // less than a page
  CHECK(some.words()[0] == 1);
  some.discard(0, 4096);
  CHECK(some.words()[0] == 0);
  CHECK(some.words()[1024] == 2);
}

TEST_CASE("a verdict holds no more than the library writes, and copies itself unharmed") {
  Verdict verdict;
  const std::string id(token_id_size, '1');
  const auto identified = [&](std::size_t id_size, std::size_t owner, std::size_t scopes, std::size_t metadata) {
    VerdictWriter(verdict).identify(Reason::none, std::string(id_size, '1'), std::string(owner, 'o'),
                                    std::string(scopes, 's'), std::string(metadata, 'm'), 5);
    return verdict.valid();
  };
  constexpr std::size_t most_scopes = scopes_max * (scope_max + 1);
  CHECK(identified(token_id_size, owner_max, most_scopes, metadata_max));
  const Verdict& same = verdict;
  verdict = same;
  CHECK(verdict.id() == id);
  CHECK(verdict.metadata() == std::string(metadata_max, 'm'));
  const std::array<std::size_t, 4> sizes[] = {{token_id_size - 1, 1, 1, 1},
                                              {token_id_size, owner_max + 1, 1, 1},
                                              {token_id_size, 1, most_scopes + 1, 1},
                                              {token_id_size, 1, 1, metadata_max + 1}};
  for (const auto& [id_size, owner, scopes, metadata] : sizes) {
    CHECK_FALSE(identified(id_size, owner, scopes, metadata));
    CHECK(verdict.reason() == Reason::tampered);
    CHECK(verdict.owner().empty());
    CHECK(verdict.expires_at() == 0);
  }
}

TEST_CASE("only what nothing speaks against is valid") {
  using validate::FullCheck;
  CHECK(FullCheck::outcome_of(Reason::none) == Outcome::valid);
  CHECK(FullCheck::outcome_of(Reason::storage) == Outcome::unavailable);
  CHECK(FullCheck::outcome_of(Reason::tampered) == Outcome::invalid);
}

TEST_CASE("the latest failure is whole, however many fail at once, and a child begins without one") {
  validate::Failures failures;
  CHECK_FALSE(failures.latest());
  std::vector<std::thread> failing;
  for (char name = 'a'; name < 'd'; ++name) {
    failing.emplace_back([&failures, name] {
      for (int i = 0; i < 20'000; ++i) failures.note(Error(Status::unavailable, std::string(100, name)), name);
    });
  }
  for (int read = 0; read < 1'000;) {
    const auto latest = failures.latest();
    if (!latest) continue;
    ++read;
    const std::string& line = latest->error.message();
    if (line != std::string(100, static_cast<char>(latest->at))) FAIL(line);
  }
  for (std::thread& thread : failing) thread.join();
  failures.note(Error(Status::unavailable, "the last"), 7);
  CHECK(failures.latest()->error.message() == "the last");
  // A child leaves its parent's line where it is; this one is so short that nothing is allocated for it.
  validate::Failures inherited;
  inherited.note(Error(Status::unavailable, "short"), 7);
  CHECK(inherited.latest());
  inherited.start_afresh();
  CHECK_FALSE(inherited.latest());
}

TEST_CASE("whoever comes back is told when he was last here, strangers are not") {
  validate::Evicted evicted(4096);
  const auto place = [](std::uint64_t number) { return number * 0x9E37'79B9'7F4A'7C15U; };
  const UnixMillis base = 1'790'000'000'000;
  for (std::uint64_t i = 1; i <= 200; ++i) evicted.note(place(i), base + static_cast<UnixMillis>(i));
  int strangers = 0;
  for (std::uint64_t i = 1'000; i < 3'000; ++i) strangers += evicted.take(place(i)) != 0 ? 1 : 0;
  CHECK(strangers < 20);
  int known = 0;
  for (std::uint64_t i = 1; i <= 200; ++i) {
    const UnixMillis then = evicted.take(place(i));
    if (then == base + static_cast<UnixMillis>(i)) ++known;
    CHECK((then == 0 || then == base + static_cast<UnixMillis>(i)));
    CHECK(evicted.take(place(i)) == 0);
  }
  CHECK(known > 150);
}

TEST_CASE("who was never used, or came before the clock of the memory turned over, is told apart") {
  validate::Evicted evicted(64);
  evicted.note(1, 0);
  evicted.note(1, -5);
  CHECK(evicted.take(1) == 0);
  // The lower bits of the time are kept: a memory from before they turned over is older than the latest.
  constexpr UnixMillis turn = UnixMillis{1} << 22;
  std::uint64_t other = 2;
  validate::Evicted both(1 << 16);
  both.note(1, 400 * turn - 10);
  both.note(other << 40, 400 * turn + 10);
  CHECK(both.take(1) == 400 * turn - 10);
  CHECK(both.take(other << 40) == 400 * turn + 10);
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
