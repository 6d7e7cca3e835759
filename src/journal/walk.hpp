/// The active segment from its beginning, a part at a time: for whoever does something about what it restricts.
///
/// Between two parts nothing of the file is held, so that whoever walks may commit and append. What is appended
/// meanwhile is walked as well; where a new segment is begun, the walk begins again with that. One thread at a time.
/// Borrows keys and store.
#pragma once

#include <utility>

#include "journal/fork_pause.hpp"
#include "journal/segment.hpp"

namespace tokenstore::journal {

class Walk {
 public:
  Walk(Whereabouts where, seal::LiveSealer& keys, const Bytes16& store)
      : where_(std::move(where)), keys_(keys), store_(store) {}

  /// Tells the next part, which ends where the listener has enough. False: there was no more. Errors as of Log::open(),
  /// and `unavailable` if somebody hangs in a write.
  Result<bool> next(Listener& listener);

 private:
  Reader reader() const noexcept { return {keys_, store_, where_.path}; }
  /// Without the last frame, which may not be durable yet. True: there was something.
  Result<bool> read_followed(const SafeFile& file, Listener& listener);
  /// While nobody writes.
  Result<bool> read_last(const SafeFile& file, Listener& listener);

  ForkPause pause_;
  const Whereabouts where_;
  seal::LiveSealer& keys_;
  const Bytes16& store_;
  Position position_;
};

}  // namespace tokenstore::journal
