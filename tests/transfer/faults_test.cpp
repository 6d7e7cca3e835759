// Backup and restore are killed, fail and lose power at every change that they make on disk.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <thread>

#include "support/count_from.hpp"
#include "support/cut_disk.hpp"
#include "support/system_calls.hpp"
#include "tokenstore/backends/memory.hpp"
#include "transfer/stores.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

/// A store with a token that ended after its backup, and one that was issued after it.
struct Scene {
  Scene() {
    auto store = open_store(path);
    living = issue(*store);
    ended = issue(*store);
    if (!back_up(path, backup).ok()) FAIL("no backup");
    REQUIRE(store->revoke(Actor::host(), ended.id).ok());
    fresh = issue(*store);
  }

  enum class State : std::uint8_t { older, newer, neither };
  /// Which of the two a file holds, whole. A file that is no store: neither.
  State state_of(const std::string& file) const {
    SqliteOptions options;
    options.path = file;
    options.create = false;
    const auto backend = sqlite_backend(options);
    if (!backend.ok()) return State::neither;
    const auto store = TokenStore::open(*backend, one_key());
    if (!store.ok()) return State::neither;
    const auto report = (*store)->check(Actor::host());
    if (!report.ok() || report->problem_count != 0 || !verdict(**store, living).valid()) return State::neither;
    const bool is_ended = verdict(**store, ended).reason() == Reason::revoked;
    const bool has_fresh = verdict(**store, fresh).valid();
    return is_ended && has_fresh ? State::newer : !is_ended && !has_fresh ? State::older : State::neither;
  }

  /// The database is one of the two, and if it is the older the newer has not gone.
  bool is_whole(const std::string& directory_path) const {
    const State state = state_of(directory_path + "/store.db");
    if (state != State::older) return state == State::newer;
    std::vector<std::string> others;
    for (const auto& entry : std::filesystem::directory_iterator(directory_path)) {
      const std::string name = entry.path().filename().string();
      const bool beside = name.ends_with("-wal") || name.ends_with("-shm");
      if (!beside && (name.find(".before-restore-") != std::string::npos || name.find(".new-") != std::string::npos)) {
        others.push_back(entry.path().string());
      }
    }
    return std::any_of(others.begin(), others.end(),
                       [&](const std::string& other) { return state_of(other) == State::newer; });
  }

  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string backup = directory.file("backup");
  Kept living, ended, fresh;
};

bool is_backup(const std::string& path) {
  return verify_backup(path, one_key()).ok();
}

/// Runs it in a child that is killed before its n-th change. True if it was.
template <typename Run>
bool killed_at(const Scene& scene, std::int64_t nth, Run run) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::int64_t calls = 0;
    const Watch watch(scene.directory.path().string(), {[&](const SystemCall&) {
                        if (++calls == nth) ::kill(::getpid(), SIGKILL);
                        return 0;
                      }});
    ::_exit(run() ? 0 : 9);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) return true;
  CHECK(WEXITSTATUS(status) == 0);
  return false;
}

void remove_leftovers(const Scene& scene) {
  for (const auto& entry : std::filesystem::directory_iterator(scene.directory.path())) {
    const std::string name = entry.path().filename().string();
    if (name.find(".new-") != std::string::npos || name.find(".before-restore-") != std::string::npos) {
      std::filesystem::remove(entry.path());
    }
  }
}

}  // namespace

TEST_CASE("A backup that is killed at any change leaves a whole one of its name or none, and the store as it was") {
  const Scene scene;
  const std::string place = scene.directory.file("second");
  bool was_there = false;
  std::int64_t nth = 1;
  for (; killed_at(scene, nth, [&] { return back_up(scene.path, place).ok(); }); ++nth) {
    if (std::filesystem::exists(place)) {
      was_there = true;
      CHECK(is_backup(place));
      std::filesystem::remove(place);
    }
    // Over an earlier one.
    CHECK(killed_at(scene, nth, [&] { return back_up(scene.path, scene.backup, true).ok(); }));
    CHECK(is_backup(scene.backup));
  }
  CHECK(nth > 10);
  CHECK(was_there);  // killed between the name and its sync
  CHECK(is_backup(place));
  CHECK(scene.state_of(scene.path) == Scene::State::newer);
}

