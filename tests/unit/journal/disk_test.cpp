// A journal on disks that fail: killed at every write and sync, a power cut at every one, and a disk that is full.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <random>

#include "support/count_from.hpp"
#include "support/cut_disk.hpp"
#include "support/system_calls.hpp"
#include "unit/journal/journal_world.hpp"

namespace tokenstore::journal {
namespace {

using test::id_of;
using test::now;
using test::Told;
using test::World;
using tokenstore::test::Change;
using tokenstore::test::CutDisk;
using tokenstore::test::SystemCall;
using tokenstore::test::Watch;

/// What becomes of a disk.
struct Plan {
  int dies_at = 0;        ///< the call at which the process ends; 0: never
  int fails_at = 0;       ///< the call that fails; 0: none
  int error = 0;          ///< and how
  bool for_ever = false;  ///< and every one after it
  bool ignores_sync = false;
  bool ignores_names = false;  ///< syncs of a directory
};

/// Keeps a record of what it is told, and does by a plan.
class Disk {
 public:
  explicit Disk(const World& world, Plan plan_of_it = {})
      : plan(plan_of_it),
        watch_(world.directory.path().string(), {[this](const SystemCall& call) { return answer(call); },
                                                 [this](const SystemCall& call) { note(call); }, true, false}) {}

  Plan plan;
  tokenstore::test::DiskRecord record;
  int calls = 0;

 private:
  int answer(const SystemCall& call) {
    // Only cleans up: whether it fails is nothing to anybody.
    if (call.change == Change::remove) return 0;
    ++calls;
    if (calls == plan.dies_at) return tokenstore::test::ends_process;
    const bool fails = plan.fails_at != 0 && (plan.for_ever ? calls >= plan.fails_at : calls == plan.fails_at);
    return fails ? plan.error : 0;
  }
  void note(const SystemCall& call) {
    const bool ignored = (call.change == Change::sync && plan.ignores_sync) ||
                         (call.change == Change::sync_directory && plan.ignores_names);
    if (!ignored) record.note(call);
  }

