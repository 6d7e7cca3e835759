// The set of what is restricted: what it knows, what it drops, and what it costs.
#include "journal/restricted.hpp"

#include <map>
#include <random>
#include <thread>

#include "support/seeded_random.hpp"
#include "unit/journal/journal_world.hpp"

namespace tokenstore::journal {
namespace {

using test::id_of;
using test::now;

constexpr UnixMillis year = 365LL * 86'400'000;

TEST_CASE("what was never noted is not restricted, and a name is another record in another kind") {
  tokenstore::test::SeededRandom random(1);
  Restricted set(random);
  CHECK(set.empty());
  CHECK(set.least_revision(RecordKind::token, id_of(1)) == 0);
  set.note(RecordKind::owner, "alice", 3, no_end, now);
  CHECK(set.least_revision(RecordKind::owner, "alice") == 3);
  CHECK(set.least_revision(RecordKind::token, "alice") == 0);
  CHECK(set.least_revision(RecordKind::workspace, "alice") == 0);
  CHECK(set.least_revision(RecordKind::owner, "alic") == 0);
  CHECK(set.least_revision(RecordKind::owner, "") == 0);
}

TEST_CASE("the highest revision counts, gone above all, and a huge one stays below gone") {
  tokenstore::test::SeededRandom random(2);
  Restricted set(random);
  const std::string id = id_of(1);
  set.note(RecordKind::token, id, 5, now + year, now);
  set.note(RecordKind::token, id, 4, now + year, now);
  CHECK(set.least_revision(RecordKind::token, id) == 5);
  set.note(RecordKind::token, id, std::uint64_t{1} << 60, now + year, now);
  CHECK(set.least_revision(RecordKind::token, id) == (std::uint64_t{1} << 36) - 2);
  set.note(RecordKind::token, id, gone, now + year, now);
  set.note(RecordKind::token, id, 6, now + year, now);
  CHECK(set.least_revision(RecordKind::token, id) == gone);
  CHECK(set.size() == 1);
}

TEST_CASE("what has ended by itself is dropped, but not before every clock agrees") {
  tokenstore::test::SeededRandom random(3);
  Restricted set(random);
  set.note(RecordKind::token, id_of(1), 2, now - clock_tolerance - 1, now);
  CHECK(set.empty());
  for (std::uint64_t number = 0; number < 5000; ++number) {
    set.note(RecordKind::token, id_of(number), 2, now - clock_tolerance / 2, now);
  }
  CHECK(set.size() == 5000);
  const std::size_t bytes = set.bytes();
  // A day later they make room for others.
  for (std::uint64_t number = 10'000; number < 15'000; ++number) {
    set.note(RecordKind::token, id_of(number), 2, now + year, now + clock_tolerance);
  }
  CHECK(set.size() < 6000);
  CHECK(set.bytes() < bytes * 3 / 2);
  for (std::uint64_t number = 10'000; number < 15'000; ++number) {
    REQUIRE(set.least_revision(RecordKind::token, id_of(number)) == 2);
  }
}

/// Names that share one of the set's parts, which are told by the room that the first name in each takes.
std::vector<std::string> names_of_one_part(std::uint64_t seed, std::size_t count) {
  std::vector<std::string> names{id_of(0)};
  for (std::uint64_t number = 1; names.size() < count; ++number) {
    tokenstore::test::SeededRandom random(seed);
    Restricted set(random);
    set.note(RecordKind::token, names.front(), 2, no_end, now);
    const std::size_t bytes = set.bytes();
    set.note(RecordKind::token, id_of(number), 2, no_end, now);
    if (set.bytes() == bytes) names.push_back(id_of(number));
  }
  return names;
}

TEST_CASE("where as many end as are noted, what has ended is dropped in one go with many others") {
  constexpr std::uint64_t seed = 9;
  constexpr UnixMillis step = 60'000;
  const std::vector<std::string> names = names_of_one_part(seed, 1000);
  // Of whatever number: it may just be that at which a part is full.
  for (UnixMillis live = 60; live < 120; ++live) {
    tokenstore::test::SeededRandom random(seed);
    Restricted set(random);
    std::size_t drops = 0;
    UnixMillis at = now;
    for (const std::string& name : names) {
      const std::size_t before = set.size();
      set.note(RecordKind::token, name, 2, at + live * step - clock_tolerance, at);
      if (set.size() <= before) ++drops;
      at += step;
    }
    INFO(live << " have not ended");
    CHECK(drops > 0);
    CHECK(drops < names.size() / 8);
  }
}

TEST_CASE("times at the ends of what a number can hold are no trap") {
  tokenstore::test::SeededRandom random(4);
  Restricted set(random);
  set.note(RecordKind::token, id_of(1), 2, no_end, now);
  set.note(RecordKind::token, id_of(2), 2, no_end - 1, now);
  set.note(RecordKind::token, id_of(3), 2, std::numeric_limits<UnixMillis>::min(), 0);
  set.note(RecordKind::token, id_of(4), 2, 0, 0);
  CHECK(set.least_revision(RecordKind::token, id_of(1)) == 2);
  CHECK(set.least_revision(RecordKind::token, id_of(2)) == 2);
  CHECK(set.least_revision(RecordKind::token, id_of(3)) == 0);
  CHECK(set.least_revision(RecordKind::token, id_of(4)) == 2);
}

TEST_CASE("it agrees with a plain map over random changes") {
  tokenstore::test::SeededRandom seeded(5);
  Restricted set(seeded);
  std::map<std::string, RecordRevision> model;
  std::mt19937 random(6);
  for (int i = 0; i < 100'000; ++i) {
    const std::string id = id_of(random() % 20'000);
    const RecordRevision revision = 1 + random() % 9;
    set.note(RecordKind::token, id, revision, now + year, now);
    RecordRevision& known = model[id];
    known = std::max(known, revision);
  }
  CHECK(set.size() == model.size());
  for (const auto& [id, revision] : model) REQUIRE(set.least_revision(RecordKind::token, id) == revision);
  for (std::uint64_t number = 20'000; number < 40'000; ++number) {
    REQUIRE(set.least_revision(RecordKind::token, id_of(number)) == 0);
  }
}

TEST_CASE("a million endings take at most 24 MB") {
  tokenstore::test::SeededRandom random(7);
  Restricted set(random);
  for (std::uint64_t number = 0; number < 1'000'000; ++number) {
    set.note(RecordKind::token, id_of(number), 2, now + year, now);
  }
  CHECK(set.size() == 1'000'000);
  CHECK(set.bytes() <= 24'000'000);
  CHECK(set.bytes() >= 16'000'000);  // the control: it really counts what it holds
}

TEST_CASE("threads may look while others note") {
  tokenstore::test::SeededRandom random(8);
  Restricted set(random);
  set.note(RecordKind::token, id_of(0), 2, now + year, now);
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::thread reader([&] {
    while (!stop) {
      if (set.least_revision(RecordKind::token, id_of(0)) != 2) ++wrong;
    }
  });
  std::vector<std::thread> writers;
  for (std::uint64_t writer = 1; writer <= 2; ++writer) {
    writers.emplace_back([&set, writer] {
      for (std::uint64_t i = 0; i < 20'000; ++i) {
        set.note(RecordKind::token, id_of(writer * 1'000'000 + i), 2, now + year, now);
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  stop = true;
  reader.join();
  CHECK(wrong == 0);
  CHECK(set.size() == 40'001);
}

}  // namespace
}  // namespace tokenstore::journal
