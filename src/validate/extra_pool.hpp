/// Room for what does not fit into a slot: long owner names, rare scope sets, metadata.
///
/// Blocks of 64 * 2^k octets, recycled by size. The memory is never unmapped while the pool lives, so
/// that a reader who comes late reads rubbish, sees by the slot's sequence that it is, and drops it.
/// Writers hold the table's mutex; readers need nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "validate/pages.hpp"

namespace tokenstore::validate {

struct ExtraText {
  std::string_view owner, scopes, metadata;
};

/// A reader's copy of a block.
struct ExtraCopy {
  static constexpr std::size_t most_words = 2048;
  std::array<std::uint64_t, most_words> words;
  /// What it says. Empty views if it is rubbish.
  ExtraText text() const noexcept;
};

class ExtraPool {
 public:
  /// Never holds more than `budget` octets.
  explicit ExtraPool(std::size_t budget) noexcept;

  /// Stores a text, as long as the pool stays within `most_bytes`. 0: no room.
  std::uint32_t put(const ExtraText& text, std::size_t most_bytes);
  /// Would a text fit into the block of another?
  bool fits_exactly(const ExtraText& text, std::uint32_t block) const noexcept;
  void recycle(std::uint32_t block) noexcept;
  /// Copies a block. False if its size is impossible: it was recycled meanwhile.
  bool copy(std::uint32_t block, ExtraCopy& to) const noexcept;

  /// Memory that has been touched.
  std::size_t bytes() const noexcept { return std::size_t{next_block_ - 1} * block_bytes; }

 private:
  static constexpr std::size_t block_bytes = 64;
  static constexpr std::size_t block_words = block_bytes / sizeof(std::uint64_t);
  static constexpr std::size_t classes = 9;  ///< 64 octets to 16 KiB

  static std::size_t class_of(std::size_t words) noexcept;

  Pages pages_;
  std::uint32_t next_block_ = 1;  ///< 0 means "none"
  std::array<std::vector<std::uint32_t>, classes> free_;
};

}  // namespace tokenstore::validate
