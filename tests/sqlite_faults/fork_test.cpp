#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
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

bool has(Backend& backend, std::uint64_t number) {
  const auto token = backend.load_token(workspace, token_id(number));
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

TEST_CASE("Forked while another thread is inside, the child works or says why it cannot, and never hangs") {
  const int forks = count_from("TOKENSTORE_BUSY_FORKS", 50);
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const auto backend = open_or_fail(options_for(path));
  REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> committed{0};
  std::thread writer([&] {
    for (std::uint64_t number = 100; !stop; ++number) {
      if (issue(*backend, number).outcome == CommitOutcome::committed) ++committed;
    }
  });
  int refused = 0;
  for (int i = 0; i < forks; ++i) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::alarm(20);
      const auto token = backend->load_token(workspace, token_id(1));
      if (token.ok()) ::_exit(token->has_value() ? 0 : 1);
      ::_exit(token.status() == Status::unavailable ? 2 : 3);
    }
    const int status = status_of(child);
    CHECK((status == 0 || status == 2));
    if (status == 2) ++refused;
  }
  stop = true;
  writer.join();
  CHECK(refused > 0);
  CHECK(committed > 0);
  for (std::uint64_t number = 100; number < 100 + committed; ++number) CHECK(has(*backend, number));
  CHECK(backend->check_integrity(10, {}).value().empty());
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
