#include "validate/extra_pool.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "tokenstore/model.hpp"

namespace tokenstore::validate {

namespace {

/// The first word: sizes of the three texts, which follow it back to back.
std::uint64_t pack_sizes(const ExtraText& text) noexcept {
  return std::uint64_t{text.owner.size()} | std::uint64_t{text.scopes.size()} << 16 |
         std::uint64_t{text.metadata.size()} << 32;
}

std::size_t words_for(std::uint64_t sizes) noexcept {
  const std::size_t octets = (sizes & 0xFFFF) + (sizes >> 16 & 0xFFFF) + (sizes >> 32 & 0xFFFF);
  return 1 + (octets + 7) / 8;
}

}  // namespace

ExtraText ExtraCopy::text() const noexcept {
  const std::uint64_t sizes = words[0];
  const char* from = reinterpret_cast<const char*>(words.data() + 1);
  ExtraText text;
  text.owner = std::string_view(from, sizes & 0xFFFF);
  text.scopes = std::string_view(from + text.owner.size(), sizes >> 16 & 0xFFFF);
  text.metadata = std::string_view(text.scopes.data() + text.scopes.size(), sizes >> 32 & 0xFFFF);
  return text;
}

ExtraPool::ExtraPool(std::size_t budget) noexcept
    : pages_(std::min(budget, std::size_t{std::numeric_limits<std::uint32_t>::max()} * block_bytes) / block_bytes *
             block_bytes) {}

std::size_t ExtraPool::class_of(std::size_t words) noexcept {
  std::size_t found = 0;
  while (block_words << found < words) ++found;
  return found;
}

bool ExtraPool::fits_exactly(const ExtraText& text, std::uint32_t block) const noexcept {
  const std::uint64_t sizes = pages_.words()[std::size_t{block - 1} * block_words].load(std::memory_order_relaxed);
  return class_of(words_for(sizes)) == class_of(words_for(pack_sizes(text)));
}

std::uint32_t ExtraPool::put(const ExtraText& text, std::size_t most_bytes) {
  const std::uint64_t sizes = pack_sizes(text);
  const std::size_t words = words_for(sizes);
  const std::size_t size_class = class_of(words);
  if (size_class >= classes || pages_.words() == nullptr) return 0;
  std::vector<std::uint32_t>& free = free_[size_class];
  std::uint32_t block = 0;
  if (!free.empty()) {
    block = free.back();
    free.pop_back();
  } else {
    const std::size_t blocks = std::size_t{1} << size_class;
    // recycle() must not need memory.
    free.reserve(free.size() + 1);
    if ((std::size_t{next_block_} - 1 + blocks) * block_bytes > std::min(most_bytes, pages_.bytes())) return 0;
    block = next_block_;
    next_block_ += static_cast<std::uint32_t>(blocks);
  }
  std::array<std::uint64_t, ExtraCopy::most_words> image;
  image[words - 1] = 0;
  image[0] = sizes;
  char* to = reinterpret_cast<char*>(image.data() + 1);
  for (const std::string_view part : {text.owner, text.scopes, text.metadata})
    to = std::copy(part.begin(), part.end(), to);
  std::atomic<std::uint64_t>* target = pages_.words() + std::size_t{block - 1} * block_words;
  for (std::size_t word = 0; word < words; ++word) target[word].store(image[word], std::memory_order_release);
  return block;
}

void ExtraPool::recycle(std::uint32_t block) noexcept {
  const std::uint64_t sizes = pages_.words()[std::size_t{block - 1} * block_words].load(std::memory_order_relaxed);
  std::vector<std::uint32_t>& free = free_[class_of(words_for(sizes))];
  // Without memory for the note the block is lost to the budget, which is better than to fail.
  try {
    free.push_back(block);
  } catch (...) {  // NOLINT(bugprone-empty-catch): as above
  }
}

bool ExtraPool::copy(std::uint32_t block, ExtraCopy& to) const noexcept {
  const std::size_t first = std::size_t{block - 1} * block_words;
  const std::size_t limit = pages_.bytes() / sizeof(std::uint64_t);
  if (first >= limit) return false;
  const std::atomic<std::uint64_t>* source = pages_.words() + first;
  to.words[0] = source[0].load(std::memory_order_acquire);
  const std::size_t words = words_for(to.words[0]);
  if (words > ExtraCopy::most_words || first + words > limit) return false;
  for (std::size_t word = 1; word < words; ++word) to.words[word] = source[word].load(std::memory_order_acquire);
  return true;
}

}  // namespace tokenstore::validate