  const Watch watch_;
};

/// Entries, a new segment in their midst, and more entries. `acknowledge(n)`: the ending n is durable.
bool work(const World& world, Disk&, const std::function<void(std::uint64_t)>& acknowledge) {
  Told told;
  auto log = world.try_open(told);
  if (!log.ok()) return false;
  for (std::uint64_t number = 1; number <= 12; ++number) {
    if (number == 5 || number == 9) {
      if (!(*log)->begin_segment(now, told).ok()) return false;
    }
    if (!World::revoke(**log, told, number, number).ok()) return false;
    acknowledge(number);
  }
  return true;
}

/// The journal, its segments and most endings of an odd number are of a process that is killed before its last sync;
/// another goes on.
bool work_after_the_killed(const World& world, Disk& disk, const std::function<void(std::uint64_t)>& acknowledge) {
  const auto unsynced = [&](bool Plan::*kind, const std::function<void()>& act) {
    disk.plan.*kind = true;
    act();
    disk.plan.*kind = false;
  };
  unsynced(&Plan::ignores_names, [&] { static_cast<void>(world.open()); });
  for (std::uint64_t number = 1; number <= 12; number += 2) {
    auto killed = world.open();
    const bool segment = number == 5 || number == 9;
    if (segment) {
      unsynced(&Plan::ignores_names, [&] { REQUIRE(killed.log->begin_segment(now, killed.told).ok()); });
    } else {
      unsynced(&Plan::ignores_sync, [&] { REQUIRE(World::revoke(*killed.log, killed.told, number, number).ok()); });
    }
    auto next = world.open();
    if (!World::revoke(*next.log, next.told, segment ? number : number + 1, number + 1).ok()) return false;
    acknowledge(number + 1);
  }
  return true;
}

/// How many of the endings up to `acknowledged` are missing, all of them if the journal cannot be opened.
std::uint64_t lost(const World& world, std::uint64_t acknowledged) {
  const Disk quick(world);
  Told told;
  auto log = world.try_open(told);
  if (!log.ok()) {
    UNSCOPED_INFO(log.error().message());
    return acknowledged + 1;
  }
  std::uint64_t missing = 0;
  for (std::uint64_t number = 1; number <= acknowledged; ++number) missing += told.knows(id_of(number)) ? 0U : 1U;
  // And it goes on from there.
  if (!World::revoke(**log, told, 1000, 1000).ok() || !(*log)->begin_segment(now, told).ok()) return acknowledged + 1;
  return missing;
}

int calls_in_all() {
  const World world;
  Disk disk(world);
  REQUIRE(work(world, disk, [](std::uint64_t) {}));
  return disk.calls;
}

TEST_CASE("killed at every write, sync and renaming, a journal keeps what was acknowledged, and works on") {
  const int calls = calls_in_all();
  CHECK(calls > 40);
  for (int at = 1; at <= calls; ++at) {
    const World world;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      Disk disk(world, {.dies_at = at});
      static_cast<void>(work(world, disk, [&](std::uint64_t number) {
        if (::write(ends[1], &number, sizeof number) != sizeof number) ::_exit(1);
      }));
      ::_exit(2);
    }
    ::close(ends[1]);
    std::uint64_t acknowledged = 0;
    while (::read(ends[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged) {
    }
    ::close(ends[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WEXITSTATUS(status) == tokenstore::test::ended_by_watcher);
    INFO("killed at call " << at);
    CHECK(lost(world, acknowledged) == 0);
  }
}

TEST_CASE("whatever call fails, once or from then on, an ending is acknowledged and there, or neither") {
  const int calls = calls_in_all();
  for (const bool for_ever : {false, true}) {
    for (int at = 1; at <= calls; ++at) {
      const World world;
      std::uint64_t acknowledged = 0;
      {
        Disk disk(world, {.fails_at = at, .error = at % 2 == 0 ? ENOSPC : EIO, .for_ever = for_ever});
        const bool done = work(world, disk, [&](std::uint64_t number) { acknowledged = number; });
        CHECK_FALSE(done);
      }
      INFO("call " << at << " failed" << (for_ever ? " and all after it" : ""));
      CHECK(lost(world, acknowledged) == 0);
    }
  }
}

TEST_CASE("a full disk is said to be full, and once there is room an ending can be written") {
  const World world;
  auto opened = world.open();
  REQUIRE(World::revoke(*opened.log, opened.told, 1, 1).ok());
  {
    const Disk disk(world, {.fails_at = 1, .error = ENOSPC});
    const auto full = World::revoke(*opened.log, opened.told, 2, 2);
    CHECK(full.status() == Status::storage_full);
  }
  REQUIRE(World::revoke(*opened.log, opened.told, 3, 3).ok());
  const auto again = world.open();
  CHECK(again.told.knows(id_of(1)));
  CHECK_FALSE(again.told.knows(id_of(2)));
  CHECK(again.told.knows(id_of(3)));
}

// ---- Power cuts ----------------------------------------------------------------------------------------------

struct Acknowledged {
  std::size_t events;
  std::uint64_t number;
};

using Work = bool(const World& world, Disk& disk, const std::function<void(std::uint64_t)>& acknowledge);

/// Cuts the power behind each event, several times. Returns how many cuts lost something.
int cuts_that_lose(bool syncs, int times, Work* work_on = &work) {
  int losing = 0;
  std::mt19937 random(11);
  const World world;
  std::vector<Acknowledged> acknowledged;
  tokenstore::test::DiskRecord events;
  {
    Disk disk(world, {.ignores_sync = !syncs, .ignores_names = !syncs});
    const auto acknowledge = [&](std::uint64_t number) { acknowledged.push_back({disk.record.size(), number}); };
    REQUIRE(work_on(world, disk, acknowledge));
    events = std::move(disk.record);
  }
  REQUIRE(events.size() > (syncs ? 40 : 20));
  const auto empty_the_directory = [&] {
    for (const auto& entry : std::filesystem::directory_iterator(world.directory.path())) {
      std::filesystem::remove(entry.path());
    }
  };
  for (std::size_t cut = 0; cut <= events.size(); ++cut) {
    CutDisk before;
    for (std::size_t event = 0; event < cut; ++event) before.change(events[event]);
    for (int i = 0; i < times; ++i) {
      empty_the_directory();
      before.cut(world.directory.path(), random);
      std::uint64_t known = 0;
      for (const Acknowledged& one : acknowledged) {
        if (one.events <= cut) known = one.number;
      }
      INFO("cut behind event " << cut << " of " << events.size());
      const std::uint64_t missing = lost(world, known);
      if (syncs) CHECK(missing == 0);
      if (missing != 0) ++losing;
    }
  }
  return losing;
}

TEST_CASE("a power cut behind any write, sync or renaming loses nothing that was acknowledged") {
  CHECK(cuts_that_lose(true, tokenstore::test::count_from("TOKENSTORE_JOURNAL_POWER_CUTS", 8)) == 0);
}

TEST_CASE("a power cut loses nothing acknowledged where others were killed before they had synced what they wrote") {
  const int times = tokenstore::test::count_from("TOKENSTORE_JOURNAL_POWER_CUTS", 8);
  CHECK(cuts_that_lose(true, times, &work_after_the_killed) == 0);
}

TEST_CASE("the power cut test can fail: on a disk that ignores syncs, endings are lost") {
  CHECK(cuts_that_lose(false, 4) > 0);
}

}  // namespace
}  // namespace tokenstore::journal
