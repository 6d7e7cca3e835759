#include <atomic>
#include <cstdlib>
#include <thread>

#include "unit/validate/table_world.hpp"

using namespace tokenstore;
using namespace tokenstore::test;
using validate::Slot;

namespace {

std::uint64_t fill(TableWorld& world, std::uint64_t from, std::uint64_t count, UnixMillis used_at = 1) {
  std::uint64_t most = 0;
  for (std::uint64_t number = from; number < from + count; ++number) {
    world.put(Made(number), used_at);
    most = std::max(most, world.table.bytes());
  }
  return most;
}

std::uint64_t hits(const TableWorld& world, std::uint64_t from, std::uint64_t count) {
  std::uint64_t found = 0;
  for (std::uint64_t number = from; number < from + count; ++number) found += world.has(Made(number)) ? 1U : 0U;
  return found;
}

}  // namespace

TEST_CASE("the table hands back what was put in, and nothing else") {
  TableWorld world(1 << 20);
  for (std::uint64_t number = 1; number <= 500; ++number) REQUIRE(world.put(Made(number)));
  CHECK(world.table.live() == 500);
  for (std::uint64_t number = 1; number <= 500; ++number) {
    const Made token(number);
    const Read read = world.read(token);
    REQUIRE(read.hit);
    CHECK(read.owner == token.owner);
    CHECK(read.scopes == token.scopes);
    CHECK(read.expires_at == token.expires_at);
  }
  CHECK(hits(world, 501, 500) == 0);
  // Another text with a known id is another token.
  Made wrong(7);
  wrong.text[0] = 'y';
  CHECK_FALSE(world.has(wrong));
}

TEST_CASE("most tokens stand at their home, where they are found without the directory") {
  const std::uint64_t count = 20'000;
  // Half full, and so full that tokens are evicted.
  for (const std::size_t budget : {std::size_t{256} * count, std::size_t{100} * count}) {
    TableWorld world(budget);
    fill(world, 1, count);
    std::uint64_t present = 0;
    std::uint64_t at_home = 0;
    for (std::uint64_t number = 1; number <= count; ++number) {
      present += world.has(Made(number)) ? 1U : 0U;
      at_home += world.at_home(Made(number)) ? 1U : 0U;
    }
    CAPTURE(budget, present, at_home);
    CHECK(present >= count * 3 / 4);
    CHECK(at_home * 100 >= present * 60);
    CHECK(at_home < present);
  }
}

TEST_CASE("what is dropped is gone at once, and its unwritten use is handed over") {
  TableWorld world(1 << 20);
  world.unwritten_since = 100;
  world.put(Made(1), 500, EntryKind::live, "192.0.2.1");
  world.put(Made(2), 50);
  world.table.drop(Made(1).id, 100, world.displaced);
  world.table.drop(Made(2).id, 100, world.displaced);
  world.table.drop(Made(3).id, 100, world.displaced);
  CHECK_FALSE(world.has(Made(1)));
  CHECK(world.table.live() == 0);
  REQUIRE(world.displaced.size() == 1);
  CHECK(world.displaced[0].id == Made(1).id);
  CHECK(world.displaced[0].used_at == 500);
  CHECK(world.displaced[0].used_from == "192.0.2.1");
}

TEST_CASE("the budget is kept at all times, and a cached token costs at most 128 octets") {
  const std::uint64_t count = 10'000;
  TableWorld world(128 * count);
  CHECK(fill(world, 1, count) <= world.budget);
  CHECK(hits(world, 1, count) >= count * 99 / 100);
  CHECK(world.table.bytes() <= 128 * world.table.live());
  // Many more than fit.
  CHECK(fill(world, count + 1, 5 * count) <= world.budget);
  CHECK(world.table.evictions() > 0);
  CHECK(world.table.bytes() <= 128 * world.table.live());
}

