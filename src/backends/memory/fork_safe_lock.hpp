/// A reader-writer lock that a forked child finds open, whatever the parent's threads held.
///
/// It lives in a page that the kernel hands to a child as zeroes (madvise MADV_WIPEONFORK, Linux 4.14),
/// and an unlocked rwlock of glibc and musl is all zeroes. No handler is registered and no process id
/// asked for. Where the page cannot be had so, it is an ordinary lock: a fork while another thread
/// holds it then leaves the child with a lock that never opens.
///
/// Whether the data behind it was being written at the fork is for the user to notice: see
/// MemoryBackend. Fits std::shared_lock and std::unique_lock.
#pragma once

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <new>

namespace tokenstore::memory {

class ForkSafeLock {
 public:
  /// Throws std::bad_alloc if the page cannot be had. Writers go first where the C library can do that:
  /// a revocation does not wait for a stream of readers to pause. (Not so in a child.)
  ForkSafeLock() : size_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
    void* page = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw std::bad_alloc();
    wiped_on_fork_ = madvise(page, size_, MADV_WIPEONFORK) == 0;
#ifdef PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
    lock_ = new (page) pthread_rwlock_t(PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP);
#else
    lock_ = new (page) pthread_rwlock_t(PTHREAD_RWLOCK_INITIALIZER);
#endif
  }
  ~ForkSafeLock() {
    pthread_rwlock_destroy(lock_);
    munmap(lock_, size_);
  }
  ForkSafeLock(const ForkSafeLock&) = delete;
  ForkSafeLock& operator=(const ForkSafeLock&) = delete;

  void lock() noexcept {
    pthread_rwlock_wrlock(lock_);
  }
  void unlock() noexcept {
    pthread_rwlock_unlock(lock_);
  }
  /// False: it could not be had before then.
  bool try_lock_until(std::chrono::steady_clock::time_point deadline) noexcept {
    const auto left = std::max(deadline - std::chrono::steady_clock::now(), std::chrono::steady_clock::duration(0));
    const auto until = std::chrono::ceil<std::chrono::nanoseconds>(std::chrono::system_clock::now() + left);
    const std::int64_t nanos = until.time_since_epoch().count();
    const timespec time{static_cast<time_t>(nanos / 1'000'000'000), static_cast<long>(nanos % 1'000'000'000)};
    return pthread_rwlock_timedwrlock(lock_, &time) == 0;
  }
  /// In a child whose one thread held it when it forked.
  void unlock_in_child() noexcept {
    if (!wiped_on_fork_) pthread_rwlock_unlock(lock_);
  }
  void lock_shared() noexcept {
    // The only failure that can happen is EAGAIN: too many readers. It passes.
    while (pthread_rwlock_rdlock(lock_) != 0) {
    }
  }
  void unlock_shared() noexcept {
    pthread_rwlock_unlock(lock_);
  }

 private:
  std::size_t size_;
  bool wiped_on_fork_ = false;
  pthread_rwlock_t* lock_ = nullptr;
};

}  // namespace tokenstore::memory
