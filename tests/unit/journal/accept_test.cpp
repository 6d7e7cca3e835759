// Accepting what is left of a damaged journal: nothing that can be verified is lost, nothing is deleted, and at each
// moment there is the one journal or the other.
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "support/count_from.hpp"
#include "support/cut_disk.hpp"
#include "support/system_calls.hpp"
#include "tokenstore/journal.hpp"
#include "unit/journal/journal_world.hpp"

namespace tokenstore::journal {
namespace {

using test::id_of;
using test::now;
using test::Told;
using test::World;
using test::write_content;
using tokenstore::test::file_content;
using tokenstore::test::SystemCall;

Keyring keyring() {
  std::array<std::uint8_t, master_key_size> master{};
  master.fill(0x11);
  return std::move(Keyring::from_bytes(master, "0A")).value();
}

const Actor root = Actor::administrator("root");

JournalReport verify(const World& world) {
  auto report = verify_journal(world.path, keyring());
  if (!report.ok()) FAIL(report.error().message());
  return *std::move(report);
}

JournalAcceptance accept(const World& world) {
  auto accepted = accept_journal(world.path, keyring(), root, now);
  if (!accepted.ok()) FAIL(accepted.error().message());
  return *std::move(accepted);
}

std::string kept(const World& world, std::uint64_t segment) {
  return Log::path_of_segment(world.path, segment);
}

void flip(const std::string& file, std::size_t octet) {
  std::string content = file_content(file);
  content.at(octet) = static_cast<char>(content.at(octet) ^ 1);
  write_content(file, content);
}

/// The endings 1 to 3, then 4 to 6 in a second segment, a frame each. Returns how long that was behind each ending.
std::vector<std::size_t> write_journal(const World& world) {
  auto opened = world.open();
  std::vector<std::size_t> ends{0};
  for (std::uint64_t number = 1; number <= 6; ++number) {
    if (number == 4) REQUIRE(opened.log->begin_segment(now, opened.told).ok());
    REQUIRE(World::revoke(*opened.log, opened.told, number, number).ok());
    ends.push_back(opened.log->position().offset);
  }
  return ends;
}

/// And the fifth is damaged.
std::size_t write_damaged(const World& world) {
  const std::vector<std::size_t> ends = write_journal(world);
  flip(world.path, ends[4] + 70);
  return ends[4];
}

TEST_CASE("what is left of a damaged journal goes on in a new segment, with all that it restricts") {
  const World world;
  const std::size_t place = write_damaged(world);
  const std::string damaged = file_content(world.path);
  Told nothing;
  REQUIRE(world.try_open(nothing).status() == Status::journal_damaged);
  const JournalReport before = verify(world);
  REQUIRE(before.damaged());
  const JournalAcceptance accepted = accept(world);
  CHECK(accepted.found.problems.size() == 1);
  CHECK(accepted.segment == 3);
  CHECK(accepted.kept_file == kept(world, 2));
  CHECK(file_content(accepted.kept_file) == damaged);
  const JournalReport after = verify(world);
  CHECK_FALSE(after.damaged());
  REQUIRE(after.problems.size() == 1);
  CHECK(after.problems[0].accepted);
  CHECK(after.problems[0].octet == place);
  CHECK(after.problems[0].octet == before.problems[0].octet);
  // The entry that says so, behind all that is good.
  std::vector<std::uint64_t> numbers;
  std::string last;
  const auto reading = read_journal(world.path, keyring(), {}, [&](const JournalEntry& entry) {
    numbers.push_back(entry.number);
    last =
        std::string(journal_deed_name(entry.deed)) + " " + std::string(entry.actor) + " " + std::string(entry.reason);
    CHECK(entry.kind == (numbers.size() == 5 ? RecordKind::store : RecordKind::token));
    return true;
  });
  REQUIRE(reading.ok());
  CHECK(numbers == std::vector<std::uint64_t>{1, 2, 3, 4, 5});
  CHECK(last == "accepted administrator:root segment 2, octet " + std::to_string(place) +
                    ", behind entry 4: what stands there is not what was written");
  auto opened = world.open();
  for (std::uint64_t number = 1; number <= 4; ++number) CHECK(opened.told.knows(id_of(number)));
  REQUIRE(World::revoke(*opened.log, opened.told, 9, 9).ok());
  REQUIRE(opened.log->begin_segment(now, opened.told).ok());
  CHECK_FALSE(verify(world).damaged());
  CHECK(world.open().told.knows(id_of(9)));
}

TEST_CASE("a reading that stops knows of an acceptance that comes later") {
  const World world;
  write_damaged(world);
  const auto first_four = [&] {
    int told = 0;
    auto reading = read_journal(world.path, keyring(), {}, [&](const JournalEntry&) { return ++told < 4; });
    REQUIRE(reading.ok());
    CHECK(told == 4);
    return *std::move(reading);
  };
  CHECK(first_four().report.problems.empty());  // the damage is behind them
  accept(world);
  // Stopped in the third segment, before the entry that accepts; and right in that.
  JournalQuery query;
  query.after = first_four().next;
  auto reading = read_journal(world.path, keyring(), query, [&](const JournalEntry&) { return false; });
  REQUIRE(reading.ok());
  CHECK(reading->told == 1);
  CHECK(reading->stopped);
  REQUIRE(reading->report.problems.size() == 1);
  CHECK_FALSE(reading->report.damaged());
}

TEST_CASE("a journal that is not damaged, and one of which nothing is left, are not accepted") {
  const World world;
  const std::vector<std::size_t> ends = write_journal(world);
  const std::string whole = file_content(world.path);
  const auto refused = [&](Status status, const Actor& actor = root) {
    const auto result = accept_journal(world.path, keyring(), actor, now);
    CHECK(result.status() == status);
    CHECK(result.error().message().find('\n') == std::string::npos);
  };
  refused(Status::refused);
  // A write that did not come to its end is no damage.
  write_content(world.path, std::string_view(whole).substr(0, ends[5] + 20));
  refused(Status::refused);
  CHECK(file_content(world.path).size() == ends[5] + 20);
  flip(world.path, ends[4] + 70);
  refused(Status::permission_denied, Actor::user("alice"));
  refused(Status::invalid_argument, Actor::administrator("a\nb"));
  CHECK(accept_journal("", keyring(), root).status() == Status::invalid_argument);
  std::filesystem::remove(kept(world, 1));
  flip(world.path, 70);
  refused(Status::refused);
  std::filesystem::remove(world.path);
  refused(Status::cannot_open);
}

TEST_CASE("whatever is damaged is accepted, and then found accepted, and nothing that is good is lost") {
  struct Case {
    const char* what;
    void (*damage)(const World&, const std::vector<std::size_t>&);
    std::vector<std::uint64_t> left;  ///< endings
  };
  const std::vector<Case> cases{
      {"an earlier segment",
       [](const World& w, const auto& ends) { flip(kept(w, 1), ends[1] + 70); },
       {1, 2, 3, 4, 5, 6}},
      {"the end of an earlier segment is cut",
       [](const World& w, const auto& ends) { write_content(kept(w, 1), file_content(kept(w, 1)).substr(0, ends[2])); },
       {1, 2, 3, 4, 5, 6}},
      {"the head of the one in use", [](const World& w, const auto&) { flip(w.path, 70); }, {1, 2, 3}},
      {"the one in use is gone", [](const World& w, const auto&) { std::filesystem::remove(w.path); }, {1, 2, 3}},
      {"an earlier one in the place of the one in use",
       [](const World& w, const auto&) {
         std::filesystem::remove(w.path);
         std::filesystem::copy_file(kept(w, 1), w.path);
       },
       {1, 2, 3}},
      {"the summary of the one in use",
       [](const World& w, const auto&) { flip(w.path, parse_header(file_content(w.path))->frame_size() + 70); },
       {1, 2, 3}},
      {"an earlier segment, and a torn end",
       [](const World& w, const auto& ends) {
         flip(kept(w, 1), ends[0] + 1);
         write_content(w.path, file_content(w.path).substr(0, ends[6] - 3));
       },
       {1, 2, 3, 4, 5}},
  };
  for (const Case& one : cases) {
    INFO(one.what);
    const World world;
    one.damage(world, write_journal(world));
    const JournalReport before = verify(world);
    REQUIRE(before.damaged());
    accept(world);
    const JournalReport after = verify(world);
    CHECK_FALSE(after.damaged());
    REQUIRE(after.problems.size() == before.problems.size());
    for (std::size_t i = 0; i < after.problems.size(); ++i) {
      CHECK(after.problems[i].segment == before.problems[i].segment);
      CHECK(after.problems[i].octet == before.problems[i].octet);
    }
    auto opened = world.open();
    for (const std::uint64_t number : one.left) CHECK(opened.told.knows(id_of(number)));
    REQUIRE(World::revoke(*opened.log, opened.told, 9, 9).ok());
    REQUIRE(opened.log->begin_segment(now, opened.told).ok());
    CHECK_FALSE(verify(world).damaged());
    // What was accepted vouches for nothing else.
    flip(kept(world, 3), 71);
    CHECK(verify(world).damaged());
  }
}

TEST_CASE("a segment that is gone in the midst is accepted, and one that goes afterwards is not") {
  const World world;
  {
    auto opened = world.open();
    for (std::uint64_t number = 1; number <= 5; ++number) {
      REQUIRE(World::revoke(*opened.log, opened.told, number, number).ok());
      REQUIRE(opened.log->begin_segment(now, opened.told).ok());
    }
  }
  std::filesystem::remove(kept(world, 3));
  accept(world);
  CHECK_FALSE(verify(world).damaged());
  CHECK(accept_journal(world.path, keyring(), root, now).status() == Status::refused);
  std::filesystem::remove(kept(world, 4));
  CHECK(verify(world).damaged());
}

TEST_CASE("who had read further goes on with what was accepted, and not with an earlier state of it") {
  const World world;
  const std::vector<std::size_t> ends = write_journal(world);
  auto running = world.open();
  REQUIRE(running.told.knows(id_of(6)));
  flip(world.path, ends[4] + 70);
  accept(world);
  REQUIRE(World::revoke(*running.log, running.told, 9, 9).ok());
  CHECK(running.log->position().segment == 3);
  CHECK(world.open().told.knows(id_of(9)));
  REQUIRE(World::revoke(*running.log, running.told, 10, 10).ok());
  std::filesystem::remove(world.path);
  std::filesystem::copy_file(kept(world, 1), world.path);
  CHECK(running.log->read_on(running.told).status() == Status::journal_damaged);
}

// ---- Interrupted -----------------------------------------------------------------------------------------------

/// How many calls change something.
int calls_in_all() {
  const World world;
  write_damaged(world);
  int calls = 0;
  const tokenstore::test::Watch watch(world.directory.path().string(), {[&](const SystemCall&) {
                                                                          ++calls;
                                                                          return 0;
                                                                        },
                                                                        {},
                                                                        true,
                                                                        false,
                                                                        {}});
  accept(world);
  return calls;
}

/// The journal is damaged as it was, or accepted; and if it is not yet, it can be.
void check_one_or_the_other(const World& world, std::size_t place) {
  const JournalReport report = verify(world);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].segment == 2);
  CHECK(report.problems[0].octet == place);
  CHECK(report.entries == (report.damaged() ? 4 : 5));
  if (report.damaged()) accept(world);
  CHECK_FALSE(verify(world).damaged());
  auto opened = world.open();
  for (std::uint64_t number = 1; number <= 4; ++number) CHECK(opened.told.knows(id_of(number)));
  CHECK(World::revoke(*opened.log, opened.told, 9, 9).ok());
}

