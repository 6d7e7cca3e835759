/// Why validations were unavailable: the latest line that storage gave, for the host's log.
///
/// Thread-safe without waiting: of two failures at once one is kept, and in a forked child, which may inherit a turn
/// that nobody will end, start_afresh() comes first. A validation that storage answers never comes here.
#pragma once

#include <atomic>
#include <new>
#include <optional>
#include <thread>

#include "tokenstore/environment.hpp"
#include "tokenstore/statistics.hpp"
#include "tokenstore/status.hpp"

namespace tokenstore::validate {

class Failures {
 public:
  void note(const Error& error, UnixMillis now) noexcept {
    if (busy_.test_and_set(std::memory_order_acquire)) return;
    try {
      latest_ = Unavailability{error, now};
    } catch (...) {  // NOLINT(bugprone-empty-catch): without memory the line before it stays
    }
    busy_.clear(std::memory_order_release);
  }

  std::optional<Unavailability> latest() const {
    struct Turn {
      std::atomic_flag& busy;
      explicit Turn(std::atomic_flag& flag) : busy(flag) {
        while (busy.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
      }
      ~Turn() { busy.clear(std::memory_order_release); }
    } const turn{busy_};
    return latest_;
  }

  void start_afresh() noexcept {
    // What the parent may have been in the middle of writing is not looked at, nor freed.
    new (&latest_) std::optional<Unavailability>();
    busy_.clear(std::memory_order_release);
  }

 private:
  mutable std::atomic_flag busy_;
  std::optional<Unavailability> latest_;
};

}  // namespace tokenstore::validate
