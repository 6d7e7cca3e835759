#include "base/fork_guard.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

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
    guard.adopt();
    if (guard.forked()) return 4;
    if (in_child([&] { return guard.forked() ? 7 : 8; }) != 7) return 5;
    return 0;
  });
  REQUIRE(answer == 0);
  REQUIRE_FALSE(guard.forked());
}

}  // namespace
}  // namespace tokenstore::base
