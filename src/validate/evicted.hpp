/// Which entries had to go of late, and when they were last used.
///
/// Whatever comes back after it had to go is in use now; whatever stands in its way and was not used in between is not,
/// however hot it once was. A stranger, who never was here, has no such claim, so that a flood of strangers
/// costs those in use nothing. Four octets a memory, one memory for four slots; a quarter of what is evicted takes the
/// place of what is remembered already, so that a part of it lasts until a long round comes back to it.
/// Guarded by the table's mutex.
#pragma once

#include <cstdint>
#include <vector>

#include "tokenstore/environment.hpp"

namespace tokenstore::validate {

class Evicted {
 public:
  static constexpr std::size_t slots_per_memory = 4;
  static constexpr std::size_t bytes_for(std::size_t slots) noexcept {
    return slots / slots_per_memory * sizeof(std::uint32_t);
  }

  explicit Evicted(std::size_t slots) : memories_(slots / slots_per_memory) {}

  void note(std::uint64_t place, UnixMillis last_used) noexcept {
    if (last_used <= 0) return;
    std::uint32_t& memory = memory_of(place);
    if (memory != 0 && ++noted_ % 4 != 0) return;
    memory = tag_of(place) | (static_cast<std::uint32_t>(last_used) & time_mask);
    latest_ = latest_ < last_used ? last_used : latest_;
  }
  /// It has come back: when was it last used before it had to go? 0: not known. Forgets it.
  UnixMillis take(std::uint64_t place) noexcept {
    std::uint32_t& memory = memory_of(place);
    if (memory == 0 || (memory & ~time_mask) != tag_of(place)) return 0;
    // The upper bits of the time: as late as it can be. A memory of more than an hour ago looks younger than it is.
    const auto low = static_cast<UnixMillis>(memory & time_mask);
    UnixMillis time = (latest_ & ~UnixMillis{time_mask}) | low;
    if (time > latest_) time -= UnixMillis{time_mask} + 1;
    memory = 0;
    return time;
  }

 private:
  static constexpr std::uint32_t time_mask = (1U << 22) - 1;  ///< milliseconds: seventy minutes
  /// Never 0, so that a memory is not, either.
  static std::uint32_t tag_of(std::uint64_t place) noexcept {
    return (static_cast<std::uint32_t>(place >> 20) | 1U << 22) & ~time_mask;
  }
  std::uint32_t& memory_of(std::uint64_t place) noexcept {
    return memories_[static_cast<std::size_t>((place * 0xD6E8'FEB8'6659'FD93U >> 32) * memories_.size() >> 32)];
  }

  std::vector<std::uint32_t> memories_;
  UnixMillis latest_ = 0;
  std::uint32_t noted_ = 0;
};

}  // namespace tokenstore::validate
