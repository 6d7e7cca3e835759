/// What the library takes from the world besides storage: time and randomness.
///
/// Both can be replaced, for tests and for hosts with their own sources. Implementations must be
/// safe to call from several threads at once and must not throw.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace tokenstore {

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted. All times of the library.
using UnixMillis = std::int64_t;

class Clock {
 public:
  virtual ~Clock() = default;
  /// The wall clock.
  virtual UnixMillis wall() noexcept = 0;
  /// Milliseconds since an arbitrary start; never goes back while the process lives.
  virtual std::int64_t monotonic() noexcept = 0;
  /// As the two above, but may lag behind them by up to `coarse_lag` milliseconds, and costs less.
  virtual UnixMillis coarse_wall() noexcept { return wall(); }
  virtual std::int64_t coarse_monotonic() noexcept { return monotonic(); }
  struct Reading {
    UnixMillis wall;
    std::int64_t monotonic;
  };
  /// Both coarse readings in one call, for whoever asks a million times a second.
  virtual Reading coarse() noexcept { return {coarse_wall(), coarse_monotonic()}; }
  /// A number that is the same only as long as coarse() answers the same, and never comes back; for
  /// clocks that advance in steps. Negative: this clock has no such number.
  virtual std::int64_t coarse_tick() noexcept { return -1; }
  virtual std::int64_t coarse_lag() noexcept { return 0; }
};

class RandomSource {
 public:
  virtual ~RandomSource() = default;
  /// Fills `out` with bytes that nobody can predict. Must give different bytes after a fork.
  virtual void fill(std::span<std::uint8_t> out) noexcept = 0;
};

/// The system's clocks: CLOCK_REALTIME, and CLOCK_BOOTTIME, which goes on while the machine sleeps. The
/// coarse ones are the kernel's of the last tick, at most 10 ms behind.
std::shared_ptr<Clock> system_clock();
/// libsodium's generator, which is the kernel's.
std::shared_ptr<RandomSource> system_random();

}  // namespace tokenstore
