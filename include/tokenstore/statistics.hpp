/// Counters of a store since it was opened, in this process.
#pragma once

#include <cstdint>

#include "tokenstore/environment.hpp"
#include "tokenstore/status.hpp"

namespace tokenstore {

struct Statistics {
  std::uint64_t hits = 0;           ///< validations answered from the cache
  std::uint64_t misses = 0;         ///< validations that asked storage
  std::uint64_t negative_hits = 0;  ///< tokens known to be gone, answered from the cache
  std::uint64_t malformed = 0;
  std::uint64_t forged = 0;
  std::uint64_t unavailable = 0;
  std::uint64_t catch_ups = 0;    ///< times the change feed was read
  std::uint64_t dropped_all = 0;  ///< catch-ups that had to forget everything
  std::uint64_t evictions = 0;
  std::uint64_t uses_written = 0;
  std::uint64_t cached_tokens = 0;
  std::uint64_t cache_bytes = 0;  ///< memory the cache holds now
  /// Answers that were asked of storage and not kept: somebody else was filling the cache,
  std::uint64_t not_kept_busy = 0;
  std::uint64_t not_kept_changed = 0;  ///< something had changed meanwhile,
  std::uint64_t not_kept_no_room = 0;  ///< nothing could make room for them
  /// Catch-ups that met a change feed which does not fit what was read of it before: it was changed outside the
  /// library, or an older state was put back. Everything was forgotten then.
  std::uint64_t feed_mismatches = 0;
  std::uint64_t keys_taken = 0;    ///< times that others came into use in place of the keys
  std::uint64_t keys_refused = 0;  ///< times that the source of the keys gave none that could be taken
  /// Validations that were denied, and changes that were refused, because a record is an earlier state than the journal
  /// knows.
  std::uint64_t rolled_back = 0;
  std::uint64_t healed = 0;  ///< records that were put forward again from the journal
};

/// Why a validation was `unavailable`.
struct Unavailability {
  Error error;  ///< storage's own: its line is for the log
  UnixMillis at = 0;
};

}  // namespace tokenstore