TEST_CASE("A restore that is killed at any change leaves the whole old store or the whole restored one") {
  std::int64_t nth = 1;
  int older = 0;
  int newer = 0;
  for (bool killed = true; killed; ++nth) {
    const Scene scene;
    killed = killed_at(scene, nth, [&] { return restore(scene.backup, scene.path, true).ok(); });
    CHECK(scene.is_whole(scene.directory.path().string()));
    ++(scene.state_of(scene.path) == Scene::State::older ? older : newer);
    // It is done again as if nothing had been.
    remove_leftovers(scene);
    CHECK(restore(scene.backup, scene.path, true).ok());
    CHECK(scene.state_of(scene.path) == Scene::State::older);
  }
  CHECK(nth > 20);
  CHECK(older > 1);
  CHECK(newer > 1);
}

TEST_CASE("Control: half a store, and a newer one that has gone, are found") {
  const Scene scene;
  CHECK(scene.is_whole(scene.directory.path().string()));
  const auto report = restore(scene.backup, scene.path, true);
  REQUIRE(report.ok());
  CHECK(scene.is_whole(scene.directory.path().string()));
  std::filesystem::remove(report->kept_file);
  CHECK_FALSE(scene.is_whole(scene.directory.path().string()));
  const std::string content = file_content(scene.path);
  write_file(scene.path, content.substr(0, content.size() / 2));
  CHECK(scene.state_of(scene.path) == Scene::State::neither);
  write_file(scene.backup, file_content(scene.backup).substr(0, 5000));
  CHECK_FALSE(is_backup(scene.backup));
}

namespace {

/// A disk that fails one call, or also all that follow. What only cleans up is let through.
class BrokenDisk {
 public:
  using Judge = bool(const SystemCall& call, const std::vector<Change>& before);

  BrokenDisk(const Scene& scene, std::int64_t nth, int code, bool for_ever, Judge* is_needed)
      : nth_(nth),
        code_(code),
        for_ever_(for_ever),
        is_needed_(is_needed),
        watch_(scene.directory.path().string(), {[this](const SystemCall& call) { return answer(call); }}) {}
  /// The call that failed first. None: there are fewer.
  std::optional<Change> failed() const { return failed_; }
  /// Without it nothing is done.
  bool needed() const { return needed_; }

 private:
  int answer(const SystemCall& call) {
    const bool counts = call.change != Change::remove;
    if (counts && ++calls_ == nth_) {
      failed_ = call.change;
      needed_ = is_needed_(call, before_);
    }
    before_.push_back(call.change);
    return counts && (for_ever_ ? calls_ >= nth_ : calls_ == nth_) ? code_ : 0;
  }

  const std::int64_t nth_;
  const int code_;
  const bool for_ever_;
  Judge* const is_needed_;
  std::int64_t calls_ = 0;
  std::vector<Change> before_;
  std::optional<Change> failed_;
  bool needed_ = false;
  Watch watch_;
};

/// What writes the new file, gives it its name or makes either of them last.
bool makes_backup(const SystemCall& call, const std::vector<Change>&) {
  return call.path.find(".new-") != std::string::npos || call.change == Change::sync_directory;
}

/// Everything until the two files have changed their names, and what makes names last. The directory is also synced by
/// SQLite, behind the sync of a file or of the directory: for a journal that is of no use to anybody any more.
bool makes_store(const SystemCall& call, const std::vector<Change>& before) {
  if (call.change == Change::sync_directory) {
    return before.empty() || (before.back() != Change::sync && before.back() != Change::sync_directory);
  }
  // The first exchange is of two files that are made to try it.
  return std::count(before.begin(), before.end(), Change::exchange) < 2;
}

}  // namespace

