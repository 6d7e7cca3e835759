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

  /// True in a child of the process that made the guard or called adopt() last, until the child calls
  /// adopt() itself.
  bool forked() const noexcept { return mark_->load(std::memory_order_acquire) == 0; }
  /// This process is now the owner.
  void adopt() noexcept { mark_->store(1, std::memory_order_release); }

 private:
  std::atomic<std::uint64_t>* mark_;
};

}  // namespace tokenstore::base
