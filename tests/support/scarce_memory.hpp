/// A program whose n-th allocation fails. What SQLite and libsodium allocate is not touched.
///
/// Replaces operator new, so it is for a program of its own, and included by one file of it. One thread.
#pragma once

#include <cstdlib>
#include <new>

namespace tokenstore::test {

inline long allocations_left = -1;  ///< how many more succeed; below zero: all
inline bool all_fail_after = false;
inline bool allocation_failed = false;

/// Runs `body` with the n-th allocation failing, and all that follow if `onwards`. True: it struck.
template <typename Body>
bool with_fault(long nth, bool onwards, const Body& body) {
  allocation_failed = false;
  all_fail_after = onwards;
  allocations_left = nth - 1;
  body();
  allocations_left = -1;
  return allocation_failed;
}

}  // namespace tokenstore::test

void* operator new(std::size_t size) {
  using namespace tokenstore::test;  // NOLINT(google-build-using-namespace): of this function alone
  if (allocations_left == 0) {
    allocation_failed = true;
    if (!all_fail_after) allocations_left = -1;
    throw std::bad_alloc();
  }
  if (allocations_left > 0) --allocations_left;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
// All of the family, so that each block is freed by the one that made it.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
