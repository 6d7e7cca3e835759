#include "base/at_fork.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <memory>
#include <vector>

namespace tokenstore::base {
namespace {

class Recorder final : public AtFork {
 public:
  void rest(std::chrono::steady_clock::time_point deadline) noexcept override {
    ++rests;
    left = deadline - std::chrono::steady_clock::now();
  }
  void resume(bool in_child) noexcept override { ++(in_child ? resumed_in_child : resumed_in_parent); }

  int rests = 0;
  int resumed_in_parent = 0;
  int resumed_in_child = 0;
  std::chrono::steady_clock::duration left{};
};

template <typename Body>
int in_child(pid_t (*fork_somehow)(), Body body) {
  const pid_t child = fork_somehow();
  if (child == 0) _exit(body());
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

TEST_CASE("what takes part rests before a fork and resumes on both sides") {
  Recorder first;
  Recorder second;
  const AtForkEntry first_entry(first);
  const AtForkEntry second_entry(second);
  CHECK(in_child(&fork, [&] {
          const bool seen = first.rests == 1 && second.rests == 1 && first.resumed_in_child == 1 &&
                            second.resumed_in_child == 1 && first.resumed_in_parent == 0;
          // In the child all goes on, for forks of its own too.
          const AtForkEntry one_more(first);
          return seen && in_child(&fork, [&] { return first.rests == 3 ? 7 : 8; }) == 7 ? 0 : 1;
        }) == 0);
  for (const Recorder* recorder : {&first, &second}) {
    CHECK(recorder->rests == 1);
    CHECK(recorder->resumed_in_parent == 1);
    CHECK(recorder->resumed_in_child == 0);
    CHECK(recorder->left <= AtFork::longest_wait);
  }
}

TEST_CASE("what has left takes no part in a fork, in whatever order they leave") {
  std::vector<Recorder> recorders(3);
  for (const std::vector<std::size_t>& order : {std::vector<std::size_t>{0, 1, 2}, {2, 1, 0}, {1, 0, 2}}) {
    std::vector<std::unique_ptr<AtForkEntry>> entries;
    for (Recorder& recorder : recorders) entries.push_back(std::make_unique<AtForkEntry>(recorder));
    for (const std::size_t leaving : order) {
      entries[leaving].reset();
      std::vector<int> before;
      for (const Recorder& recorder : recorders) before.push_back(recorder.rests);
      CHECK(in_child(&fork, [] { return 0; }) == 0);
      for (std::size_t i = 0; i < recorders.size(); ++i) {
        CHECK(recorders[i].rests == before[i] + (entries[i] ? 1 : 0));
      }
    }
  }
}

TEST_CASE("a fork without handlers is one that nothing rested for") {
  Recorder recorder;
  const AtForkEntry entry(recorder);
  CHECK(in_child(&_Fork, [&] { return recorder.rests + recorder.resumed_in_child; }) == 0);
  CHECK(recorder.rests == 0);
}

}  // namespace
}  // namespace tokenstore::base
