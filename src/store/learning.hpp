/// How far a store has come in taking over into its journal what others have changed, and in putting forward from it
/// what went back.
///
/// One thread at a time, by the mutex of the first; who finds it taken has nothing to do.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/fork_guard.hpp"
#include "journal/journal.hpp"
#include "tokenstore/backend.hpp"

namespace tokenstore {

class Learning {
 public:
  /// Looking at everything that has ended, because the change feed does not go back far enough.
  struct Walk {
    enum class Part : std::uint8_t { owners, revoked, expired };
    std::uint64_t revision = 0;  ///< of the feed, when it began: what changes since stands there
    Bytes32 link{};
    Part part = Part::owners;
    std::string from;  ///< the last name, or the lowest id, that was looked at
  };
  struct Place {
    std::mutex mutex;
    std::optional<Walk> walk;
    journal::Learned upto;  ///< what this process has come to; the journal's own word for it may still be waiting
  };

  Learning() : place_(std::make_unique<Place>().release()) {}
  ~Learning() {
    if (!guard_.forked()) delete place_.load();
  }
  Learning(const Learning&) = delete;
  Learning& operator=(const Learning&) = delete;

  /// This process's. A forked child begins anew, and leaves its parent's alone: a thread that the child has not may
  /// have been in the midst of it.
  Place& place() {
    if (guard_.forked()) {
      guard_.adopt([this] {
        place_.store(std::make_unique<Place>().release(), std::memory_order_release);
        return true;
      });
    }
    return *place_.load(std::memory_order_acquire);
  }

 private:
  base::ForkGuard guard_;
  std::atomic<Place*> place_;
};

struct Healing {
  std::atomic<std::uint64_t> healed{0};  ///< records that were put forward
  std::atomic<std::uint64_t> met{0};     ///< records that went back and that a change was to build on
  bool due = false;                      ///< the latest did not come to its end
  std::uint64_t met_before = 0;          ///< what had been met when the latest began
  std::int64_t rest_until = 0;           ///< by the monotonic clock
};

}  // namespace tokenstore