TEST_CASE("A disk that is full or broken at any change fails a backup, and never makes half of one") {
  const Scene scene;
  const std::string place = scene.directory.file("second");
  const auto store = open_file(scene.path);  // what fails is the backup, and not its opening
  for (const int code : {ENOSPC, EIO}) {
    for (const bool for_ever : {false, true}) {
      std::set<Change> needed;
      for (std::int64_t nth = 1;; ++nth) {
        Result<BackupInfo> made = Error(Status::internal, "not tried");
        std::optional<Change> failed;
        {
          const BrokenDisk disk(scene, nth, code, for_ever, &makes_backup);
          made = backup_store(*store, one_key(), place);
          failed = disk.failed();
          if (disk.needed()) {
            INFO("call " << nth << ", change " << static_cast<int>(*failed));
            CHECK_FALSE(made.ok());
            needed.insert(*failed);
          }
        }
        CHECK((std::filesystem::exists(place) ? is_backup(place) : !made.ok()));
        std::filesystem::remove(place);
        for (const std::string& name : names_in(scene.directory)) CHECK(name.find(".new-") == std::string::npos);
        if (failed) continue;
        CHECK(made.ok());
        break;
      }
      CHECK(needed == std::set<Change>{Change::create, Change::mode, Change::write, Change::sync, Change::rename,
                                       Change::sync_directory});
    }
  }
  CHECK(scene.state_of(scene.path) == Scene::State::newer);
}

TEST_CASE("A disk that is full or broken at any change fails a restore, and one of the two stores is whole") {
  struct Way {
    int code;
    bool for_ever;
  };
  for (const Way way : {Way{ENOSPC, false}, Way{EIO, false}, Way{EIO, true}}) {
    std::set<Change> needed;
    std::optional<Change> failed = Change::write;
    for (std::int64_t nth = 1; failed; ++nth) {
      const Scene scene;
      bool done = false;
      {
        const BrokenDisk disk(scene, nth, way.code, way.for_ever, &makes_store);
        done = restore(scene.backup, scene.path, true).ok();
        failed = disk.failed();
        if (disk.needed()) {
          INFO("call " << nth << ", change " << static_cast<int>(*failed));
          CHECK_FALSE(done);
          needed.insert(*failed);
        }
      }
      CHECK(scene.is_whole(scene.directory.path().string()));
      if (done) CHECK(scene.state_of(scene.path) == Scene::State::older);
      if (!failed) CHECK(done);
    }
    CHECK(needed == std::set<Change>{Change::create, Change::mode, Change::write, Change::truncate, Change::sync,
                                     Change::exchange, Change::sync_directory});
  }
}

TEST_CASE("What heals a restored store is in it however the disk fails, or nothing is restored") {
  int failures = 0;
  bool reached = true;
  for (std::int64_t nth = 1; reached; ++nth) {
    const Scene scene;
    std::int64_t calls = 0;
    RestoreOptions options;
    options.sqlite.path = scene.path;
    options.overwrite = true;
    options.heal = [&](Backend& restored) -> Result<void> {
      const std::shared_ptr<Backend> borrowed(&restored, [](Backend*) {});
      const auto store = TokenStore::open(borrowed, one_key());
      if (!store.ok()) return store.error();
      const auto revoked = (*store)->revoke(Actor::host(), scene.living.id);
      return revoked.ok() ? Result<void>() : revoked.error();
    };
    bool done = false;
    {
      const Watch watch(scene.directory.path().string(), {[&](const SystemCall& call) {
                          return call.change != Change::remove && ++calls == nth ? EIO : 0;
                        }});
      done = restore_sqlite(scene.backup, one_key(), options).ok();
    }
    reached = calls >= nth;
    failures += done ? 0 : 1;
    if (done) CHECK(verdict(*open_store(scene.path), scene.living).reason() == Reason::revoked);
  }
  CHECK(failures > 20);
}

TEST_CASE("Where two files cannot be swapped, whoever has the store open goes on") {
  for (const int code : {EINVAL, EPERM}) {
    const Scene scene;
    const auto store = open_store(scene.path);
    Result<RestoreReport> report = Error(Status::internal, "not tried");
    {
      const Watch watch(scene.directory.path().string(),
                        {[&](const SystemCall& call) { return call.change == Change::exchange ? code : 0; }});
      report = restore(scene.backup, scene.path, true);
    }
    CHECK(report.status() == (code == EINVAL ? Status::unsupported : Status::unavailable));
    CHECK(verdict(*store, scene.living).valid());
    CHECK(verdict(*store, issue(*store)).valid());
    CHECK(store->check(Actor::host())->problem_count == 0);
    for (const std::string& name : names_in(scene.directory)) CHECK(name.find(".new-") == std::string::npos);
  }
}

