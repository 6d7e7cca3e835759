/// The upkeep thread and forks: a child never inherits what it had half done.
#include "store/upkeep_thread.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace tokenstore {
namespace {

/// Forks when a turn has begun; whether the child finds its work half done.
class HalfDone {
 public:
  bool operator()(pid_t (*fork_somehow)()) {
    while (!under_way_) std::this_thread::sleep_for(std::chrono::microseconds(50));
    const pid_t child = fork_somehow();
    if (child == 0) ::_exit(under_way_ ? 1 : 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return status != 0;
  }

 private:
  std::atomic<bool> under_way_{false};
  UpkeepThread upkeep_{std::chrono::milliseconds(1), [this] {
                         under_way_ = true;
                         std::this_thread::sleep_for(std::chrono::milliseconds(2));
                         under_way_ = false;
                         return false;
                       }};
};

TEST_CASE("a fork waits for the upkeep thread's turn, unlike one that runs no handlers") {
  HalfDone half_done;
  for (int i = 0; i < 100; ++i) CHECK_FALSE(half_done(&::fork));
  // The control goes on until it has met one.
  int tries = 1;
  while (!half_done(&::_Fork) && tries < 10'000) ++tries;
  CHECK(tries < 10'000);
}

TEST_CASE("a fork waits no longer than it may for a turn that does not end") {
  std::atomic<bool> inside{false};
  std::atomic<bool> let_go{false};
  UpkeepThread upkeep(std::chrono::milliseconds(1), [&] {
    inside = true;
    while (!let_go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return false;
  });
  while (!inside) std::this_thread::yield();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(inside && !let_go ? 7 : 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 7);
  let_go = true;
}

TEST_CASE("a fork from the turn itself does not wait for the turn's end") {
  /// Takes part before the upkeep thread does, and so rests after it.
  struct Left final : base::AtFork {
    void rest(std::chrono::steady_clock::time_point deadline) noexcept override {
      waited_out = std::chrono::steady_clock::now() >= deadline;
    }
    void resume(bool) noexcept override {}
    std::atomic<bool> waited_out{false};
  } left;
  const base::AtForkEntry entry(left);
  std::atomic<int> status{-1};
  UpkeepThread upkeep(std::chrono::milliseconds(1), [&] {
    if (status != -1) return false;
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    int code = 0;
    status = ::waitpid(child, &code, 0) == child ? code : 1;
    return false;
  });
  while (status == -1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(status == 0);
  CHECK_FALSE(left.waited_out);
}

TEST_CASE("in a child the upkeep thread ends without its thread, and a new one works, for forks of its own too") {
  std::atomic<int> turns{0};
  const auto count = [&turns] {
    ++turns;
    return false;
  };
  auto upkeep = std::make_unique<UpkeepThread>(std::chrono::milliseconds(1), count);
  while (turns == 0) std::this_thread::yield();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    const int before = turns;
    upkeep = std::make_unique<UpkeepThread>(std::chrono::milliseconds(1), count);
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

TEST_CASE("a turn that leaves something is followed by the next before the interval is over") {
  constexpr std::chrono::seconds interval(1);
  std::atomic<int> turns{0};
  const UpkeepThread upkeep(interval, [&] { return ++turns < 5; });
  while (turns == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto first = std::chrono::steady_clock::now();
  while (turns < 5) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(std::chrono::steady_clock::now() - first < 3 * interval);  // four of them without what is tested
}

}  // namespace
}  // namespace tokenstore
