/// What a bank's writer does where it is stuck: readers that book a use just then, no room for a text, marks that are
/// alike.
#include <memory>
#include <set>

#include "unit/validate/table_world.hpp"
#include "validate/bank_writer.hpp"
#include "validate/slot_use.hpp"

using namespace tokenstore;
using namespace tokenstore::test;
using validate::BankWriter;
using validate::CacheBank;
using validate::PackedAddress;
using validate::PackedId;
using validate::Position;
using validate::ScopeSets;
using validate::UseWord;

namespace {

struct BankWorld {
  explicit BankWorld(std::size_t sets) : writer(sets, fingerprinter, scope_sets, figures) {}

  bool put(const Made& token, bool may_evict = true, EntryKind kind = EntryKind::live, UnixMillis used_at = 1) {
    validate::NewEntry entry;
    entry.print = fingerprinter.fingerprint(token.text);
    entry.kind = kind;
    entry.id = token.id;
    entry.owner = token.owner;
    entry.metadata = token.metadata;
    entry.used_at = used_at;
    const validate::LongText text{token.owner, {}, token.metadata};
    validate::Departures departures{0, displaced};
    return writer.put(entry, ScopeSets::none, token.metadata.empty() ? nullptr : &text, may_evict, departures);
  }
  Position where(const Made& token) const {
    const PackedId id = PackedId::of(token.id);
    return writer.find(writer.place_of(id), id);
  }
  bool has(const Made& token) const { return static_cast<bool>(where(token)); }
  Slot slot(const Made& token) { return writer.bank().slot(where(token)); }
  /// As a reader who is in the middle of booking a use from a new address.
  void lock(const Made& token) {
    change(token, [](std::uint64_t word) { return word | UseWord::lock; });
  }
  void unlock(const Made& token) {
    change(token, [](std::uint64_t word) { return word & ~UseWord::lock; });
  }
  template <typename Change>
  void change(const Made& token, const Change& to) {
    const Slot at = slot(token);
    at.store(Slot::use, to(at.load(Slot::use)));
  }
  void use(const Made& token, UnixMillis now) {
    const Slot at = slot(token);
    REQUIRE(validate::note_use(at, at.use_word(), now, {}));
  }
  std::size_t free_slots() {
    std::size_t count = 0;
    for (std::size_t number = 0; number < writer.bank().sets * CacheBank::ways; ++number) {
      count += writer.bank().is_free(CacheBank::position(static_cast<std::uint32_t>(number))) ? 1U : 0U;
    }
    return count;
  }

  SeededRandom random{7};
  validate::Fingerprinter fingerprinter{random};
  ScopeSets scope_sets;
  validate::CacheFigures figures;
  std::vector<Use> displaced;
  BankWriter writer;
};

constexpr std::uint64_t ways = CacheBank::ways;

Made with_text(std::uint64_t number, std::size_t slots) {
  Made token(number);
  token.metadata.assign(slots * validate::LongText::slot_octets - token.owner.size(), 'm');
  return token;
}

}  // namespace

TEST_CASE("a bank in which every entry is being used just now takes no other, and loses none") {
  BankWorld world(1);
  for (std::uint64_t number = 1; number <= ways; ++number) REQUIRE(world.put(Made(number)));
  REQUIRE(world.free_slots() == 0);
  for (std::uint64_t number = 1; number <= ways; ++number) world.lock(Made(number));
  CHECK_FALSE(world.put(Made(100)));
  for (std::uint64_t number = 1; number <= ways; ++number) CHECK(world.has(Made(number)));
  // All but one: that one goes.
  world.unlock(Made(5));
  CHECK(world.put(Made(100)));
  CHECK_FALSE(world.has(Made(5)));
  CHECK(world.figures.evictions == 1);
}

TEST_CASE("where all were in use of late, each cools but the one that is being used, and the idle goes next") {
  BankWorld world(1);
  for (std::uint64_t number = 1; number <= ways; ++number) {
    REQUIRE(world.put(Made(number)));
    world.use(Made(number), 10);
    REQUIRE(world.slot(Made(number)).use_word().heat() == 1);
  }
  world.lock(Made(1));
  REQUIRE(world.put(Made(100)));
  std::size_t gone = 0;
  for (std::uint64_t number = 2; number <= ways; ++number) {
    if (world.has(Made(number))) {
      CHECK(world.slot(Made(number)).use_word().heat() == 0);
    } else {
      ++gone;
    }
  }
  CHECK(gone == 1);
  CHECK(world.slot(Made(1)).use_word().heat() == 1);
}