TEST_CASE("A restore whose names may not last says so, and where the old file is") {
  const Scene scene;
  int exchanges = 0;
  Result<RestoreReport> report = Error(Status::internal, "not tried");
  {
    const Watch watch(scene.directory.path().string(), {[&](const SystemCall& call) {
                        exchanges += call.change == Change::exchange ? 1 : 0;
                        return exchanges == 2 && call.change == Change::sync_directory ? EIO : 0;
                      }});
    report = restore(scene.backup, scene.path, true);
  }
  REQUIRE(report.status() == Status::unknown);
  CHECK(scene.state_of(scene.path) == Scene::State::older);
  std::string kept;
  for (const std::string& name : names_in(scene.directory)) {
    if (name.find(".before-restore-") != std::string::npos && !name.ends_with("-wal") && !name.ends_with("-shm"))
      kept = name;
  }
  REQUIRE_FALSE(kept.empty());
  CHECK(report.error().message().find(kept + "'") != std::string::npos);
  CHECK(scene.state_of(scene.directory.file(kept)) == Scene::State::newer);
}

namespace {

using Which = std::function<bool(const SystemCall& call)>;

bool is_of_new(const SystemCall& call) {
  return call.path.find(".new-") != std::string::npos;
}

/// Forks while another thread, which does `run`, is in the middle of a change. Whether the fork waited for its end.
bool fork_waits_for(const Scene& scene, const Which& change, const std::function<bool()>& run) {
  std::atomic<bool> inside{false};
  std::atomic<bool> forked{false};
  std::atomic<bool> done{false};
  bool met = false;
  bool succeeded = false;
  const auto linger = [&](const SystemCall& call) {
    if (met || !change(call)) return 0;
    met = inside = true;
    for (int turn = 0; turn < 300 && !forked; ++turn) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    inside = false;
    return 0;
  };
  const Watch watch(scene.directory.path().string(), {linger});
  std::thread other([&] {
    succeeded = run();
    done = true;
  });
  while (!inside && !done) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  const bool waited = !inside;
  forked = true;
  other.join();
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(met);
  REQUIRE(succeeded);
  return waited;
}

}  // namespace

TEST_CASE("A fork waits until what a backup and a restore have open is at rest") {
  {
    const Scene scene;
    const auto store = open_file(scene.path);
    // The first page: when it was copied, and when the copy becomes a backup.
    int times = 0;
    const Which second = [&](const SystemCall& call) {
      return call.change == Change::write && is_of_new(call) && call.offset == 0 && ++times == 2;
    };
    CHECK(fork_waits_for(scene, second,
                         [&] { return backup_store(*store, one_key(), scene.directory.file("second")).ok(); }));
  }
  const Which beside_new = [](const SystemCall& call) {
    return call.change == Change::create && is_of_new(call) && call.path.ends_with("-journal");
  };
  const Which beside_old = [](const SystemCall& call) {
    return call.change == Change::truncate && call.path.ends_with("store.db-wal");
  };
  for (const Which& which : {beside_new, beside_old}) {
    const Scene scene;
    const auto store = open_file(scene.path);
    CHECK(fork_waits_for(scene, which, [&] { return restore(scene.backup, scene.path, true).ok(); }));
  }
  // Control: for the copying itself, which is not SQLite's, no fork waits.
  const Scene scene;
  const Which copying = [](const SystemCall& call) { return call.change == Change::write && is_of_new(call); };
  CHECK_FALSE(fork_waits_for(scene, copying, [&] { return restore(scene.backup, scene.path, true).ok(); }));
}

