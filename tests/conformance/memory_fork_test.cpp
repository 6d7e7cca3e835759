// A fork at any moment: the child answers. If the fork could not wait for that, it says so and never hangs.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <functional>
#include <new>
#include <thread>

#include "tokenstore/backends/memory.hpp"
#include "trial.hpp"

namespace {

/// When set, the next thing that is freed waits until it is cleared: a thread stands in the middle of a change.
std::atomic<bool> stop_at_free{false};
std::atomic<bool> stopped{false};

}  // namespace

void* operator new(std::size_t size) {
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
// Catch2 uses this one, and AddressSanitizer wants each block freed by the family that made it.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size);
}
void operator delete(void* memory) noexcept {
  if (memory != nullptr && stop_at_free.load()) {
    stopped = true;
    while (stop_at_free.load()) std::this_thread::yield();
  }
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  operator delete(memory);
}

namespace tokenstore::conformance {
namespace {

/// Child's exit codes: 0 all is well, 1 a wrong answer, 2 clear refusal.
int look_around(Backend& backend) {
  alarm(20);  // a child that hangs dies of it, and the test sees that
  const auto token = backend.load_token(home, id_of(1));
  if (!token.ok()) return token.status() == Status::unavailable ? 2 : 1;
  if (!*token) return 1;
  if (commit(backend, {put_new(token_of(1'000'000))}).outcome != CommitOutcome::committed) return 1;
  const auto list = backend.list_tokens(home, {});
  return list.ok() && list->tokens.size() >= 2 && list->tokens[0].id == id_of(1'000'000) ? 0 : 1;
}

TEST_CASE("memory: a child forked while other threads read and write answers", "[memory][fork]") {
  const auto backend = memory_backend();
  const std::vector<Mutation> first = {put_new(workspace_of(home)), put_new(token_of(1))};
  REQUIRE(commit(*backend, first).outcome == CommitOutcome::committed);
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int number = 0; number < 2; ++number) {
    threads.emplace_back([&, number] {
      for (std::uint64_t round = 0; !done.load(); ++round) {
        const auto id = 10 + static_cast<std::uint64_t>(number) + 2 * (round % 500);
        (void)commit(*backend, {put_new(token_of(id))});
        (void)commit(*backend, {Mutation::remove_token(id_of(id), 1)});
        (void)backend->list_tokens(home, {});
      }
    });
  }
  int answered = 0;
  int wrong = 0;
  for (int round = 0; round < 200; ++round) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) _exit(look_around(*backend));
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 1) ++wrong;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) ++answered;
  }
  done.store(true);
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(answered == 200);
  CHECK(backend->load_token(home, id_of(1)).ok());
  CHECK_FALSE(*backend->load_token(home, id_of(1'000'000)));
}

/// Waits in the middle of one of these until `meanwhile` is over.
template <typename Meanwhile>
void in_the_middle_of(const std::function<void()>& change, Meanwhile meanwhile) {
  std::atomic<bool> go{false};
  std::thread thread([&] {
    while (!go.load()) std::this_thread::yield();
    change();
  });
  stopped = false;
  stop_at_free = true;
  go = true;
  while (!stopped.load()) std::this_thread::yield();
  meanwhile();
  stop_at_free = false;
  thread.join();
}

TEST_CASE("memory: a fork does not wait for ever for a change, and the child says that it has half of it",
          "[memory][fork]") {
  const auto backend = memory_backend();
  const std::vector<Mutation> first = {put_new(workspace_of(home)), put_new(token_of(1)), put_new(token_of(2))};
  REQUIRE(commit(*backend, first).outcome == CommitOutcome::committed);
  const std::vector<Mutation> removal = {Mutation::remove_token(id_of(2), 1)};
  const Names announcement(removal);
  int status = -1;
  in_the_middle_of([&] { (void)backend->commit(home, removal, &announcement); },
                   [&] {
                     const pid_t child = fork();
                     if (child == 0) {
                       stop_at_free = false;
                       _exit(look_around(*backend));
                     }
                     waitpid(child, &status, 0);
                   });
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 2);
  CHECK(backend->load_token(home, id_of(1)).value().has_value());
  CHECK_FALSE(backend->load_token(home, id_of(2)).value().has_value());
}

}  // namespace
}  // namespace tokenstore::conformance
