/// The upkeep thread and forks: a child never inherits what it had half done.
#include "store/upkeep_thread.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace tokenstore {
namespace {

/// How many of `forks` children found the work half done.
int half_done(pid_t (*fork_somehow)(), int forks) {
  std::atomic<int> turns{0};
  std::atomic<bool> under_way{false};
  UpkeepThread upkeep(std::chrono::milliseconds(1), [&] {
    under_way = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    under_way = false;
    ++turns;
  });
  int found = 0;
  for (int i = 0; i < forks; ++i) {
    for (const int before = turns; turns == before;)
      std::this_thread::sleep_for(std::chrono::microseconds(100 + 10 * i));
    const pid_t child = fork_somehow();
    if (child == 0) ::_exit(under_way ? 1 : 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (status != 0) ++found;
  }
  return found;
}

TEST_CASE("a fork waits for the upkeep thread's turn, unlike one that runs no handlers") {
  CHECK(half_done(&::fork, 100) == 0);
  CHECK(half_done(&::_Fork, 100) > 0);
}

TEST_CASE("a fork waits no longer than it may for a turn that does not end") {
  std::atomic<bool> inside{false};
  std::atomic<bool> let_go{false};
  UpkeepThread upkeep(std::chrono::milliseconds(1), [&] {
    inside = true;
    while (!let_go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  while (!inside) std::this_thread::yield();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(inside && !let_go ? 7 : 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 7);
  let_go = true;
}

TEST_CASE("in a child the upkeep thread ends without its thread, and a new one works, for forks of its own too") {
  std::atomic<int> turns{0};
  auto upkeep = std::make_unique<UpkeepThread>(std::chrono::milliseconds(1), [&] { ++turns; });
  while (turns == 0) std::this_thread::yield();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    const int before = turns;
    upkeep = std::make_unique<UpkeepThread>(std::chrono::milliseconds(1), [&] { ++turns; });
    while (turns == before) std::this_thread::yield();
    const pid_t grandchild = ::fork();
    if (grandchild == 0) {
      upkeep.reset();
      ::_exit(0);
    }
    int status = 0;
    if (::waitpid(grandchild, &status, 0) != grandchild || status != 0) ::_exit(1);
    for (const int then = turns; turns == then;) std::this_thread::yield();
    upkeep.reset();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  for (const int then = turns; turns == then;) std::this_thread::yield();
}

}  // namespace
}  // namespace tokenstore
