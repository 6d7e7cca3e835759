#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <random>

#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

enum class Step : std::uint8_t { issued, revoked, removed };

struct Acknowledgement {
  std::uint64_t number;
  Step step;
};

/// Issues three tokens at a time, then revokes one and removes another; says so after each.
[[noreturn]] void work(const std::string& path, int acknowledge, std::uint64_t first) {
  const auto backend = sqlite_backend(options_for(path));
  if (!backend.ok()) ::_exit(9);
  const auto say = [acknowledge](std::uint64_t number, Step step) {
    const Acknowledgement done{number, step};
    if (::write(acknowledge, &done, sizeof done) != sizeof done) ::_exit(8);
  };
  for (std::uint64_t number = first;; number += 3) {
    for (std::uint64_t i = 0; i < 3; ++i) {
      if (issue(**backend, number + i).outcome != CommitOutcome::committed) ::_exit(7);
      say(number + i, Step::issued);
    }
    if (revoke(**backend, number).outcome != CommitOutcome::committed) ::_exit(7);
    say(number, Step::revoked);
    if (commit_one(**backend, Mutation::remove_token(token_id(number + 1), 1)).outcome != CommitOutcome::committed) {
      ::_exit(7);
    }
    say(number + 1, Step::removed);
  }
}

}  // namespace

TEST_CASE("Nothing acknowledged is lost when the process is killed, and the store opens again") {
  const int cycles = count_from("TOKENSTORE_KILL_CYCLES", 1000);
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  std::mt19937 random(20260727);
  std::map<std::uint64_t, Step> known;
  std::uint64_t first = 1;
  std::uint64_t acknowledged = 0;
  int lost = 0;
  int failed_reopens = 0;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::close(ends[0]);
      work(path, ends[1], first);
    }
    ::close(ends[1]);
    // Every other child is killed once it has acknowledged something, however slow or busy the machine
    // is; the rest also while they open the store.
    pollfd first_word{ends[0], POLLIN, 0};
    if (cycle % 2 == 0) REQUIRE(::poll(&first_word, 1, 60'000) == 1);
    ::usleep(static_cast<useconds_t>(random() % 20'000));
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFEXITED(status)) {
      ++failed_reopens;
      UNSCOPED_INFO("the child ended by itself with " << WEXITSTATUS(status));
    }
    Acknowledgement done{};
    known.clear();
    std::uint64_t highest = first;
    while (::read(ends[0], &done, sizeof done) == sizeof done) {
      known[done.number] = done.step;
      highest = std::max(highest, done.number);
      ++acknowledged;
    }
    ::close(ends[0]);

    const auto backend = sqlite_backend(options_for(path));
    if (!backend.ok()) {
      ++failed_reopens;
      UNSCOPED_INFO(backend.error().message());
      continue;
    }
    for (const auto& [number, step] : known) {
      const auto token = (*backend)->load_token(workspace, token_id(number));
      const bool there = token.ok() && token->has_value();
      // A revocation or removal may have happened without having been acknowledged, never the reverse.
      if (step == Step::issued && !there && known.count(number) != 0 && number % 3 != 2) ++lost;
      if (step == Step::revoked && (!there || !is_revoked(**token))) ++lost;
      if (step == Step::removed && (!token.ok() || there)) ++lost;
    }
    first = highest + 10 - (highest + 10) % 3 + 1;
  }
  CHECK(lost == 0);
  CHECK(failed_reopens == 0);
  CHECK(acknowledged >= static_cast<std::uint64_t>((cycles + 1) / 2));
  const auto backend = open_or_fail(options_for(path));
  CHECK(backend->check_integrity(10, {}).value().empty());
}
