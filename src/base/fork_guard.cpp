#include "base/fork_guard.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <thread>

namespace tokenstore::base {
namespace {

// The kernel rounds up to a page.
constexpr std::size_t mark_size = sizeof(std::atomic<std::uint64_t>);

}  // namespace

ForkGuard::ForkGuard() {
  void* page = mmap(nullptr, mark_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw std::bad_alloc();
  if (madvise(page, mark_size, MADV_WIPEONFORK) != 0) {
    munmap(page, mark_size);
    throw std::bad_alloc();
  }
  mark_ = new (page) std::atomic<std::uint64_t>(1);
}

ForkGuard::~ForkGuard() {
  munmap(mark_, mark_size);
}

ForkGuard::Turn::Turn(ForkGuard& guard) noexcept : guard_(guard) {
  const int self = static_cast<int>(::getpid());
  for (;;) {
    int at_it = guard_.adopting_.load(std::memory_order_acquire);
    if (at_it == self) {
      std::this_thread::yield();
    } else if (guard_.adopting_.compare_exchange_weak(at_it, self, std::memory_order_acq_rel)) {
      return;
    }
  }
}

}  // namespace tokenstore::base
