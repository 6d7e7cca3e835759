#include "backends/sqlite/wal_pulse.hpp"

namespace tokenstore::sqlite {

WalPulse::WalPulse(std::uint64_t* header, std::uint64_t first_counter) noexcept
    : header_(header), sequence_(2 * first_counter) {
  if (header_ == nullptr) return;
  for (std::size_t i = 0; i < words; ++i) seen_[i].store(live(i), std::memory_order_relaxed);
}

std::uint64_t WalPulse::catch_up() noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint64_t sequence = sequence_.load(std::memory_order_relaxed);
  if (header_ == nullptr) return sequence / 2;
  std::array<std::uint64_t, words> now;
  std::uint64_t difference = 0;
  for (std::size_t i = 0; i < words; ++i) {
    now[i] = live(i);
    difference |= now[i] ^ seen_[i].load(std::memory_order_relaxed);
  }
  if (difference == 0) return sequence / 2;  // another thread has been here
  sequence_.store(sequence + 1, std::memory_order_relaxed);
  // Release on each: none of these may be seen before the odd sequence number.
  for (std::size_t i = 0; i < words; ++i) seen_[i].store(now[i], std::memory_order_release);
  sequence_.store(sequence + 2, std::memory_order_release);
  return sequence / 2 + 1;
}

void WalPulse::bump() noexcept {
  const std::lock_guard lock(mutex_);
  sequence_.store(sequence_.load(std::memory_order_relaxed) + 2, std::memory_order_release);
}

}  // namespace tokenstore::sqlite