TEST_CASE("killed at each call, accepting leaves the journal as it was or as it shall be") {
  const int calls = calls_in_all();
  CHECK(calls >= 10);
  int changed = 0;
  for (int at = 1; at <= calls; ++at) {
    INFO("killed at call " << at);
    const World world;
    const std::size_t place = write_damaged(world);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      int made = 0;
      const tokenstore::test::Watch watch(
          world.directory.path().string(),
          {[&](const SystemCall&) { return ++made == at ? tokenstore::test::ends_process : 0; }, {}, true, false, {}});
      static_cast<void>(accept_journal(world.path, keyring(), root, now));
      ::_exit(1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WEXITSTATUS(status) == tokenstore::test::ended_by_watcher);
    if (!verify(world).damaged()) ++changed;
    check_one_or_the_other(world, place);
  }
  // Both are seen.
  CHECK(changed > 0);
  CHECK(changed < calls);
}

TEST_CASE("whatever call fails, accepting says so, and leaves the journal as it was or as it shall be") {
  const int calls = calls_in_all();
  for (int at = 1; at <= calls; ++at) {
    INFO("call " << at << " fails");
    const World world;
    const std::size_t place = write_damaged(world);
    {
      int made = 0;
      bool cleans_up = false;
      const tokenstore::test::Watch watch(world.directory.path().string(),
                                          {[&](const SystemCall& call) {
                                             if (++made != at) return 0;
                                             cleans_up = call.change == tokenstore::test::Change::remove;
                                             return EIO;
                                           },
                                           {},
                                           true,
                                           false,
                                           {}});
      const auto accepted = accept_journal(world.path, keyring(), root, now);
      CHECK(accepted.ok() == cleans_up);
    }
    check_one_or_the_other(world, place);
  }
}

