#include "base/wipe.hpp"

#include <sodium.h>

#include "base/declassify.hpp"

namespace tokenstore::base {

bool equal_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) noexcept {
  if (a.size() != b.size()) return false;
  return declassify(sodium_memcmp(a.data(), b.data(), a.size()) == 0);
}

void wipe(void* data, std::size_t size) noexcept {
  if (size > 0) sodium_memzero(data, size);
}

void wipe(std::string& text) noexcept {
  // The whole capacity: a longer text may have been there before. Growing within it never allocates.
  text.resize(text.capacity());
  wipe(text.data(), text.size());
  text.clear();
}

}  // namespace tokenstore::base
