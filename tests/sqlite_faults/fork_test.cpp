#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <random>
#include <thread>

#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

int status_of(pid_t child) {
  int status = 0;
  if (::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

// Says on standard error why a token could not be read: a child has no other way to tell.
bool has(Backend& backend, std::uint64_t number) {
  const auto token = backend.load_token(workspace, token_id(number));
  if (!token.ok()) std::fprintf(stderr, "token %d: %s\n", static_cast<int>(number), token.error().message().c_str());
  return token.ok() && token->has_value();
}

}  // namespace

TEST_CASE("A child uses the store it inherited, and the parent goes on unharmed") {
  const int forks = count_from("TOKENSTORE_FORKS", 100);
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const auto backend = open_or_fail(options_for(path));
  REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
  for (int i = 0; i < forks; ++i) {
    const auto of_parent = static_cast<std::uint64_t>(10 * i + 10);
    const std::uint64_t of_child = of_parent + 1;
    const Pulse before = backend->pulse();
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      // Before its first use nothing may be concluded from the pulse.
      if (backend->pulse().trusted_until != std::numeric_limits<std::int64_t>::min()) ::_exit(1);
      if (!has(*backend, 1)) ::_exit(2);
      if (backend->pulse().counter == before.counter) ::_exit(3);
      if (issue(*backend, of_child).outcome != CommitOutcome::committed) ::_exit(4);
      if (!has(*backend, of_child)) ::_exit(5);
      if (!backend->maintain(std::chrono::milliseconds(5)).ok()) ::_exit(6);
      if (!backend->changes(workspace, 0).ok()) ::_exit(7);
      const_cast<std::shared_ptr<Backend>&>(backend).reset();
      ::_exit(0);
    }
    if (i % 2 == 0) CHECK(issue(*backend, of_parent).outcome == CommitOutcome::committed);
    CHECK(status_of(child) == 0);
    if (i % 2 != 0) CHECK(issue(*backend, of_parent).outcome == CommitOutcome::committed);
    CHECK(has(*backend, of_parent));
    CHECK(has(*backend, of_child));
    CHECK(backend->pulse().counter != before.counter);
    CHECK(std::filesystem::exists(path + "-wal"));
  }
  CHECK(backend->check_integrity(10, {}).value().empty());
}

TEST_CASE("A child knows its own locks among the many that others take and release meanwhile") {
  const int forks = count_from("TOKENSTORE_FORKS", 300);
  const TempDirectory directory;
  const auto backend = open_or_fail(options_for(directory.file("store.db")));
  REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
  const int others = ::open(directory.file("others").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(others >= 0);
  const pid_t parent = ::getpid();
  std::array<pid_t, 2> noise{};
  for (pid_t& process : noise) {
    process = ::fork();
    REQUIRE(process >= 0);
    if (process != 0) continue;
    // Every second octet, since neighbours would become one lock. The kernel lists so many in several steps.
    std::minstd_rand random(static_cast<unsigned>(::getpid()));
    while (::getppid() == parent) {
      struct flock range {};
      range.l_type = random() % 2 == 0 ? F_WRLCK : F_UNLCK;
      range.l_start = 2L * static_cast<long>(random() % 1000);
      range.l_len = 1;
      ::fcntl(others, F_SETLK, &range);
    }
    ::_exit(0);
  }
  for (int i = 0; i < forks; ++i) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) ::_exit(has(*backend, 1) ? 0 : 1);
    CHECK(status_of(child) == 0);
  }
  for (const pid_t process : noise) {
    ::kill(process, SIGKILL);
    status_of(process);
  }
  ::close(others);
}

TEST_CASE("A child that closes the store without using it leaves the parent's files alone") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  auto backend = open_or_fail(options_for(path));
  REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    backend.reset();
    ::_exit(0);
  }
  CHECK(status_of(child) == 0);
  CHECK(std::filesystem::exists(path + "-wal"));
  CHECK(issue(*backend, 2).outcome == CommitOutcome::committed);
  CHECK(has(*backend, 1));
}

TEST_CASE("A child outlives its parent and is the last to close the store") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const pid_t parent = ::fork();
  REQUIRE(parent >= 0);
  if (parent == 0) {
    const auto backend = sqlite_backend(options_for(path));
    if (!backend.ok() || issue(**backend, 1).outcome != CommitOutcome::committed) ::_exit(1);
    const pid_t child = ::fork();
    if (child == 0) {
      const pid_t grandparent = ::getppid();
      if (issue(**backend, 2).outcome != CommitOutcome::committed) ::_exit(2);
      ::kill(grandparent, SIGKILL);
      while (::getppid() == grandparent) ::usleep(100);
      if (issue(**backend, 3).outcome != CommitOutcome::committed) ::_exit(2);
      ::_exit(0);
    }
    for (;;) ::pause();
  }
  status_of(parent);
  for (int waited = 0; waited < 500; ++waited) {
    const auto backend = open_or_fail(options_for(path));
    if (has(*backend, 3)) break;
    ::usleep(10'000);
  }
  const auto backend = open_or_fail(options_for(path));
  CHECK(has(*backend, 1));
  CHECK(has(*backend, 2));
  CHECK(has(*backend, 3));
}

