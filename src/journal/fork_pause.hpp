/// Makes a fork wait for the call that is under way, so that no child inherits the opening of a file that is locked.
///
/// A lock lasts until the last copy of its opening is closed: a child that was forked in the midst would keep it for
/// its life if the parent were killed before it could let go. A fork waits no longer than AtFork says; whoever is still
/// inside then lets go as soon as it is through, for the child too. One thread at a time is inside.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "base/at_fork.hpp"

namespace tokenstore::journal {

class ForkPause final : private base::AtFork {
 public:
  ForkPause() = default;
  /// Whatever is done with the other, nobody is in this one.
  ForkPause(const ForkPause&) : ForkPause() {}
  ForkPause& operator=(const ForkPause&) = delete;

  /// While one lives, no fork begins. Waits for one that is under way.
  class Call {
   public:
    explicit Call(ForkPause& pause) noexcept : pause_(pause) {
      for (;;) {
        // Against rest() one of the two sees the other, whatever the order.
        pause_.inside_.store(true, std::memory_order_seq_cst);
        if (!pause_.forking_.load(std::memory_order_seq_cst)) return;
        pause_.inside_.store(false, std::memory_order_release);
        while (pause_.forking_.load(std::memory_order_acquire)) wait_a_little();
      }
    }
    ~Call() { pause_.inside_.store(false, std::memory_order_release); }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    ForkPause& pause_;
  };

 private:
  static void wait_a_little() noexcept { std::this_thread::sleep_for(std::chrono::microseconds(20)); }

  void rest(std::chrono::steady_clock::time_point deadline) noexcept override {
    forking_.store(true, std::memory_order_seq_cst);
    while (inside_.load(std::memory_order_seq_cst) && std::chrono::steady_clock::now() < deadline) wait_a_little();
  }
  void resume(bool in_child) noexcept override {
    // The thread that was inside is not in the child.
    if (in_child) inside_.store(false, std::memory_order_release);
    forking_.store(false, std::memory_order_release);
  }

  std::atomic<bool> inside_{false};
  std::atomic<bool> forking_{false};
  const base::AtForkEntry at_fork_{*this};
};

}  // namespace tokenstore::journal
