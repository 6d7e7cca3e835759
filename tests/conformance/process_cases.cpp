// Other processes on the same storage: one that is killed, one whose commits have to be noticed.
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <map>

#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

/// What a process says: a token is stored at this revision. Short enough to be written in one piece.
struct Word {
  std::uint64_t number = 0;
  RecordRevision revision = 0;
};

bool say(int to, const Word& word) {
  return ::send(to, &word, sizeof word, MSG_NOSIGNAL) == sizeof word;
}

bool hear(int from, Word& word) {
  return ::recv(from, &word, sizeof word, MSG_WAITALL) == sizeof word;
}

/// A process that opens the storage and works on it. While one is made no handle may be open here, because not every
/// backend can be forked.
class OtherProcess {
 public:
  template <typename Work>
  OtherProcess(Trial& trial, const Work& work) {
    std::array<int, 2> ends{};
    if (!HOLDS(trial, ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0)) throw Stop{};
    child_ = ::fork();
    if (child_ == 0) {
      ::close(ends[0]);
      // Nothing of the parent's may run here, not even at the end.
      try {
        const auto backend = trial.factory.reopen();
        if (backend != nullptr) work(*backend, ends[1]);
      } catch (...) {  // NOLINT(bugprone-empty-catch): the parent sees that it ended
      }
      ::_exit(1);
    }
    ::close(ends[1]);
    line_ = ends[0];
    if (!HOLDS(trial, child_ > 0)) throw Stop{};
  }
  ~OtherProcess() {
    kill();
    ::close(line_);
  }
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;

  int line() const noexcept { return line_; }
  bool says_something_within(int milliseconds) const {
    pollfd ready{line_, POLLIN, 0};
    return ::poll(&ready, 1, milliseconds) == 1 && (ready.revents & POLLIN) != 0;
  }
  /// What it has said remains to be heard. False: it had ended by itself.
  bool kill() {
    if (child_ <= 0) return true;
    ::kill(child_, SIGKILL);
    int status = 0;
    const bool waited = ::waitpid(child_, &status, 0) == child_;
    child_ = 0;
    return waited && WIFSIGNALED(status);
  }

 private:
  pid_t child_ = 0;
  int line_ = -1;
};

/// Puts tokens one after the other, replaces every second of them, and says so after each.
void put_for_ever(Backend& backend, int line, std::uint64_t first) {
  for (std::uint64_t number = first;; ++number) {
    if (commit(backend, {put_new(token_of(number))}).outcome != CommitOutcome::committed) return;
    if (!say(line, {number, 1})) return;
    if (number % 2 != 0) continue;
    if (commit(backend, {replace(next_of(token_of(number)))}).outcome != CommitOutcome::committed) return;
    if (!say(line, {number, 2})) return;
  }
}

void killed_process_loses_nothing(Trial& trial) {
  static_cast<void>(trial.open());
  std::map<std::uint64_t, RecordRevision> acknowledged;
  std::uint64_t next = 1;
  const std::size_t rounds = trial.steps(20);
  for (std::size_t round = 0; round < rounds; ++round) {
    std::uint64_t highest = next;
    {
      OtherProcess other(trial, [next](Backend& backend, int line) { put_for_ever(backend, line, next); });
      // Every other one is killed once it has said something, however slow the machine; the rest while it opens, too.
      if (round % 2 == 0) HOLDS(trial, other.says_something_within(60'000));
      ::usleep(static_cast<useconds_t>(trial.pick(20'000)));
      if (!trial.check(other.kill(), __FILE__, __LINE__, "the process could not open the storage or commit to it")) {
        return;
      }
      Word word;
      while (hear(other.line(), word)) {
        acknowledged[word.number] = word.revision;
        highest = std::max(highest, word.number);
      }
    }
    const auto backend = trial.reopen();
    for (const auto& [number, revision] : acknowledged) {
      if (number < next) continue;
      const auto token = VALUE(trial, backend->load_token(home, id_of(number)));
      // One that was not acknowledged any more may be there, never the reverse.
      if (!HOLDS(trial, token && token->revision >= revision)) return;
    }
    next = highest + 2;
  }
  EQUAL(trial, acknowledged.size() >= (rounds + 1) / 2, true);
  const auto backend = trial.reopen();
  std::set<std::string> stored;
  for (const std::string& id : ids_of(list_all(trial, *backend, {}))) stored.insert(id);
  for (const auto& [number, revision] : acknowledged) HOLDS(trial, stored.contains(id_of(number)));
  must_commit(trial, *backend, {put_new(token_of(next))});
}

/// Commits whenever it is told to, and says so.
void put_when_told(Backend& backend, int line) {
  Word word;
  while (hear(line, word)) {
    if (commit(backend, {put_new(token_of(word.number))}).outcome != CommitOutcome::committed) return;
    if (!say(line, {word.number, 1})) return;
  }
}

void other_process_is_noticed(Trial& trial) {
  static_cast<void>(trial.open());
  OtherProcess other(trial, put_when_told);
  const auto backend = trial.reopen();
  for (std::uint64_t number = 1; number <= trial.steps(200); ++number) {
    const Pulse before = backend->pulse();
    HOLDS(trial, !VALUE(trial, backend->load_token(home, id_of(number))));
    Word word;
    if (!trial.check(say(other.line(), {number, 0}) && hear(other.line(), word), __FILE__, __LINE__,
                     "the process could not open the storage or commit to it")) {
      return;
    }
    const Pulse after = backend->pulse();
    HOLDS(trial, after.trusted_until == time_min || after.counter != before.counter);
    const auto token = VALUE(trial, backend->load_token(home, id_of(number)));
    HOLDS(trial, token && same(*token, token_of(number)));
    EQUAL(trial, VALUE(trial, backend->changes(home, number)).revision, number + 1);
  }
}

}  // namespace

void add_process_cases(std::vector<Case>& cases) {
  cases.push_back({.name = "nothing acknowledged is lost when a process is killed",
                   .body = killed_process_loses_nothing,
                   .needs_persistence = true});
  cases.push_back({.name = "a commit of another process is seen at once, and moves the pulse",
                   .body = other_process_is_noticed,
                   .needs_many_handles = true});
}

}  // namespace tokenstore::conformance