TEST_CASE("who comes while another books a use leaves it to him") {
  BankWorld world(1);
  REQUIRE(world.put(Made(1)));
  world.lock(Made(1));
  const Slot slot = world.slot(Made(1));
  const std::uint64_t before = slot.load(Slot::use);
  CHECK(validate::note_use(slot, slot.use_word(), 50, PackedAddress::parse("192.0.2.1")));
  CHECK(slot.load(Slot::use) == before);
  // Given up meanwhile: the one who is booking finds out, and the slot is not filled before he has.
  validate::Departures departures{0, world.displaced};
  CHECK_FALSE(world.writer.remove(world.where(Made(1)), departures));
  CHECK(world.free_slots() == ways - 1);
}

TEST_CASE("of the gone that are being used just now none makes room for another") {
  BankWorld world(1);
  REQUIRE(world.put(Made(1), true, EntryKind::gone, 5));
  REQUIRE(world.put(Made(2), true, EntryKind::gone, 6));
  world.lock(Made(1));
  CHECK_FALSE(world.put(Made(3), true, EntryKind::gone, 7));
  CHECK_FALSE(world.has(Made(3)));
  CHECK(world.put(Made(4), true, EntryKind::gone, 8));
  CHECK(world.has(Made(4)));
  CHECK(world.has(Made(2)));
}

TEST_CASE("a guest that is being used is not sent from another's home") {
  // Entries away from their home are guests; with all of them locked nobody may move.
  BankWorld world(4);
  std::uint64_t number = 1;
  for (; world.free_slots() > ways; ++number) REQUIRE(world.put(Made(number), false));
  std::vector<Position> before;
  for (std::uint64_t at = 1; at < number; ++at) {
    world.lock(Made(at));
    before.push_back(world.where(Made(at)));
  }
  const std::uint64_t first_new = number;
  for (; world.free_slots() > 0 && number < first_new + 100; ++number)
    static_cast<void>(world.put(Made(number), false));
  CHECK(number > first_new);
  for (std::uint64_t at = 1; at < first_new; ++at) CHECK(world.where(Made(at)) == before[at - 1]);
}

TEST_CASE("a text that a bank cannot hold even empty leaves no trace of itself") {
  BankWorld world(2);
  for (std::uint64_t number = 1; number <= ways; ++number) REQUIRE(world.put(Made(number)));
  CHECK_FALSE(world.put(with_text(100, 2 * ways + 5)));
  CHECK_FALSE(world.has(with_text(100, 1)));
  CHECK(world.free_slots() == 2 * ways);
  CHECK(world.figures.live == 0);
  CHECK(world.put(with_text(101, 2 * ways - 1)));
  CHECK(world.free_slots() == 0);
}

TEST_CASE("a text among entries that were all used of late cools them, and takes the place of some") {
  BankWorld world(2);
  std::uint64_t count = 0;
  while (world.free_slots() > 2) REQUIRE(world.put(Made(++count), false));
  for (std::uint64_t number = 1; number <= count; ++number) {
    for (const UnixMillis now : {10, 20, 30}) world.use(Made(number), now);
    REQUIRE(world.slot(Made(number)).use_word().heat() == 3);
  }
  REQUIRE(world.put(with_text(100, 6)));
  CHECK(world.has(with_text(100, 6)));
  std::size_t left = 0;
  for (std::uint64_t number = 1; number <= count; ++number) {
    if (!world.has(Made(number))) continue;
    ++left;
    CHECK(world.slot(Made(number)).use_word().heat() == 2);
  }
  CHECK(left < count);
  CHECK(left >= count - 6);
  CHECK(world.free_slots() + left + 7 == 2 * ways);
}