TEST_CASE(
    "a power cut behind any call leaves the journal as it was or, if it was said to be accepted, as it shall be") {
  const int times = tokenstore::test::count_from("TOKENSTORE_JOURNAL_POWER_CUTS", 8);
  std::mt19937 random(13);
  const World world;
  const std::size_t place = write_damaged(world);
  const tokenstore::test::CutDisk before(world.directory.path());
  tokenstore::test::DiskRecord events;
  {
    const tokenstore::test::Watch watch(
        world.directory.path().string(),
        {[](const SystemCall&) { return 0; }, [&](const SystemCall& call) { events.note(call); }, true, false, {}});
    accept(world);
  }
  REQUIRE(events.size() >= 10);
  for (std::size_t cut = 0; cut <= events.size(); ++cut) {
    tokenstore::test::CutDisk disk = before;
    for (std::size_t event = 0; event < cut; ++event) disk.change(events[event]);
    for (int i = 0; i < times; ++i) {
      INFO("cut behind event " << cut << " of " << events.size());
      for (const auto& entry : std::filesystem::directory_iterator(world.directory.path())) {
        std::filesystem::remove(entry.path());
      }
      disk.cut(world.directory.path(), random);
      if (cut == events.size()) CHECK_FALSE(verify(world).damaged());
      check_one_or_the_other(world, place);
    }
  }
}

}  // namespace
}  // namespace tokenstore::journal
