/// Secrets in memory: comparing without leaking time, and wiping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace tokenstore::base {

/// Compares in a time that depends on the sizes alone. False if the sizes differ.
bool equal_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) noexcept;

void wipe(void* data, std::size_t size) noexcept;
/// Wipes what the string holds, then empties it.
void wipe(std::string& text) noexcept;

/// An array that is wiped when it dies.
template <std::size_t Size>
class WipedBytes {
 public:
  WipedBytes() = default;
  WipedBytes(const WipedBytes&) = delete;
  WipedBytes& operator=(const WipedBytes&) = delete;
  ~WipedBytes() { wipe(bytes_, Size); }
  std::uint8_t* data() noexcept { return bytes_; }
  const std::uint8_t* data() const noexcept { return bytes_; }
  static constexpr std::size_t size() noexcept { return Size; }
  std::span<std::uint8_t, Size> span() noexcept { return std::span<std::uint8_t, Size>(bytes_); }

 private:
  std::uint8_t bytes_[Size] = {};
};

}  // namespace tokenstore::base