TEST_CASE("What is verified is what is restored into other storage, whoever swaps the backup's file meanwhile") {
  const std::string genuine(100, 'g');
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  IssueRequest request{.owner = "alice", .scopes = {"read"}};
  request.metadata = genuine;
  const auto issued = open_store(path)->issue(Actor::host(), request);
  REQUIRE(issued.ok());
  REQUIRE(back_up(path, place).ok());
  const std::string whole = file_content(place);
  std::string altered = whole;
  for (std::size_t at = altered.find(genuine); at != std::string::npos; at = altered.find(genuine)) {
    altered.replace(at, genuine.size(), genuine.size(), 'a');
  }
  REQUIRE(altered != whole);
  int restored = 0;
  int refused = 0;
  bool reached = true;
  for (int nth = 1; reached; ++nth) {
    write_file(place, whole);
    const auto target = memory_backend();
    int calls = 0;
    bool done = false;
    {
      const Watch watch(directory.path().string(), {.any = [&] {
                          if (++calls == nth) write_file(place, altered);
                        }});
      done = restore_into(place, *target, one_key()).ok();
    }
    reached = calls >= nth;
    ++(done ? restored : refused);
    if (done) CHECK(target->load_token("default", issued->info.id).value()->metadata == genuine);
  }
  CHECK(restored > 5);
  CHECK(refused > 0);
}

// A power cut: for each change a disk is built on which only what was synced is certain, of files and of names.
namespace {

/// Counts the cuts after which `holds` is not so.
template <typename Run, typename Holds>
std::pair<int, int> cut_everywhere(const Scene& scene, bool syncing, int times, Run run, Holds holds) {
  DiskRecord calls;
  const CutDisk before(scene.directory.path());
  {
    const Watch watch(scene.directory.path().string(), {{}, [&](const SystemCall& call) {
                                                          if (syncing || !is_sync(call)) calls.note(call);
                                                        }});
    REQUIRE(run());
  }
  std::mt19937 random(static_cast<unsigned>(calls.size()));
  int cuts = 0;
  int broken = 0;
  for (std::size_t last = 0; last <= calls.size(); ++last) {
    CutDisk disk = before;
    for (std::size_t i = 0; i < last; ++i) disk.change(calls[i]);
    for (int time = 0; time < times; ++time) {
      const TempDirectory after;
      disk.cut(after.path(), random);
      ++cuts;
      broken += holds(after, last == calls.size()) ? 0 : 1;
    }
  }
  return {cuts, broken};
}

std::pair<int, int> cut_backups(bool syncing, int times) {
  const Scene scene;
  return cut_everywhere(
      scene, syncing, times, [&] { return back_up(scene.path, scene.directory.file("second")).ok(); },
      [&](const TempDirectory& after, bool finished) {
        const std::string place = after.file("second");
        const bool good = std::filesystem::exists(place) ? is_backup(place) : !finished;
        return good && scene.state_of(after.file("store.db")) == Scene::State::newer;
      });
}

std::pair<int, int> cut_restores(bool syncing, int times) {
  const Scene scene;
  // The old store has something in its -wal file, and is in use.
  const auto store = open_file(scene.path);
  return cut_everywhere(
      scene, syncing, times, [&] { return restore(scene.backup, scene.path, true).ok(); },
      [&](const TempDirectory& after, bool finished) {
        if (finished && scene.state_of(after.file("store.db")) != Scene::State::older) return false;
        return scene.is_whole(after.path().string());
      });
}

}  // namespace

TEST_CASE("A power cut at any change of a backup leaves a whole one or none, and of a finished one all") {
  const auto [cuts, broken] = cut_backups(true, count_from("TOKENSTORE_TRANSFER_CUTS", 2));
  CHECK(cuts > 50);
  CHECK(broken == 0);
}

TEST_CASE("The power cut test of backups can fail: where nothing is synced, halves are found") {
  CHECK(cut_backups(false, 2).second > 0);
}

TEST_CASE("A power cut at any change of a restore leaves the whole old store or the whole restored one") {
  const auto [cuts, broken] = cut_restores(true, count_from("TOKENSTORE_TRANSFER_CUTS", 2));
  CHECK(cuts > 70);
  CHECK(broken == 0);
}

TEST_CASE("The power cut test of restores can fail: where nothing is synced, stores are lost") {
  CHECK(cut_restores(false, 2).second > 0);
}
