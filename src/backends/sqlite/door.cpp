#include "backends/sqlite/door.hpp"

#include <chrono>
#include <thread>

namespace tokenstore::sqlite {
namespace {

/// Polled: what sleeps on a lock at a fork may sleep for ever in the child.
void wait_a_little() noexcept {
  std::this_thread::sleep_for(std::chrono::microseconds(50));
}

}  // namespace

void Door::enter() noexcept {
  for (;;) {
    // Counted before anything is touched: a fork from now on finds us inside. Against rest() one of the
    // two sees the other, whatever the order.
    inside_.fetch_add(1, std::memory_order_seq_cst);
    if (!forking_.load(std::memory_order_seq_cst)) return;
    inside_.fetch_sub(1, std::memory_order_release);
    while (forking_.load(std::memory_order_acquire)) wait_a_little();
  }
}

void Door::rest(std::chrono::steady_clock::time_point deadline) noexcept {
  forking_.store(true, std::memory_order_seq_cst);
  for (;;) {
    resting_ = inside_.load(std::memory_order_seq_cst) == 0;
    if (resting_ || std::chrono::steady_clock::now() >= deadline) return;
    wait_a_little();
  }
}

void Door::resume(bool in_child) noexcept {
  // Whoever was turned away at the door may still be counted, and in the child never leaves.
  if (in_child && resting_) inside_.store(0, std::memory_order_release);
  forking_.store(false, std::memory_order_release);
}

}  // namespace tokenstore::sqlite
