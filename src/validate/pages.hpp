/// Zeroed memory straight from the kernel, in huge pages where the kernel has them.
///
/// Memory that readers may still look at is never unmapped while the owner lives, only given back:
/// discard() frees the pages and leaves zeroes, so that a late reader finds nothing instead of
/// crashing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tokenstore::validate {

class Pages {
 public:
  /// Null `words()` if the kernel has no memory.
  explicit Pages(std::size_t bytes) noexcept;
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  std::atomic<std::uint64_t>* words() const noexcept { return words_; }
  std::size_t bytes() const noexcept { return bytes_; }
  /// Frees the whole pages within a range.
  void discard(std::size_t offset, std::size_t size) noexcept;

 private:
  std::atomic<std::uint64_t>* words_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace tokenstore::validate
