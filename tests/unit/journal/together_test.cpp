// Several on one journal, one of whom is in the midst of a write: what the others see, and who keeps the lock.
//
// This program's own fdatasync and ftruncate stand in front of the C library's: they are where a writer is stopped.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <functional>
#include <thread>

#include "unit/journal/journal_world.hpp"

namespace {

/// What a sync does: 0, or the error's number. None: nothing.
std::function<int()> at_sync;
bool cannot_cut = false;

}  // namespace

extern "C" {
int fdatasync(int) {
  const int number = at_sync ? at_sync() : 0;
  if (number != 0) errno = number;
  return number == 0 ? 0 : -1;
}
int ftruncate(int descriptor, off_t size) noexcept {
  if (cannot_cut) errno = EIO;
  return cannot_cut ? -1 : static_cast<int>(::truncate(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), size));
}
}

namespace tokenstore::journal {
namespace {

using test::id_of;
using test::Opened;
using test::World;

/// Of a test, and of it alone.
struct AtSync {
  explicit AtSync(std::function<int()> act) { at_sync = std::move(act); }
  ~AtSync() {
    at_sync = nullptr;
    cannot_cut = false;
  }
  AtSync(const AtSync&) = delete;
  AtSync& operator=(const AtSync&) = delete;
};

TEST_CASE("an ending whose sync fails was told to nobody, and those who read meanwhile go on") {
  const World world;
  auto writer = world.open();
  REQUIRE(World::revoke(*writer.log, writer.told, 1, 1).ok());
  auto reader = world.open();
  auto newcomer = world.open();
  bool read = false;
  {
    const AtSync failing([&] {
      if (read) return 0;  // the cut's
      read = true;
      CHECK(reader.log->read_on(reader.told).ok());
      newcomer = world.open();
      return EIO;
    });
    CHECK(World::revoke(*writer.log, writer.told, 2, 2).status() == Status::unavailable);
  }
  REQUIRE(read);
  CHECK_FALSE(reader.told.knows(id_of(2)));
  CHECK_FALSE(newcomer.told.knows(id_of(2)));
  for (Opened* one : {&reader, &newcomer}) {
    CHECK(one->log->read_on(one->told).ok());
    CHECK(World::revoke(*one->log, one->told, 3, 3).ok());
  }
  CHECK_FALSE(world.open().told.knows(id_of(2)));
}

TEST_CASE("what stands before the ending that is being written is told without waiting for it") {
  const World world;
  auto writer = world.open();
  auto reader = world.open();
  REQUIRE(World::revoke(*writer.log, writer.told, 1, 1).ok());
  REQUIRE(World::revoke(*writer.log, writer.told, 2, 3).ok());
  std::chrono::steady_clock::duration second_time{};
  {
    const AtSync slow([&] {
      CHECK(reader.log->read_on(reader.told).ok());
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < 20; ++i) CHECK(reader.log->read_on(reader.told).ok());
      second_time = std::chrono::steady_clock::now() - begin;
      return 0;
    });
    REQUIRE(World::revoke(*writer.log, writer.told, 4, 4).ok());
  }
  CHECK(reader.told.numbers == std::vector<std::uint64_t>{1, 2, 3});
  // A writer that hangs is waited for once.
  CHECK(second_time < std::chrono::milliseconds(500));
  REQUIRE(reader.log->read_on(reader.told).ok());
  CHECK(reader.told.numbers == std::vector<std::uint64_t>{1, 2, 3, 4});
}

TEST_CASE("an ending that can be neither synced nor cut off is unknown, and there if it is read") {
  const World world;
  auto writer = world.open();
  REQUIRE(World::revoke(*writer.log, writer.told, 1, 1).ok());
  auto other = world.open();
  {
    const AtSync failing([] { return EIO; });
    cannot_cut = true;
    const auto unknown = World::revoke(*writer.log, writer.told, 2, 2);
    REQUIRE(unknown.status() == Status::unknown);
    CHECK(unknown.error().message().find("may or may not keep") != std::string::npos);
  }
  REQUIRE(World::revoke(*other.log, other.told, 3, 3).ok());
  CHECK(other.told.knows(id_of(2)));
  REQUIRE(writer.log->read_on(writer.told).ok());
  CHECK(writer.told.numbers == std::vector<std::uint64_t>{2, 3});
  // Where it can be cut off, it is not there.
  {
    const AtSync failing([calls = 0]() mutable { return ++calls == 1 ? EIO : 0; });
    CHECK(World::revoke(*writer.log, writer.told, 4, 4).status() == Status::unavailable);
  }
  CHECK_FALSE(world.open().told.knows(id_of(4)));
}

TEST_CASE("a child that was forked during a write keeps nobody out when its parent is killed") {
  const World world;
  static_cast<void>(world.open());
  int to_child[2];  // the child ends with the last copy of its other end
  REQUIRE(::pipe(to_child) == 0);
  const pid_t parent = ::fork();
  REQUIRE(parent >= 0);
  if (parent == 0) {
    std::atomic<bool> writes{false};
    at_sync = [&] {
      writes = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      return 0;
    };
    auto opened = world.open();
    std::thread writer([&] { static_cast<void>(World::revoke(*opened.log, opened.told, 1, 1)); });
    while (!writes) std::this_thread::yield();
    if (::fork() == 0) {
      ::close(to_child[1]);
      char end = 0;
      static_cast<void>(::read(to_child[0], &end, 1) + 1);
      ::_exit(0);
    }
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(parent, &status, 0) == parent);
  REQUIRE(WIFSIGNALED(status));
  auto after = world.open();
  const auto done = World::revoke(*after.log, after.told, 2, 2);
  INFO((done.ok() ? std::string() : done.error().message()));
  CHECK(done.ok());
  ::close(to_child[1]);
  ::close(to_child[0]);
}

}  // namespace
}  // namespace tokenstore::journal
