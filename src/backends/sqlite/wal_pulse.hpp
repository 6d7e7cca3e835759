/// A counter that moves whenever the database was changed, by anybody, in any process.
///
/// It compares the first 48 bytes of SQLite's WAL-index (change counter, salts, checksums; the file
/// format documents them) with what they were when last looked at. SQLite writes them as the last act
/// of making a commit visible, so whoever reads an unchanged header has missed nothing. A torn read
/// differs from both the old and the new header and only costs one more look.
///
/// Thread use: read() and bump() from any number of threads. No I/O, no system call; the mutex is
/// taken only when something has changed, for a few dozen nanoseconds. Ownership: the memory is the
/// pulse connection's, which must outlive this.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

namespace tokenstore::sqlite {

/// SQLite maps the WAL-index in regions of this size.
inline constexpr int wal_index_region = 32768;

class WalPulse {
 public:
  static constexpr std::size_t words = 6;  ///< 48 bytes

  /// `header`: 48 bytes, aligned to 8, written by other processes. Null: only bump() moves the counter.
  WalPulse(std::uint64_t* header, std::uint64_t first_counter) noexcept;

  std::uint64_t read() noexcept {
    const std::uint64_t sequence = sequence_.load(std::memory_order_acquire);
    std::uint64_t difference = sequence & 1;
    if (header_ != nullptr) {
      for (std::size_t i = 0; i < words; ++i) difference |= live(i) ^ seen_[i].load(std::memory_order_acquire);
    }
    if (difference == 0 && sequence_.load(std::memory_order_relaxed) == sequence) return sequence / 2;
    return catch_up();
  }

  /// A counter that was not returned yet. For a child that inherited this: takes no lock, which a thread
  /// of the parent may have held.
  std::uint64_t beyond() const noexcept { return sequence_.load(std::memory_order_acquire) / 2 + 2; }

  /// Moves the counter for a reason that the WAL-index does not show.
  void bump() noexcept;

 private:
  std::uint64_t live(std::size_t word) const noexcept {
    // Other processes write here through plain stores of SQLite's; words are read whole.
    return std::atomic_ref<std::uint64_t>(header_[word]).load(std::memory_order_acquire);
  }
  std::uint64_t catch_up() noexcept;

  std::uint64_t* header_;
  // A sequence lock: twice the counter, and odd while `seen_` is being replaced.
  alignas(64) std::atomic<std::uint64_t> sequence_;
  std::array<std::atomic<std::uint64_t>, words> seen_{};
  alignas(64) std::mutex mutex_;
};

}  // namespace tokenstore::sqlite