TEST_CASE("many tokens fit into 128 octets each") {
  const char* wanted = std::getenv("TOKENSTORE_CACHE_TOKENS");
  const std::uint64_t count = wanted != nullptr ? std::stoull(wanted) : 100'000;
  TableWorld world(128 * count);
  CHECK(fill(world, 1, count) <= world.budget);
  CHECK(world.table.live() >= count * 97 / 100);
  CHECK(world.table.bytes() <= 131 * world.table.live());
  CHECK(hits(world, 1, 10'000) >= 9'500);
}

TEST_CASE("the budget holds when texts that need extra room come after the table has grown, and before") {
  for (const bool extras_first : {true, false}) {
    TableWorld world(std::size_t{4} << 20);
    std::uint64_t most = 0;
    const auto put_large = [&](std::uint64_t from) {
      for (std::uint64_t number = from; number < from + 5'000; ++number) {
        Made token(number);
        token.metadata.assign(1500, 'm');
        world.put(token, 1);
        most = std::max(most, world.table.bytes());
      }
    };
    if (extras_first) put_large(1'000'000);
    most = std::max(most, fill(world, 1, 60'000));
    if (!extras_first) put_large(1'000'000);
    CHECK(most <= world.budget);
  }
}

TEST_CASE("tokens with metadata that are used now push out those that are not") {
  TableWorld world(std::size_t{2} << 20);
  const auto large = [](std::uint64_t number) {
    Made token(number);
    token.metadata.assign(4096, static_cast<char>('a' + number % 26));
    return token;
  };
  for (std::uint64_t number = 1; number <= 2'000; ++number) world.put(large(number), 1);
  std::uint64_t kept = 0;
  for (std::uint64_t number = 3'001; number <= 3'050; ++number) {
    world.put(large(number), 2);
    const Read read = world.read(large(number));
    if (read.hit && read.metadata == large(number).metadata) ++kept;
  }
  CHECK(kept >= 45);
  CHECK(world.table.bytes() <= world.budget);
}

TEST_CASE("a flood of tokens used once, or gone, does not push out those in use") {
  for (const EntryKind flood : {EntryKind::live, EntryKind::gone}) {
    const std::uint64_t hot = 5'000;
    TableWorld world(128 * 10'000);
    UnixMillis now = 1000;
    fill(world, 1, hot, now);
    std::uint64_t asked = 0;
    std::uint64_t found = 0;
    std::uint64_t stranger = 1'000'000;
    for (int round = 0; round < 20; ++round) {
      now += 50;
      for (std::uint64_t number = 1; number <= hot; ++number) {
        ++asked;
        if (world.use(Made(number), now)) {
          ++found;
        } else {
          world.put(Made(number), now);
        }
        world.put(Made(stranger++), now, flood);
      }
    }
    INFO("flood of kind " << static_cast<int>(flood) << ": " << found << " of " << asked);
    CHECK(found >= asked * 97 / 100);
    CHECK(world.table.bytes() <= world.budget);
  }
}

TEST_CASE("the gone are remembered, but never more than two of a set") {
  TableWorld world(std::size_t{1} << 20);
  world.put(Made(1), 5, EntryKind::gone);
  CHECK(world.read(Made(1)).kind == EntryKind::gone);
  CHECK(world.table.live() == 0);
  for (std::uint64_t number = 2; number < 50'000; ++number) world.put(Made(number), 5, EntryKind::gone);
  std::uint64_t gone = hits(world, 1, 50'000);
  CHECK(gone > 0);
  CHECK(gone <= world.table.bytes() / validate::CacheBank::set_bytes * 2 + 2);
  // A live token takes the place of what was known to be gone.
  CHECK(world.put(Made(1), 6));
  CHECK(world.read(Made(1)).kind == EntryKind::live);
}

TEST_CASE("long owners, many scopes and metadata with NUL come back as they went in") {
  TableWorld world(std::size_t{4} << 20);
  Made token(1);
  token.owner.assign(255, 'o');
  token.scopes.clear();
  for (int i = 0; i < 64; ++i) {
    std::string scope(128, static_cast<char>('a' + i % 26));
    scope[0] = static_cast<char>('A' + i / 26);
    token.scopes += (i == 0 ? "" : " ") + scope;
  }
  token.metadata.assign(4096, '\0');
  token.metadata[4095] = 'z';
  token.metadata[7] = '\xFF';
  REQUIRE(world.put(token));
  Read read = world.read(token);
  CHECK(read.owner == token.owner);
  CHECK(read.scopes == token.scopes);
  CHECK(read.metadata == token.metadata);
  // The edge of what fits into the slot.
  for (const std::size_t size : {35U, 36U, 37U, 254U, 255U}) {
    Made other(size);
    other.owner.assign(size, 'p');
    REQUIRE(world.put(other));
    CHECK(world.read(other).owner == other.owner);
  }
}

TEST_CASE("scope sets beyond what is kept once are kept with their tokens") {
  TableWorld world(std::size_t{8} << 20);
  for (std::uint64_t number = 1; number <= 1500; ++number) {
    Made token(number);
    token.scopes = "scope:" + std::to_string(number);
    REQUIRE(world.put(token));
  }
  for (std::uint64_t number = 1; number <= 1500; ++number) {
    CHECK(world.read(Made(number)).scopes == "scope:" + std::to_string(number));
  }
}

TEST_CASE("a use is booked with its address, and never on the slot's next token") {
  TableWorld world(std::size_t{1} << 20);
  world.put(Made(1), 10);
  CHECK(world.use(Made(1), 20, "2001:db8::7"));
  CHECK(world.table.use_of(Made(1).id)->used_at == 20);
  CHECK(world.table.use_of(Made(1).id)->used_from == "2001:db8::7");
  CHECK(world.use(Made(1), 20, "192.0.2.9"));  // the same tick
  CHECK(world.table.use_of(Made(1).id)->used_from == "2001:db8::7");
  CHECK(world.use(Made(1), 30));
  CHECK(world.table.use_of(Made(1).id)->used_from.empty());

  Found found;
  REQUIRE(world.look(Made(1), found));
  const validate::UseWord before = found.slot.use_word();
  world.table.drop(Made(1).id, 0, world.displaced);
  // The reader comes late: the use is not booked, and he is told.
  CHECK_FALSE(validate::note_use(found.slot, before, 40, validate::PackedAddress::parse("192.0.2.1")));
  world.put(Made(2), 1);
  CHECK_FALSE(validate::note_use(found.slot, before, 50, validate::PackedAddress::parse("192.0.2.1")));
  CHECK(world.table.use_of(Made(2).id)->used_at == 1);
  CHECK(world.table.use_of(Made(2).id)->used_from.empty());
  CHECK(world.table.used_since(0).size() == 1);
  CHECK(world.table.used_since(2).empty());
}

TEST_CASE("a client that stays is booked again, one that moves is booked anew") {
  TableWorld world(std::size_t{1} << 20);
  world.put(Made(1), 10);
  const auto booked = [&](UnixMillis now, const char* from) {
    CHECK(world.use(Made(1), now, from));
    const auto use = world.table.use_of(Made(1).id);
    REQUIRE(use);
    CHECK(use->used_at == now);
    CHECK(use->used_from == from);
  };
  booked(20, "192.0.2.9");
  booked(30, "192.0.2.9");
  booked(40, "192.0.2.8");
  booked(50, "2001:db8::7");
  booked(60, "2001:db8::7");
  booked(70, "2001:db8:0:1::7");  // differs in the first word
  booked(80, "2001:db8:0:1::8");  // in the second
  booked(90, "::192.0.2.9");      // the same number as an IPv4 address, of the other kind
  booked(100, "192.0.2.9");

  // The same client comes late, to a slot that is another token's.
  Found found;
  REQUIRE(world.look(Made(1), found));
  const validate::UseWord before = found.slot.use_word();
  world.table.drop(Made(1).id, 0, world.displaced);
  CHECK_FALSE(validate::note_use(found.slot, before, 110, validate::PackedAddress::parse("192.0.2.9")));
}

TEST_CASE("an address that changes while it is read comes back whole, and with its own time") {
  TableWorld world(std::size_t{1} << 20);
  world.put(Made(1), 1);
  constexpr UnixMillis last = 200'000;
  std::thread client([&] {
    for (UnixMillis now = 2; now <= last; ++now) world.use(Made(1), now, now % 2 == 0 ? "2001:db8::7" : "fe80::9");
  });
  std::uint64_t mixed = 0;
  std::uint64_t whole = 0;
  for (UnixMillis at = 0; at < last;) {
    const Use use = world.table.use_of(Made(1).id).value();
    at = use.used_at;
    if (use.used_from.empty()) continue;  // being written
    ++(use.used_from == (at % 2 == 0 ? "2001:db8::7" : "fe80::9") ? whole : mixed);
  }
  client.join();
  CHECK(whole > 100);
  CHECK(mixed == 0);
}

TEST_CASE("a table that grows keeps every token and its use") {
  TableWorld world(std::size_t{32} << 20);
  for (std::uint64_t number = 1; number <= 100'000; ++number) {
    world.put(Made(number), static_cast<UnixMillis>(number), EntryKind::live, "192.0.2.1");
  }
  CHECK(world.table.live() == 100'000);
  CHECK(hits(world, 1, 100'000) == 100'000);
  CHECK(world.table.evictions() == 0);
  CHECK(world.table.use_of(Made(1).id)->used_at == 1);
  CHECK(world.table.use_of(Made(1).id)->used_from == "192.0.2.1");
  CHECK(world.table.used_since(50'001).size() == 50'000);
}

TEST_CASE("whoever asks for the tokens in use misses none that moves meanwhile") {
  TableWorld world(std::size_t{16} << 20);
  constexpr std::uint64_t early = 20'000;
  fill(world, 1, early, 5);
  std::atomic<bool> full{false};
  std::atomic<std::uint64_t> asked{0};
  std::thread filler([&] {
    for (std::uint64_t number = early + 1; number <= 120'000; ++number) {
      world.put(Made(number), 1);
      // Not all of them between two questions.
      for (const std::uint64_t then = asked; number % 5'000 == 0 && asked == then;) std::this_thread::yield();
    }
    full = true;
  });
  std::uint64_t wrong = 0;
  for (; !full; ++asked) wrong += world.table.used_since(5).size() == early ? 0U : 1U;
  filler.join();
  CHECK(world.table.evictions() == 0);
  CHECK(asked >= 20);
  CHECK(wrong == 0);
}

TEST_CASE("whoever asks for the tokens in use misses none that moves to its other set meanwhile") {
  TableWorld world(std::size_t{4} << 20);
  std::uint64_t last = 0;
  while (world.table.evictions() == 0) world.put(Made(++last), 1);
  // Nine tenths full: sets are full by chance, and then one of theirs moves.
  for (std::uint64_t number = last * 9 / 10; number <= last; ++number) {
    world.table.drop(Made(number).id, 0, world.displaced);
  }
  std::uint64_t early = 0;
  for (std::uint64_t number = 1; number < last * 8 / 10; ++number) early += world.use(Made(number), 5) ? 1U : 0U;
  const std::uint64_t evicted = world.table.evictions();
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> come{0};
  std::thread others([&] {
    std::vector<Use> displaced;
    for (std::uint64_t number = 2 * last; !stop; ++number) {
      while (!stop && !world.put(Made(number), 1)) std::this_thread::yield();
      world.table.drop(Made(number - last / 20).id, 0, displaced);
      displaced.clear();
      ++come;
    }
  });
  std::uint64_t wrong = 0;
  std::uint64_t asked = 0;
  for (; asked < 50 || (come < 5'000 && asked < 1'000); ++asked) {
    wrong += world.table.used_since(5).size() == early ? 0U : 1U;
  }
  stop = true;
  others.join();
  CHECK(world.table.evictions() == evicted);
  CHECK(wrong == 0);
}

TEST_CASE("a text that shares half a print with another's is not taken for it") {
  TableWorld world(std::size_t{1} << 20);
  const Made token(1);
  validate::NewEntry entry;
  entry.print = world.fingerprinter.fingerprint(token.text);
  entry.id = token.id;
  entry.owner = token.owner;
  for (const bool low : {false, true}) {
    validate::NewEntry other = entry;
    (low ? other.print.low : other.print.high) ^= 1;
    REQUIRE(world.table.try_put(other, 0, world.displaced, [] { return true; }) == validate::Kept::yes);
    CHECK_FALSE(world.has(token));
  }
  REQUIRE(world.table.try_put(entry, 0, world.displaced, [] { return true; }) == validate::Kept::yes);
  CHECK(world.has(token));
}

TEST_CASE("readers never see a mixed entry while writers put, drop, move and grow") {
  TableWorld world(std::size_t{2} << 20);
  constexpr std::uint64_t tokens = 20'000;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> mixed{0};
  std::atomic<std::uint64_t> found_count{0};
  const auto made = [](std::uint64_t number) {
    Made token(number);
    token.scopes = "scope:" + std::to_string(number % 50);
    if (number % 7 == 0) token.metadata = std::string(number % 300, 'm') + std::to_string(number);
    return token;
  };
  std::vector<std::thread> threads;
  for (unsigned reader = 0; reader < 3; ++reader) {
    threads.emplace_back([&, reader] {
      SeededRandom random(reader + 1);
      while (!stop) {
        const Made token = made(random.below(tokens));
        const Read read = world.read(token);
        if (!read.hit) continue;
        ++found_count;
        if (read.owner != token.owner || read.scopes != token.scopes || read.metadata != token.metadata ||
            read.expires_at != token.expires_at) {
          ++mixed;
        }
        world.use(token, static_cast<UnixMillis>(random.below(1'000'000)), "192.0.2.1");
      }
    });
  }
  std::thread dropper([&] {
    SeededRandom random(99);
    std::vector<Use> displaced;
    while (!stop) {
      world.table.drop(made(random.below(tokens)).id, 0, displaced);
      displaced.clear();
    }
  });
  SeededRandom random(5);
  for (int step = 0; step < 60'000; ++step) {
    world.put(made(random.below(tokens)), 1);
    world.displaced.clear();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  dropper.join();
  CHECK(found_count > 1000);
  CHECK(mixed == 0);
  CHECK(world.table.bytes() <= world.budget);
}
