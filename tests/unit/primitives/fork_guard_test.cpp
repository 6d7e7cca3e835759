#include "base/fork_guard.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

namespace tokenstore::base {
namespace {

/// Runs `body` in a forked child and returns what it returned.
template <typename Body>
int in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

TEST_CASE("a forked child is told so until it adopts, its own child as well, and the parent never") {
  ForkGuard guard;
  REQUIRE_FALSE(guard.forked());
  const int answer = in_child([&] {
    if (!guard.forked()) return 1;
    if (!guard.forked()) return 2;
    if (in_child([&] { return guard.forked() ? 7 : 8; }) != 7) return 3;
    if (guard.adopt([] { return false; }) || !guard.forked()) return 6;
    if (!guard.adopt([] { return true; }) || guard.forked()) return 4;
    if (in_child([&] { return guard.forked() ? 7 : 8; }) != 7) return 5;
    return 0;
  });
  REQUIRE(answer == 0);
  REQUIRE_FALSE(guard.forked());
  REQUIRE(guard.adopt([]() -> bool { throw std::logic_error("there is nothing to adopt"); }));
}

TEST_CASE("of several threads of a child one adopts while the others wait, and after a failure the next one tries") {
  ForkGuard guard;
  const int answer = in_child([&] {
    std::atomic<int> tries{0};
    std::atomic<int> at_once{0};
    std::atomic<bool> alone{true};
    std::atomic<int> adopted{0};
    std::vector<std::thread> threads;
    threads.reserve(8);
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        const auto work = [&] {
          if (at_once.fetch_add(1) != 0) alone = false;
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
          at_once.fetch_sub(1);
          // The first throws, the second fails.
          const int turn = tries.fetch_add(1);
          if (turn == 0) throw std::bad_alloc();
          return turn == 2;
        };
        try {
          if (guard.adopt(work)) adopted.fetch_add(1);
        } catch (const std::bad_alloc&) {
          adopted.fetch_add(100);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return alone && tries == 3 && adopted == 106 && !guard.forked() ? 0 : 1;
  });
  REQUIRE(answer == 0);
}

}  // namespace
}  // namespace tokenstore::base
