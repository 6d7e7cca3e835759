/// Group commit: threads that want to write at the same time share one transaction.
///
/// Whoever finds nobody at work becomes the leader, takes all that waits, and runs it in one go, so that
/// the cost of making it durable is paid once for all of them. The others sleep until theirs is done.
///
/// Thread use: submit() from any number of threads; the work itself runs in one thread at a time.
/// Ownership: tickets stay the caller's; the queue holds pointers to them only until submit() returns.
/// Nothing here allocates.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <span>
#include <thread>

namespace tokenstore::base {

template <typename Ticket>
class CommitQueue {
 public:
  /// The most tickets that one leader takes: a bound on how long the first of them waits.
  static constexpr std::size_t group_max = 256;
  /// How long a leader waits for those who were in the last group and are about to come back.
  static constexpr std::chrono::microseconds gather_max{60};

  /// Returns when `ticket` has been through `work(std::span<Ticket* const>)`, which must not throw.
  template <typename Work>
  void submit(Ticket& ticket, Work&& work) {
    Waiter self{&ticket};
    std::unique_lock lock(mutex_);
    append(self);
    while (!self.done) {
      if (busy_) {
        self.turn.wait(lock);
      } else {
        lead(lock, work);
      }
    }
  }

 private:
  struct Waiter {
    Ticket* ticket;
    bool done = false;
    Waiter* next = nullptr;
    std::condition_variable turn{};
  };

  void append(Waiter& waiter) {
    (last_ == nullptr ? first_ : last_->next) = &waiter;
    last_ = &waiter;
    waiting_.fetch_add(1, std::memory_order_relaxed);
  }

  template <typename Work>
  void lead(std::unique_lock<std::mutex>& lock, Work& work) {
    busy_ = true;
    gather(lock);
    std::array<Waiter*, group_max> group;
    std::array<Ticket*, group_max> tickets;
    std::size_t count = 0;
    for (; count < group_max && first_ != nullptr; ++count) {
      group[count] = first_;
      tickets[count] = first_->ticket;
      first_ = first_->next;
    }
    if (first_ == nullptr) last_ = nullptr;
    waiting_.fetch_sub(count, std::memory_order_relaxed);
    expected_ = count;
    lock.unlock();
    work(std::span<Ticket* const>(tickets.data(), count));
    lock.lock();
    busy_ = false;
    // Under the lock: a waiter that has seen `done` leaves and takes its condition variable with it.
    for (std::size_t i = 0; i < count; ++i) {
      group[i]->done = true;
      group[i]->turn.notify_one();
    }
    if (first_ != nullptr) first_->turn.notify_one();
  }

  // Without this, the threads that just woke up would find a leader gone off with a group of one, and
  // groups would be half as large as they could be.
  void gather(std::unique_lock<std::mutex>& lock) {
    const std::size_t expected = expected_;
    if (expected < 2 || waiting_.load(std::memory_order_relaxed) >= expected) return;
    lock.unlock();
    const auto deadline = std::chrono::steady_clock::now() + gather_max;
    while (waiting_.load(std::memory_order_relaxed) < expected && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    lock.lock();
  }

  std::mutex mutex_;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  std::atomic<std::size_t> waiting_{0};
  std::size_t expected_ = 0;  ///< size of the last group
  bool busy_ = false;
};

}  // namespace tokenstore::base
