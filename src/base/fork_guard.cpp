#include "base/fork_guard.hpp"

#include <sys/mman.h>

#include <new>

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

}  // namespace tokenstore::base
