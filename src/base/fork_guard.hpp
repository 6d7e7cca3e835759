/// Notices that the process is a forked child, at the price of one memory load.
///
/// A page of memory that the kernel hands to a child as zeroes (madvise MADV_WIPEONFORK, Linux 4.14).
/// No process id is asked for, no handler is registered, nothing global is kept.
#pragma once

#include <atomic>
#include <cstdint>

namespace tokenstore::base {

class ForkGuard {
 public:
  /// Throws std::bad_alloc if the page cannot be had.
  ForkGuard();
  ~ForkGuard();
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;

  /// True in a child of the process that made the guard or adopted it last, until the child
  /// adopts it itself.
  bool forked() const noexcept { return mark_->load(std::memory_order_acquire) == 0; }
  /// In a child: one of its threads makes what is guarded its own by `work()`, and the guard with it if that returns
  /// true; the others wait for it, and where it failed or threw try themselves. Returns whether the guard is this
  /// process's now. Nothing that another thread can have locked at the fork is used.
  template <typename Work>
  bool adopt(Work&& work) {
    while (forked()) {
      const Turn turn(*this);
      if (!forked()) break;
      if (!work()) return false;
      mark_->store(1, std::memory_order_release);
    }
    return true;
  }

 private:
  /// Of the threads of a process one has it at a time.
  class Turn {
   public:
    explicit Turn(ForkGuard& guard) noexcept;
    ~Turn() { guard_.adopting_.store(0, std::memory_order_release); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    ForkGuard& guard_;
  };

  std::atomic<std::uint64_t>* mark_;
  /// Process whose thread has the turn; 0: nobody. A parent's that was under way at the fork counts for nothing.
  std::atomic<int> adopting_{0};
};

}  // namespace tokenstore::base
