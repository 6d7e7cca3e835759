/// What is in use now is remembered, whatever came before: no kind of entry keeps the cache for itself.
#include <functional>
#include <thread>

#include "unit/validate/table_world.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

/// Tokens by number, of which `made` says what they look like.
struct Crowd {
  std::uint64_t first;
  std::uint64_t count;
  std::function<Made(std::uint64_t)> made;

  std::size_t slots() const {
    std::size_t sum = 0;
    for (std::uint64_t number = first; number < first + count; ++number) {
      const Made token = made(number);
      const validate::LongText text{token.owner, token.scopes, token.metadata};
      sum += token.metadata.empty() && token.owner.size() <= validate::slot_owner_max ? 1 : 1 + text.slots();
    }
    return sum;
  }
};

Crowd plain(std::uint64_t first, std::uint64_t count) {
  return {first, count, [](std::uint64_t number) { return Made(number); }};
}

Crowd with_metadata(std::uint64_t first, std::uint64_t count, std::size_t most) {
  return {first, count, [most](std::uint64_t number) {
            Made token(number);
            token.metadata.assign(1 + number * 7919 % most, static_cast<char>('a' + number % 26));
            return token;
          }};
}

/// Each is asked for once, as requests come: from memory, else it is put there. Returns the share that was there.
double pass(TableWorld& world, const std::vector<Crowd>& crowds, UnixMillis& now) {
  std::uint64_t asked = 0;
  std::uint64_t hits = 0;
  for (const Crowd& crowd : crowds) {
    for (std::uint64_t number = crowd.first; number < crowd.first + crowd.count; ++number) {
      const Made token = crowd.made(number);
      if (++asked % 100 == 0) ++now;
      if (world.use(token, now)) {
        ++hits;
      } else {
        world.put(token, now);
      }
    }
  }
  world.displaced.clear();
  return static_cast<double>(hits) / static_cast<double>(asked);
}

/// How many passes until 95 of 100 are answered from memory; `most`: not even then.
int passes(TableWorld& world, const std::vector<Crowd>& crowds, UnixMillis& now, int most = 21) {
  for (int done = 0; done < most; ++done) {
    if (pass(world, crowds, now) >= 0.95) return done;
  }
  return most;
}

/// The fuller, the longer it may take.
void check_gives_way(const std::vector<Crowd>& before, int times, const std::vector<Crowd>& now_used) {
  std::size_t slots = 0;
  for (const Crowd& crowd : now_used) slots += crowd.slots();
  TableWorld world(std::size_t{4} << 20);
  const std::size_t capacity = world.budget / validate::BankWriter::set_bytes * validate::CacheBank::ways;
  REQUIRE(slots * 100 <= capacity * 92);
  UnixMillis now = 1'000;
  for (int done = 0; done < times; ++done) pass(world, before, now);
  CHECK(passes(world, now_used, now) <= 20);
  CHECK(pass(world, now_used, now) >= 0.95);
  CHECK(world.table.bytes() <= world.budget);
}

}  // namespace

