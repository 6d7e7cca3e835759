/// Threads that write at the same time share groups, and each one's ticket is done exactly once.
#include "base/commit_queue.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <future>
#include <thread>
#include <vector>

namespace tokenstore::base {
namespace {

struct Ticket {
  int done = 0;
};

/// What the groups were, told by the work itself: the queue runs it in one thread at a time, which `inside` checks.
struct Journal {
  std::vector<std::size_t> groups{};
  std::atomic<int> inside{0};
  bool overlapped = false;

  void work(std::span<Ticket* const> group) {
    if (inside.fetch_add(1) != 0) overlapped = true;
    groups.push_back(group.size());
    for (Ticket* const ticket : group) ++ticket->done;
    inside.fetch_sub(1);
  }
};

template <typename Body>
void in_threads(int count, Body body) {
  std::vector<std::thread> threads;
  for (int number = 0; number < count; ++number) threads.emplace_back(body);
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("each ticket is done once, by one thread at a time, before its submit returns") {
  constexpr int threads = 8;
  constexpr int rounds = 500;
  CommitQueue<Ticket> queue;
  Journal journal;
  std::atomic<int> wrong{0};
  in_threads(threads, [&] {
    for (int round = 0; round < rounds; ++round) {
      Ticket ticket;
      queue.submit(ticket, [&](std::span<Ticket* const> group) { journal.work(group); });
      if (ticket.done != 1) ++wrong;
    }
  });
  CHECK(wrong == 0);
  CHECK_FALSE(journal.overlapped);
  std::size_t sum = 0;
  for (const std::size_t group : journal.groups) sum += group;
  CHECK(sum == std::size_t{threads} * rounds);
  CHECK(*std::max_element(journal.groups.begin(), journal.groups.end()) <= threads);
}

/// A leader who works until a crowd has come and has had `pause` to stand in line: the groups that were made.
std::vector<std::size_t> crowd_behind_a_leader(int others, std::chrono::milliseconds pause) {
  CommitQueue<Ticket> queue;
  Journal journal;
  std::promise<void> began;
  std::promise<void> may_end;
  Ticket first;
  std::thread leader([&] {
    queue.submit(first, [&](std::span<Ticket* const> group) {
      began.set_value();
      may_end.get_future().wait();
      journal.work(group);
    });
  });
  began.get_future().wait();
  std::atomic<int> came{0};
  std::atomic<int> wrong{0};
  std::thread crowd([&] {
    in_threads(others, [&] {
      Ticket ticket;
      ++came;
      queue.submit(ticket, [&](std::span<Ticket* const> group) { journal.work(group); });
      if (ticket.done != 1) ++wrong;
    });
  });
  while (came < others) std::this_thread::yield();
  std::this_thread::sleep_for(pause);
  may_end.set_value();
  leader.join();
  crowd.join();
  CHECK(first.done == 1);
  CHECK(wrong == 0);
  CHECK_FALSE(journal.overlapped);
  return journal.groups;
}

TEST_CASE("whoever comes while the leader works is done in one group, no larger than the most") {
  constexpr std::size_t most = CommitQueue<Ticket>::group_max;
  // Nothing tells from outside that a thread stands in the queue: on a busy machine it takes longer.
  for (auto pause = std::chrono::milliseconds(50);; pause *= 2) {
    const std::vector<std::size_t> groups = crowd_behind_a_leader(300, pause);
    REQUIRE(groups.size() >= 3);
    CHECK(groups.front() == 1);
    CHECK(*std::max_element(groups.begin(), groups.end()) <= most);
    if (groups[1] == most) break;
    REQUIRE(pause < std::chrono::seconds(30));
  }
}

TEST_CASE("one thread alone waits for nobody") {
  CommitQueue<Ticket> queue;
  Journal journal;
  for (int round = 0; round < 100; ++round) {
    Ticket ticket;
    queue.submit(ticket, [&](std::span<Ticket* const> group) { journal.work(group); });
    CHECK(ticket.done == 1);
  }
  CHECK(journal.groups == std::vector<std::size_t>(100, 1));
}

TEST_CASE("when the others do not come back, the leader goes ahead without them") {
  CommitQueue<Ticket> queue;
  Journal journal;
  in_threads(8, [&] {
    Ticket ticket;
    queue.submit(ticket, [&](std::span<Ticket* const> group) { journal.work(group); });
  });
  Ticket last;
  queue.submit(last, [&](std::span<Ticket* const> group) { journal.work(group); });
  CHECK(last.done == 1);
  CHECK(journal.groups.back() == 1);
}

}  // namespace
}  // namespace tokenstore::base