TEST_CASE("an entry of another bank is taken over with its use, or not at all where its text has no room") {
  BankWorld from(2);
  REQUIRE(from.put(with_text(1, 3)));
  REQUIRE(from.put(Made(2), true, EntryKind::live, 7));
  BankWorld to(1);
  while (to.free_slots() > 2) REQUIRE(to.put(Made(100 + to.free_slots()), false));
  const Made large = with_text(1, 3);
  const validate::LongText text{large.owner, {}, large.metadata};
  CHECK_FALSE(to.writer.adopt(from.slot(Made(1)), from.slot(Made(1)).use_word(), &text));
  CHECK(to.free_slots() == 2);
  // A use that is being booked comes along without its address, which is half written.
  const UseWord booked{UseWord::pack(7, 3, 1, PackedAddress::Kind::ipv4) | UseWord::lock};
  BankWorld same(1);
  const Slot entry = from.slot(Made(2));
  REQUIRE(same.writer.adopt(entry, booked, nullptr));
  std::size_t found = 0;
  for (std::size_t way = 0; way < ways; ++way) {
    if (!same.writer.bank().holds_entry({0, way})) continue;
    ++found;
    const UseWord use = same.writer.bank().slot(0, way).use_word();
    CHECK(use.time() == 7);
    CHECK(use.heat() == 1);
    CHECK_FALSE(use.locked());
    CHECK(use.address_kind() == PackedAddress::Kind::none);
    CHECK(same.writer.bank().slot(0, way).id().text() == PackedId::of(Made(2).id).text());
  }
  CHECK(found == 1);
}

TEST_CASE("ids that share a mark are told apart") {
  BankWorld world(1);
  for (std::uint64_t number = 1; number <= ways; ++number) REQUIRE(world.put(Made(number)));
  std::set<std::uint16_t> marks;
  for (std::uint64_t number = 1; number <= ways; ++number) {
    marks.insert(CacheBank::mark_of(world.writer.place_of(PackedId::of(Made(number).id))));
  }
  std::size_t alike = 0;
  for (std::uint64_t number = 1'000; number < 101'000; ++number) {
    const PackedId id = PackedId::of(Made(number).id);
    alike += marks.count(CacheBank::mark_of(world.writer.place_of(id)));
    if (world.writer.find(world.writer.place_of(id), id)) FAIL(number);
  }
  CHECK(alike > 0);
}

TEST_CASE("a mark that only looks like another, beside one that is it, is not taken for it") {
  BankWorld world(1);
  const PackedId id = PackedId::of(Made(1).id);
  const std::uint64_t place = world.writer.place_of(id);
  const std::uint16_t mark = CacheBank::mark_of(place);
  const CacheBank& bank = world.writer.bank();
  bank.set_mark({0, 0}, mark);
  bank.set_mark({0, 1}, static_cast<std::uint16_t>(mark ^ 1U));
  CHECK(bank.candidates(0, mark) == 0b11);
  CHECK_FALSE(bank.find(place, id));
}

TEST_CASE("an entry whose set of scopes retires goes where no room is left for a text of its own") {
  BankWorld world(1);
  const std::uint16_t set = world.scope_sets.add("read");
  const auto put = [&](std::uint64_t number) {
    const Made token(number);
    validate::NewEntry entry;
    entry.print = world.fingerprinter.fingerprint(token.text);
    entry.id = token.id;
    entry.owner = token.owner;
    entry.scopes = "read";
    validate::Departures departures{0, world.displaced};
    REQUIRE(world.writer.put(entry, set, nullptr, false, departures));
  };
  for (std::uint64_t number = 1; number <= ways; ++number) put(number);
  for (std::uint64_t index = 2; index < 1024; ++index) {
    const std::uint16_t other = world.scope_sets.add("s" + std::to_string(index));
    for (std::uint64_t held = 0; held < ways + 1; ++held) world.scope_sets.hold(other);
  }
  for (int asked = 0; asked < 1'000 && !world.scope_sets.any_retiring(); ++asked) world.scope_sets.add("wanted");
  REQUIRE(world.scope_sets.retiring(set));
  validate::Departures departures{0, world.displaced};
  // Whoever goes first makes room for the texts of those after.
  for (std::size_t round = 0; round < 4 && world.scope_sets.any_retiring(); ++round) {
    world.writer.replace_retiring_scopes(departures);
  }
  CHECK_FALSE(world.scope_sets.any_retiring());
  std::size_t left = 0;
  for (std::uint64_t number = 1; number <= ways; ++number) {
    const Made token(number);
    if (!world.has(token)) continue;
    ++left;
    validate::LongTextCopy copy;
    REQUIRE(copy_long_text(world.writer.bank(), world.slot(token), copy));
    CHECK(copy.text().owner == token.owner);
    CHECK(copy.text().scopes == "read");
  }
  CHECK(left == ways / 2);
  CHECK(world.figures.evictions == ways - left);
  CHECK(world.scope_sets.add("wanted") == set);
}