TEST_CASE("tokens with metadata get room in a table that plain tokens have filled, hot or not") {
  for (const int times : {1, 6}) {
    INFO("asked for " << times << " times before");
    check_gives_way({plain(1, 40'000)}, times, {with_metadata(1'000'000, 130, 4096)});
    check_gives_way({plain(1, 40'000)}, times, {with_metadata(1'000'000, 6'000, 300)});
    check_gives_way({plain(1, 40'000)}, times, {with_metadata(1'000'000, 900, 4096)});
  }
}

TEST_CASE("plain tokens get room in a table that tokens with metadata have filled, hot or not") {
  for (const int times : {1, 6}) {
    INFO("asked for " << times << " times before");
    check_gives_way({with_metadata(1'000'000, 6'000, 1'000)}, times, {plain(1, 30'000)});
    check_gives_way({with_metadata(1'000'000, 2'000, 4096)}, times,
                    {with_metadata(2'000'000, 1'500, 100), plain(1, 20'000)});
    check_gives_way({with_metadata(1'000'000, 10'000, 90)}, times, {with_metadata(2'000'000, 700, 4096)});
  }
}

TEST_CASE("those in use now take the place of as many that once were in use more often") {
  check_gives_way({plain(1, 30'000)}, 8, {plain(1'000'000, 30'000)});
}

TEST_CASE("what changes takes turns with what stays, and neither is short of room") {
  TableWorld world(std::size_t{4} << 20);
  UnixMillis now = 1'000;
  const Crowd stays = plain(1, 10'000);
  for (std::uint64_t change = 1; change <= 4; ++change) {
    const std::vector<Crowd> both = {stays, with_metadata(change * 1'000'000, 2'000, change % 2 == 0 ? 900 : 100),
                                     plain(change * 1'000'000 + 500'000, change % 2 == 0 ? 1'000 : 10'000)};
    CHECK(passes(world, both, now) <= 12);
    // What stays is not lost over the change.
    CHECK(pass(world, {stays}, now) >= 0.95);
  }
}

TEST_CASE("one user's many sets of scopes do not take the room of sets that many tokens share") {
  TableWorld world(std::size_t{16} << 20);
  UnixMillis now = 1'000;
  // Two tokens each, so that every set looks shared.
  const Crowd odd{1, 2'046, [](std::uint64_t number) {
                    Made token(number);
                    token.scopes = "odd:" + std::to_string(number % 1023);
                    return token;
                  }};
  const Crowd shared{1'000'000, 40'000, [](std::uint64_t number) {
                       Made token(number);
                       token.scopes = "shared:" + std::to_string(number % 20);
                       return token;
                     }};
  pass(world, {odd}, now);
  REQUIRE(world.table.scope_sets().bytes() == world.table.scope_sets().limit());
  for (int done = 0; done < 3; ++done) pass(world, {shared}, now);
  const auto with_own_text = [&] {
    std::uint64_t count = 0;
    for (std::uint64_t number = shared.first; number < shared.first + shared.count; ++number) {
      Found found;
      if (world.look(shared.made(number), found))
        count += found.slot.load(Slot::generation_and_text) >> 32 != 0 ? 1U : 0U;
    }
    return count;
  };
  CHECK(pass(world, {shared}, now) >= 0.99);
  CHECK(pass(world, {odd}, now) >= 0.95);
  CHECK(with_own_text() * 20 < shared.count);
  for (std::uint64_t number = 1; number < 2'047; ++number) {
    if (const Read read = world.read(odd.made(number)); read.hit && read.scopes != odd.made(number).scopes)
      FAIL(number << " has " << read.scopes);
  }
}

TEST_CASE("what is not kept is counted, with the reason") {
  TableWorld world(std::size_t{1} << 20);
  CHECK(world.put(Made(1), 1));
  Made impossible(2);
  impossible.metadata.assign(validate::LongText::most_octets, 'm');
  CHECK_FALSE(world.put(impossible, 1));
  CHECK(world.table.not_kept(validate::Kept::no_room) == 1);
  validate::NewEntry entry;
  const Made late(3);
  entry.id = late.id;
  CHECK(world.table.try_put(entry, 0, world.displaced, [] { return false; }) == validate::Kept::changed);
  CHECK(world.table.not_kept(validate::Kept::changed) == 1);
  CHECK(world.table.try_put(entry, 0, world.displaced, [&] {
    validate::Kept other = validate::Kept::yes;
    std::thread([&] { other = world.table.try_put(entry, 0, world.displaced, [] { return true; }); }).join();
    CHECK(other == validate::Kept::busy);
    return false;
  }) == validate::Kept::changed);
  CHECK(world.table.not_kept(validate::Kept::busy) == 1);
  CHECK(world.table.not_kept(validate::Kept::changed) == 2);
  CHECK(world.table.not_kept(validate::Kept::no_room) == 1);
}
