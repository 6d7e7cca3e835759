/// Writes last uses to storage: all of them once an interval, in small parts.
///
/// A part ends when the caller's time is over, and the next call goes on where it stopped: with a million tokens in use
/// one writing takes seconds, and neither a host that calls maintain() between two requests nor a fork that waits for
/// the upkeep thread's turn can wait that long. Thread-safe; of several threads one writes.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/effective_clock.hpp"
#include "tokenstore/backend.hpp"
#include "validate/cache_table.hpp"
#include "validate/use_log.hpp"

namespace tokenstore::validate {

class UseWriter {
 public:
  /// Borrows everything; `table` may be null. `unwritten_since` is moved on when all before it is written.
  UseWriter(Backend& backend, base::EffectiveClock& clock, const std::string& workspace,
            std::chrono::milliseconds interval, UseLog& log, CacheTable* table,
            std::atomic<UnixMillis>& unwritten_since);

  /// Writes for about `budget` if the interval is over or something was left. True: there is more to write.
  Result<bool> write_due(std::chrono::milliseconds budget);
  Result<void> write_all();
  std::uint64_t written() const noexcept { return written_.load(std::memory_order_relaxed); }

 private:
  void begin(std::int64_t now);
  Result<bool> go_on(std::int64_t until);
  Result<void> write_logged();
  Result<void> write_cached();

  Backend& backend_;
  base::EffectiveClock& clock_;
  const std::string& workspace_;
  const std::int64_t interval_;
  UseLog& log_;
  CacheTable* const table_;
  std::atomic<UnixMillis>& unwritten_since_;
  std::atomic<std::uint64_t> written_{0};

  std::mutex turn_;          ///< guards what follows
  std::int64_t last_begun_;  ///< monotonic
  bool under_way_ = false;
  UnixMillis next_unwritten_ = 0;  ///< `unwritten_since_` once this writing is done
  bool logged_left_ = false;
  std::string logged_to_;         ///< the id up to which the log was gone through; what is used again comes next time
  std::vector<PackedId> cached_;  ///< the cached tokens to write, in the order of their ids
  std::size_t next_cached_ = 0;
};

}  // namespace tokenstore::validate
