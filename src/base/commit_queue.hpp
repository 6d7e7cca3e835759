/// Group commit: threads that want to write at the same time share one transaction.
///
/// Whoever finds nobody at work becomes the leader, takes all that waits, and runs it in one go, so that
/// the cost of making it durable is paid once for all of them. The others sleep until theirs is done, or until
/// they are first in the queue and lead.
///
/// Thread use: submit() from any number of threads; the work itself runs in one thread at a time.
/// Ownership: tickets stay the caller's; the queue holds pointers to them only until submit() returns.
/// Nothing here allocates.
#pragma once

#include <semaphore.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <span>
#include <thread>
#include <utility>

namespace tokenstore::base {

/// What one thread sleeps on until another wakes it, once. A semaphore, because whoever wakes neither holds nor needs a
/// lock that the sleeper then waits for, as with a condition variable. It may end as soon as its sleeper is awake, even
/// if ring() has not returned: POSIX lets a semaphore be destroyed once nobody is blocked on it (sem_destroy(3p)), and
/// glibc's sem_post() does not touch it after the wake-up.
class Bell {
 public:
  Bell() noexcept { ::sem_init(&semaphore_, 0, 0); }
  ~Bell() { ::sem_destroy(&semaphore_); }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  void ring() noexcept { ::sem_post(&semaphore_); }
  void wait() noexcept {
    while (::sem_wait(&semaphore_) != 0) {  // a signal
    }
  }

 private:
  ::sem_t semaphore_;
};

template <typename Ticket>
class CommitQueue {
 public:
  /// The most tickets that one leader takes: a bound on how long the first of them waits.
  static constexpr std::size_t group_max = 256;
  /// How long a leader waits at most for those who were there a moment ago and are about to come back.
  static constexpr std::chrono::microseconds gather_max{500};

  /// Returns when `ticket` has been through `work(std::span<Ticket* const>)`, which must not throw.
  template <typename Work>
  void submit(Ticket& ticket, Work&& work) {
    Waiter self{&ticket};
    if (!joins_a_leader(self)) return lead(work);
    self.bell.wait();
    if (self.leads) lead(work);
  }

 private:
  struct Waiter {
    Ticket* ticket;
    bool leads = false;  ///< woken to lead, not because its ticket is done
    Waiter* next = nullptr;
    Bell bell{};
  };

  /// False: nobody is at work, and the caller, alone in the queue, leads.
  bool joins_a_leader(Waiter& waiter) {
    const std::lock_guard lock(mutex_);
    (last_ == nullptr ? first_ : last_->next) = &waiter;
    last_ = &waiter;
    waiting_.fetch_add(1, std::memory_order_relaxed);
    return std::exchange(busy_, true);
  }

  /// By whoever is first in the queue.
  template <typename Work>
  void lead(Work& work) {
    gather();
    std::array<Waiter*, group_max> group;
    std::array<Ticket*, group_max> tickets;
    std::size_t count = 0;
    {
      const std::lock_guard lock(mutex_);
      for (; count < group_max && first_ != nullptr; ++count) {
        group[count] = first_;
        tickets[count] = first_->ticket;
        first_ = first_->next;
      }
      if (first_ == nullptr) last_ = nullptr;
      waiting_.fetch_sub(count, std::memory_order_relaxed);
    }
    const auto started = std::chrono::steady_clock::now();
    work(std::span<Ticket* const>(tickets.data(), count));
    const auto took = std::chrono::steady_clock::now() - started;
    Waiter* next = nullptr;
    {
      const std::lock_guard lock(mutex_);
      expected_ = count + waiting_.load(std::memory_order_relaxed);
      patience_ = std::min<std::chrono::steady_clock::duration>(took, gather_max);
      next = first_;
      busy_ = next != nullptr;
    }
    if (next != nullptr) {
      next->leads = true;
      next->bell.ring();
    }
    for (std::size_t i = 1; i < count; ++i) group[i]->bell.ring();
  }

  // Without this, the threads that just woke up would find a leader gone off with those who had been waiting, and
  // there would be two groups in turns, half as large as they could be. Waiting costs no more than it can save:
  // as long as the last group took.
  void gather() {
    const std::size_t expected = expected_;
    if (expected < 2 || waiting_.load(std::memory_order_relaxed) >= expected) return;
    const auto deadline = std::chrono::steady_clock::now() + patience_;
    while (waiting_.load(std::memory_order_relaxed) < expected && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
  }

  std::mutex mutex_;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  std::atomic<std::size_t> waiting_{0};
  // The leader's alone, handed on with the lead.
  std::size_t expected_ = 0;  ///< who was in the last group or waited behind it
  std::chrono::steady_clock::duration patience_{};
  bool busy_ = false;
};

}  // namespace tokenstore::base