TEST_CASE("Forked while other threads read and write, the child works, and nothing acknowledged is lost") {
  const int forks = count_from("TOKENSTORE_BUSY_FORKS", 50);
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  SqliteOptions patient = options_for(path);
  patient.busy_timeout = std::chrono::seconds(120);  // the child competes with a writer that never pauses
  const auto backend = open_or_fail(patient);
  REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> committed{0};
  std::atomic<int> failed{0};
  std::thread writer([&] {
    for (std::uint64_t number = 100; !stop; ++number) {
      if (issue(*backend, number).outcome == CommitOutcome::committed) {
        ++committed;
      } else {
        ++failed;
      }
    }
  });
  std::thread reader([&] {
    while (!stop) {
      if (!has(*backend, 1)) ++failed;
    }
  });
  while (committed == 0 && failed == 0) std::this_thread::yield();
  for (int i = 0; i < forks; ++i) {
    const std::uint64_t acknowledged = committed;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::alarm(300);
      if (!has(*backend, 1) || !has(*backend, 99 + acknowledged)) ::_exit(1);
      if (issue(*backend, 1'000'000 + static_cast<std::uint64_t>(i)).outcome != CommitOutcome::committed) ::_exit(2);
      ::_exit(0);
    }
    CHECK(status_of(child) == 0);
  }
  stop = true;
  writer.join();
  reader.join();
  CHECK(failed == 0);
  for (std::uint64_t number = 100; number < 100 + committed; ++number) CHECK(has(*backend, number));
  CHECK(backend->check_integrity(10, {}).value().empty());
}

TEST_CASE("A fork does not wait for ever for a thread that is inside, and the child says why it cannot work") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  SqliteOptions patient = options_for(path);
  patient.busy_timeout = std::chrono::seconds(300);
  const auto backend = open_or_fail(patient);
  REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
  sqlite3* other = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &other) == SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
  std::atomic<bool> acknowledged{false};
  std::thread writer([&] { acknowledged = issue(*backend, 2).outcome == CommitOutcome::committed; });
  ::usleep(200'000);  // it is waiting for the lock now

  // The second way of forking runs no handlers, so nothing waits.
  for (const auto fork_somehow : {&::fork, &::_Fork}) {
    const pid_t child = fork_somehow();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::alarm(300);
      for (int again = 0; again < 2; ++again) {
        const auto token = backend->load_token(workspace, token_id(1));
        if (token.ok() || token.status() != Status::unavailable) ::_exit(1);
        if (token.error().message().find("open the store again") == std::string::npos) ::_exit(2);
      }
      if (issue(*backend, 3).outcome != CommitOutcome::failed) ::_exit(3);
      ::_exit(0);
    }
    CHECK(status_of(child) == 0);
  }
  CHECK(has(*backend, 1));  // the door is open again
  CHECK_FALSE(acknowledged);
  REQUIRE(sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(other);
  writer.join();
  CHECK(acknowledged);
  CHECK(has(*backend, 2));
}

TEST_CASE("In a child, a writer holds real locks: another process cannot take the WAL away") {
  // If the child worked on inherited bookkeeping without locks of its own, the parent's close (the last
  // one, as far as anybody can see) would delete the WAL under it.
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  auto backend = open_or_fail(options_for(path));
  REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
  int ready[2];
  int closed[2];
  REQUIRE(::pipe(ready) == 0);
  REQUIRE(::pipe(closed) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    char octet = 'x';
    if (issue(*backend, 2).outcome != CommitOutcome::committed) ::_exit(1);
    if (::write(ready[1], &octet, 1) != 1 || ::read(closed[0], &octet, 1) != 1) ::_exit(2);
    if (issue(*backend, 3).outcome != CommitOutcome::committed) ::_exit(3);
    ::_exit(0);
  }
  char octet = 'x';
  REQUIRE(::read(ready[0], &octet, 1) == 1);
  backend.reset();
  CHECK(std::filesystem::exists(path + "-wal"));
  REQUIRE(::write(closed[1], &octet, 1) == 1);
  CHECK(status_of(child) == 0);
  backend = open_or_fail(options_for(path));
  for (const std::uint64_t number : {1U, 2U, 3U}) CHECK(has(*backend, number));
}

TEST_CASE("In a child, one of two stores on a file is only used once both have let go of the parent's locks") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  auto first = open_or_fail(options_for(path));
  auto second = open_or_fail(options_for(path));
  REQUIRE(issue(*first, 1).outcome == CommitOutcome::committed);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto refused = first->load_token(workspace, token_id(1));
    if (refused.ok() || refused.status() != Status::unavailable) ::_exit(1);
    if (!has(*second, 1)) ::_exit(2);
    if (!has(*first, 1)) ::_exit(3);
    if (issue(*first, 2).outcome != CommitOutcome::committed) ::_exit(4);
    if (issue(*second, 3).outcome != CommitOutcome::committed) ::_exit(5);
    ::_exit(0);
  }
  CHECK(status_of(child) == 0);
  CHECK(has(*first, 2));
  CHECK(has(*second, 3));
  CHECK(issue(*second, 4).outcome == CommitOutcome::committed);
}
