/// How far a store has come in taking over into its journal what others have changed.
///
/// One thread at a time, by the mutex; who finds it taken has nothing to do.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "journal/journal.hpp"
#include "tokenstore/backend.hpp"

namespace tokenstore {

struct Learning {
  /// Looking at everything that has ended, because the change feed does not go back far enough.
  struct Walk {
    enum class Part : std::uint8_t { owners, revoked, expired };
    std::uint64_t revision = 0;  ///< of the feed, when it began: what changes since stands there
    Bytes32 link{};
    Part part = Part::owners;
    std::string from;  ///< the last name, or the lowest id, that was looked at
  };

  std::mutex mutex;
  std::optional<Walk> walk;
  journal::Learned upto;  ///< what this process has come to; the journal's own word for it may still be waiting
};

}  // namespace tokenstore
