// A journal on disks that fail: killed at every write and sync, a power cut at every one, and a disk that is full.
//
// This program's own pwrite, fdatasync and so on stand in front of the C library's: they keep a record of what a disk
// was told, end the process or fail.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>

#include "support/count_from.hpp"
#include "unit/journal/journal_world.hpp"

namespace {

enum class Act : std::uint8_t { write, cut, sync, create, link, rename, unlink, sync_names };

/// What a disk was told. Of a file, by its number; of names, by name.
struct Event {
  Act act;
  ino_t file = 0;
  std::uint64_t offset = 0;
  std::string data{};
  std::string to{};
};

struct Disk {
  bool recording = false;
  std::vector<Event> events;
  int calls = 0;
  int dies_at = 0;        ///< the call at which the process ends; 0: never
  int fails_at = 0;       ///< the call that fails; 0: none
  int error = 0;          ///< and how
  bool for_ever = false;  ///< and every one after it
  bool ignores_sync = false;
  bool ignores_names = false;  ///< syncs of a directory

  /// Whether this call fails. Half of a write may have been done.
  bool next_call(const std::function<void()>& half = {}) {
    if (!recording) return false;
    ++calls;
    if (calls == dies_at) {
      if (half) half();
      ::_exit(99);
    }
    const bool fails = fails_at != 0 && (for_ever ? calls >= fails_at : calls == fails_at);
    if (fails && half) half();
    if (fails) errno = error;
    return fails;
  }
  void note(Event event) {
    if (recording) events.push_back(std::move(event));
  }
};
Disk disk;

template <typename Function>
Function* next(Function*, const char* name) noexcept {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

ino_t number_of(int descriptor) {
  struct stat facts {};
  return ::fstat(descriptor, &facts) == 0 ? facts.st_ino : 0;
}

bool is_directory(int descriptor) {
  struct stat facts {};
  return ::fstat(descriptor, &facts) == 0 && S_ISDIR(facts.st_mode);
}

}  // namespace

extern "C" {
ssize_t pwrite(int descriptor, const void* data, size_t size, off_t at) {
  const auto real = next(&pwrite, "pwrite");
  if (disk.next_call([&] { static_cast<void>(real(descriptor, data, size / 2, at)); })) return -1;
  const ssize_t done = real(descriptor, data, size, at);
  if (done > 0) {
    disk.note({Act::write, number_of(descriptor), static_cast<std::uint64_t>(at),
               std::string(static_cast<const char*>(data), static_cast<std::size_t>(done))});
  }
  return done;
}
int ftruncate(int descriptor, off_t size) noexcept {
  if (disk.next_call()) return -1;
  const int done = next(&ftruncate, "ftruncate")(descriptor, size);
  if (done == 0) disk.note({Act::cut, number_of(descriptor), static_cast<std::uint64_t>(size)});
  return done;
}
int fdatasync(int descriptor) {
  if (disk.next_call()) return -1;
  if (!disk.ignores_sync) disk.note({Act::sync, number_of(descriptor)});
  return 0;  // the record is what tells
}
int fsync(int descriptor) {
  if (disk.next_call()) return -1;
  const bool of_names = is_directory(descriptor);
  if (!(of_names && disk.ignores_names)) disk.note({of_names ? Act::sync_names : Act::sync, number_of(descriptor)});
  return 0;
}
int link(const char* from, const char* to) noexcept {
  if (disk.next_call()) return -1;
  const int done = next(&link, "link")(from, to);
  if (done == 0) disk.note({Act::link, 0, 0, from, to});
  return done;
}
int rename(const char* from, const char* to) noexcept {
  if (disk.next_call()) return -1;
  const int done = next(&rename, "rename")(from, to);
  if (done == 0) disk.note({Act::rename, 0, 0, from, to});
  return done;
}
int renameat2(int, const char* from, int, const char* to, unsigned flags) noexcept {
  if (disk.next_call()) return -1;
  const int done = next(&renameat2, "renameat2")(AT_FDCWD, from, AT_FDCWD, to, flags);
  if (done == 0) disk.note({Act::rename, 0, 0, from, to});
  return done;
}
int unlink(const char* path) noexcept {
  const int done = next(&unlink, "unlink")(path);
  if (done == 0) disk.note({Act::unlink, 0, 0, path});
  return done;
}
int fchmod(int descriptor, mode_t mode) noexcept {
  // The only one that is called on a file as soon as it is made: its name is noted by it.
  const int done = next(&fchmod, "fchmod")(descriptor, mode);
  if (disk.recording && done == 0) {
    char name[4096];
    const std::string self = "/proc/self/fd/" + std::to_string(descriptor);
    const ssize_t size = ::readlink(self.c_str(), name, sizeof name);
    if (size > 0) {
      disk.note({Act::create, number_of(descriptor), 0, std::string(name, static_cast<std::size_t>(size))});
    }
  }
  return done;
}
}

namespace tokenstore::journal {
namespace {

using test::id_of;
using test::now;
using test::Told;
using test::World;

/// Entries, a new segment in their midst, and more entries. `acknowledge(n)`: the ending n is durable.
bool work(const World& world, const std::function<void(std::uint64_t)>& acknowledge) {
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

/// Does it as a process that is killed before its last sync, which is of this kind.
void unsynced(bool Disk::*kind, const std::function<void()>& act) {
  disk.*kind = true;
  act();
  disk.*kind = false;
}

/// The journal, its segments and most endings of an odd number are of such a process; another goes on.
bool work_after_the_killed(const World& world, const std::function<void(std::uint64_t)>& acknowledge) {
  unsynced(&Disk::ignores_names, [&] { static_cast<void>(world.open()); });
  for (std::uint64_t number = 1; number <= 12; number += 2) {
    auto killed = world.open();
    const bool segment = number == 5 || number == 9;
    if (segment) {
      unsynced(&Disk::ignores_names, [&] { REQUIRE(killed.log->begin_segment(now, killed.told).ok()); });
    } else {
      unsynced(&Disk::ignores_sync, [&] { REQUIRE(World::revoke(*killed.log, killed.told, number, number).ok()); });
    }
    auto next = world.open();
    if (!World::revoke(*next.log, next.told, segment ? number : number + 1, number + 1).ok()) return false;
    acknowledge(number + 1);
  }
  return true;
}

/// How many of the endings up to `acknowledged` are missing, all of them if the journal cannot be opened.
std::uint64_t lost(const World& world, std::uint64_t acknowledged) {
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

struct Recording {
  explicit Recording(Disk plan = {}) {
    disk = std::move(plan);
    disk.recording = true;
  }
  ~Recording() { disk.recording = false; }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
};

int calls_in_all() {
  const World world;
  const Recording recording;
  REQUIRE(work(world, [](std::uint64_t) {}));
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
      Disk plan;
      plan.dies_at = at;
      const Recording recording(plan);
      static_cast<void>(work(world, [&](std::uint64_t number) {
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
    REQUIRE(WEXITSTATUS(status) == 99);
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
        Disk plan;
        plan.fails_at = at;
        plan.error = at % 2 == 0 ? ENOSPC : EIO;
        plan.for_ever = for_ever;
        const Recording recording(plan);
        const bool done = work(world, [&](std::uint64_t number) { acknowledged = number; });
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
    Disk plan;
    plan.fails_at = 1;
    plan.error = ENOSPC;
    const Recording recording(plan);
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

constexpr std::size_t sector = 512;

void put(std::string& content, std::size_t offset, std::string_view data) {
  if (content.size() < offset + data.size()) content.resize(offset + data.size(), '\0');
  std::copy(data.begin(), data.end(), content.begin() + static_cast<std::ptrdiff_t>(offset));
}

/// A disk's files and names: what is durable, and what may be.
class CutDisk {
 public:
  void tell(const Event& event) {
    switch (event.act) {
      case Act::write:
      case Act::cut:
        files_[event.file].pending.push_back(event);
        break;
      case Act::sync:
        files_[event.file].sync();
        break;
      case Act::sync_names:
        for (const Event& change : pending_names_) apply(change);
        pending_names_.clear();
        break;
      default:
        pending_names_.push_back(event);
    }
  }
  /// What is found after the cut: of the names a beginning of what was pending, of the files anything. A file system
  /// that has a name durable has the file's length as it was synced.
  void come_back(std::mt19937& random) {
    const std::size_t kept = random() % (pending_names_.size() + 1);
    for (std::size_t i = 0; i < kept; ++i) apply(pending_names_[i]);
    std::map<ino_t, std::string> first_names;
    for (const auto& [name, file] : names_) {
      const auto [first, added] = first_names.try_emplace(file, name);
      if (!added) {  // a second name of the same file
        REQUIRE(::link(first->second.c_str(), name.c_str()) == 0);
        continue;
      }
      test::write_content(name, files_[file].after_cut(random));
      REQUIRE(::chmod(name.c_str(), 0600) == 0);
    }
  }

 private:
  struct File {
    std::string synced;
    std::vector<Event> pending;
    static void apply(std::string& content, const Event& event) {
      if (event.act == Act::cut) {
        content.resize(event.offset, '\0');
      } else {
        put(content, event.offset, event.data);
      }
    }
    void sync() {
      for (const Event& event : pending) apply(synced, event);
      pending.clear();
    }
    std::string after_cut(std::mt19937& random) const {
      std::string content = synced;
      for (const Event& event : pending) {
        switch (random() % 4) {
          case 0:
            break;
          case 1: {
            if (event.act != Act::write) break;
            // Torn: some of the disk's sectors, wherever the write begins in one.
            for (std::size_t at = 0; at < event.data.size();) {
              const std::size_t size =
                  std::min(sector - (static_cast<std::size_t>(event.offset) + at) % sector, event.data.size() - at);
              if (random() % 2 == 0) put(content, event.offset + at, std::string_view(event.data).substr(at, size));
              at += size;
            }
            break;
          }
          default:
            apply(content, event);
        }
      }
      return content;
    }
  };

  void apply(const Event& change) {
    switch (change.act) {
      case Act::create:
        names_[change.data] = change.file;
        break;
      case Act::link:
        names_[change.to] = names_.at(change.data);
        break;
      case Act::rename:
        names_[change.to] = names_.at(change.data);
        names_.erase(change.data);
        break;
      case Act::unlink:
        names_.erase(change.data);
        break;
      default:
        break;
    }
  }

  std::map<ino_t, File> files_;
  std::map<std::string, ino_t> names_;
  std::vector<Event> pending_names_;
};

struct Acknowledged {
  std::size_t events;
  std::uint64_t number;
};

using Work = bool(const World& world, const std::function<void(std::uint64_t)>& acknowledge);

/// Cuts the power behind each event, several times. Returns how many cuts lost something.
int cuts_that_lose(bool ignores_sync, int times, Work* work_on = &work) {
  int losing = 0;
  std::mt19937 random(11);
  const World world;
  std::vector<Acknowledged> acknowledged;
  {
    Disk plan;
    plan.ignores_sync = ignores_sync;
    const Recording recording(plan);
    REQUIRE(work_on(world, [&](std::uint64_t number) { acknowledged.push_back({disk.events.size(), number}); }));
  }
  const std::vector<Event> events = disk.events;
  REQUIRE(events.size() > (ignores_sync ? 20 : 40));
  const auto empty_the_directory = [&] {
    for (const auto& entry : std::filesystem::directory_iterator(world.directory.path())) {
      std::filesystem::remove(entry.path());
    }
  };
  for (std::size_t cut = 0; cut <= events.size(); ++cut) {
    for (int i = 0; i < times; ++i) {
      CutDisk after;
      for (std::size_t event = 0; event < cut; ++event) after.tell(events[event]);
      empty_the_directory();
      after.come_back(random);
      std::uint64_t known = 0;
      for (const Acknowledged& one : acknowledged) {
        if (one.events <= cut) known = one.number;
      }
      INFO("cut behind event " << cut << " of " << events.size());
      const std::uint64_t missing = lost(world, known);
      if (!ignores_sync) CHECK(missing == 0);
      if (missing != 0) ++losing;
    }
  }
  return losing;
}

TEST_CASE("a power cut behind any write, sync or renaming loses nothing that was acknowledged") {
  CHECK(cuts_that_lose(false, tokenstore::test::count_from("TOKENSTORE_JOURNAL_POWER_CUTS", 8)) == 0);
}

TEST_CASE("a power cut loses nothing acknowledged where others were killed before they had synced what they wrote") {
  const int times = tokenstore::test::count_from("TOKENSTORE_JOURNAL_POWER_CUTS", 8);
  CHECK(cuts_that_lose(false, times, &work_after_the_killed) == 0);
}

TEST_CASE("the power cut test can fail: on a disk that ignores syncs, endings are lost") {
  CHECK(cuts_that_lose(true, 4) > 0);
}

}  // namespace
}  // namespace tokenstore::journal
