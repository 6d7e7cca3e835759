// Killed at any moment, through the front door: what a host was told is true when it opens the store again.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>

#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/open.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

enum class Step : std::uint8_t { issued, expired, revoked, removed };

/// Below PIPE_BUF, so that it arrives whole or not at all.
struct Acknowledgement {
  Step step = Step::issued;
  std::array<char, 16> id{};
  std::array<char, 81> text{};  ///< of a token with the prefix "pat"

  std::string_view text_view() const { return {text.data(), text.size()}; }
};

/// Issues four tokens at a time, of which three then end, each in its way; says so after each.
[[noreturn]] void work(const std::string& path, int acknowledge) {
  auto opened = open_sqlite(path);
  if (!opened.ok()) ::_exit(9);
  TokenStore& store = *opened->store;
  const Actor host = Actor::host();
  for (;;) {
    std::array<Acknowledgement, 4> tokens;
    for (Acknowledgement& token : tokens) {
      const auto issued = store.issue(host, {.owner = "alice", .scopes = {"read"}});
      if (!issued.ok() || issued->text.reveal().size() != token.text.size()) ::_exit(7);
      std::copy(issued->info.id.begin(), issued->info.id.end(), token.id.begin());
      std::copy(issued->text.reveal().begin(), issued->text.reveal().end(), token.text.begin());
      if (::write(acknowledge, &token, sizeof token) != sizeof token) ::_exit(8);
    }
    for (const Step step : {Step::expired, Step::revoked, Step::removed}) {
      Acknowledgement& token = tokens[static_cast<std::size_t>(step)];
      const std::string_view id(token.id.data(), token.id.size());
      const bool done = step == Step::expired   ? store.expire(host, id).ok()
                        : step == Step::revoked ? store.revoke(host, id).ok()
                                                : store.remove(host, id).ok();
      if (!done) ::_exit(7);
      token.step = step;
      if (::write(acknowledge, &token, sizeof token) != sizeof token) ::_exit(8);
    }
  }
}

/// Kills a child that works on the store, and returns the last thing said about each token.
std::vector<Acknowledgement> work_and_die(const std::string& path, bool wait_for_a_word, useconds_t time) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    work(path, ends[1]);
  }
  ::close(ends[1]);
  pollfd first_word{ends[0], POLLIN, 0};
  if (wait_for_a_word) REQUIRE(::poll(&first_word, 1, 300'000) == 1);
  ::usleep(time);
  ::kill(child, SIGKILL);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  INFO("a child that ends by itself says why by its exit code");
  CHECK(status == SIGKILL);
  std::map<std::string, Acknowledgement> last;
  Acknowledgement said;
  while (::read(ends[0], &said, sizeof said) == sizeof said) last[std::string(said.text_view())] = said;
  ::close(ends[0]);
  std::vector<Acknowledgement> all;
  for (const auto& [text, word] : last) all.push_back(word);
  return all;
}

/// Whether the store still says what was said to the host. `may_have_ended`: the child may have been killed
/// after ending this token and before saying so.
bool still_true(TokenStore& store, const Acknowledgement& said, bool may_have_ended) {
  const Verdict verdict = store.validate(said.text_view(), Demand("read"));
  switch (said.step) {
    case Step::issued:
      return verdict.valid() || (may_have_ended && verdict.outcome() == Outcome::invalid);
    case Step::expired:
      return verdict.reason() == Reason::expired;
    case Step::revoked:
      return verdict.reason() == Reason::revoked;
    case Step::removed:
      return verdict.reason() == Reason::unknown;
  }
  return false;
}

}  // namespace

TEST_CASE("What a store told its host is true after a kill, and its check finds nothing") {
  const int cycles = count_from("TOKENSTORE_KILL_CYCLES", 1000);
  const TempDirectory directory;
  std::mt19937 random(20261125);
  std::uint64_t acknowledged = 0;
  std::array<std::uint64_t, 4> said_of{};
  int lost = 0;
  int failed_reopens = 0;
  std::string path;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    // Each of a run of cycles works on the same file; the first of a run is killed while making it, too.
    if (cycle % 10 == 0) path = directory.file("store-" + std::to_string(cycle / 10) + ".db");
    const auto said = work_and_die(path, cycle % 2 != 0, static_cast<useconds_t>(random() % 20'000));
    acknowledged += said.size();

    auto opened = open_sqlite(path);
    if (!opened.ok()) {
      ++failed_reopens;
      UNSCOPED_INFO(opened.error().message());
      continue;
    }
    // Of the tokens last heard of as issued, one may have ended without the child having come to say so.
    int unsaid = 0;
    for (const Acknowledgement& token : said) {
      ++said_of[static_cast<std::size_t>(token.step)];
      if (still_true(*opened->store, token, false)) continue;
      if (still_true(*opened->store, token, true) && ++unsaid == 1) continue;
      ++lost;
    }
    if (cycle % 10 == 9 || cycle + 1 == cycles) {
      const auto report = opened->store->check(Actor::host());
      REQUIRE(report.ok());
      CHECK(report->problem_count == 0);
      CHECK((report->tokens > 0 || acknowledged == 0));
    }
  }
  CHECK(lost == 0);
  CHECK(failed_reopens == 0);
  CHECK(acknowledged >= static_cast<std::uint64_t>(cycles / 2));
  for (const std::uint64_t count : said_of) CHECK(count > 0);
}

TEST_CASE("Control: a store that was told a lie about a token is found out") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const auto said = work_and_die(path, true, 50'000);
  REQUIRE_FALSE(said.empty());
  auto opened = open_sqlite(path);
  REQUIRE(opened.ok());
  const auto kept = std::find_if(said.begin(), said.end(), [&](const Acknowledgement& token) {
    return token.step == Step::issued && still_true(*opened->store, token, false);
  });
  REQUIRE(kept != said.end());
  for (const Step step : {Step::expired, Step::revoked, Step::removed}) {
    Acknowledgement lie = *kept;
    lie.step = step;
    CHECK_FALSE(still_true(*opened->store, lie, true));
  }
  REQUIRE(opened->store->remove(Actor::host(), {kept->id.data(), kept->id.size()}).ok());
  CHECK_FALSE(still_true(*opened->store, *kept, false));
}
