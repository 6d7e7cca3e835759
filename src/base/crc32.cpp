#include "base/crc32.hpp"

#include <array>
#include <cstddef>

#include "base/wipe.hpp"

namespace tokenstore::base {
namespace {

constexpr std::uint32_t polynomial = 0xEDB88320U;
constexpr std::uint32_t initial = 0xFFFFFFFFU;
constexpr std::size_t word_count = 4;
constexpr std::size_t block_size = word_count * sizeof(std::uint32_t);

/// Four words that are worked on at once, whatever the machine has for that.
using Words = std::uint32_t __attribute__((vector_size(block_size)));
using SignedWords = std::int32_t __attribute__((vector_size(block_size)));

constexpr std::uint32_t after_bit(std::uint32_t crc) noexcept {
  return (crc >> 1) ^ (polynomial & (0U - (crc & 1U)));
}
constexpr std::uint32_t before_zero_bit(std::uint32_t crc) noexcept {
  return (crc >> 31) != 0 ? (crc ^ polynomial) << 1 | 1U : crc << 1;
}

/// bit_effects[bit][word]: what this bit of this word of a block adds to the CRC at the block's end. A
/// CRC is linear, so a block's CRC is the exclusive or of the entries of the bits that are set. Every
/// entry is read for every block: the usual table of 256 entries is indexed by the data, and that shows
/// a secret in the cache.
constexpr auto bit_effects = [] {
  std::array<std::array<std::uint32_t, word_count>, 32> effects{};
  for (unsigned bit = 0; bit < 32; ++bit) {
    for (std::size_t word = 0; word < word_count; ++word) {
      std::uint32_t crc = 1U << bit;
      for (std::size_t step = 0; step < 32 * (word_count - word); ++step) crc = after_bit(crc);
      effects[bit][word] = crc;
    }
  }
  return effects;
}();

/// start[n]: the state that n zero octets turn into the initial one, so that a text can be filled up in
/// front to whole blocks.
constexpr auto start = [] {
  std::array<std::uint32_t, block_size> states{};
  std::uint32_t crc = initial;
  for (std::uint32_t& state : states) {
    state = crc;
    for (int bit = 0; bit < 8; ++bit) crc = before_zero_bit(crc);
  }
  return states;
}();

using Block = std::array<std::uint8_t, block_size>;

std::uint32_t word_at(const Block& block, std::size_t at) noexcept {
  return std::uint32_t{block[at]} | std::uint32_t{block[at + 1]} << 8 | std::uint32_t{block[at + 2]} << 16 |
         std::uint32_t{block[at + 3]} << 24;
}

std::uint32_t after_block(std::uint32_t crc, const Block& block) noexcept {
  const Words words = {word_at(block, 0) ^ crc, word_at(block, 4), word_at(block, 8), word_at(block, 12)};
  Words sum = {0, 0, 0, 0};
  for (int bit = 0; bit < 32; ++bit) {
    // All ones in the words that have this bit, by shifting it to the sign.
    const auto selected = reinterpret_cast<Words>(reinterpret_cast<SignedWords>(words << (31 - bit)) >> 31);
    const auto& effect = bit_effects[static_cast<std::size_t>(bit)];
    sum ^= selected & Words{effect[0], effect[1], effect[2], effect[3]};
  }
  return sum[0] ^ sum[1] ^ sum[2] ^ sum[3];
}

}  // namespace

std::uint32_t crc32(std::string_view octets) noexcept {
  Block block{};
  std::size_t filled = (block_size - octets.size() % block_size) % block_size;
  std::uint32_t crc = start[filled];
  for (std::size_t at = 0; at < octets.size(); filled = 0) {
    for (; filled < block_size; ++filled) block[filled] = static_cast<std::uint8_t>(octets[at++]);
    crc = after_block(crc, block);
  }
  wipe(block.data(), block.size());
  return ~crc;
}

}  // namespace tokenstore::base
