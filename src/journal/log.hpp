/// A journal: its active file, and the segments before it.
///
/// The file at the path is the active segment. Earlier ones are kept beside it as PATH.000001 and so on, until an
/// administrator removes them; the active one begins with a summary of all that they restrict, so nothing needs them
/// but an audit. The file is opened for each call and held by nobody in between: so a new segment, a file put in
/// another's place and a forked child are all seen, and a call costs a few microseconds more.
///
/// One thread at a time; any number of processes. A fork by another thread waits for the call that is under way.
/// Borrows the keys.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "journal/fork_pause.hpp"
#include "journal/new_segment.hpp"
#include "journal/segment.hpp"

namespace tokenstore::journal {

class Log {
 public:
  /// Reads all of the journal; makes it if there is none and it may be written, and says so in `made()`.
  /// `journal_damaged`, `not_a_store` (of another store), `wrong_key`, `cannot_open` (a file not to be taken, or
  /// missing where it is only read).
  static Result<std::unique_ptr<Log>> open(Whereabouts where, seal::LiveSealer& keys, const Bytes16& store,
                                           UnixMillis now, Listener& listener);

  /// Another one at the same place of the same file.
  std::unique_ptr<Log> twin() const { return std::make_unique<Log>(*this); }

  /// Tells the listener what others have appended since. What somebody is writing now is left for later; so is, if it
  /// takes them longer than a moment, what was written last before. `unavailable`: not even a beginning can be read.
  Result<void> read_on(Listener& listener);
  /// Appends entries (encode_entry(), one behind the other) in one frame, durable on return; what others have appended
  /// before is told first, and made durable. An error: nothing of it is in the journal. `unknown`: it may be there, and
  /// is told as others' entries are if it is.
  Result<void> append(std::string_view entries, std::uint32_t count, Listener& listener);
  /// Begins a new segment with a summary of what this one restricts at `now`. Interrupted anywhere, the journal is as
  /// it was or as it shall be.
  Result<void> begin_segment(UnixMillis now, Listener& listener);

  const Position& position() const noexcept { return position_; }
  bool made() const noexcept { return made_; }
  /// Octets of writes that did not come to their end, which were cut off; and of one that stands at the end now.
  std::uint64_t cut() const noexcept { return cut_; }
  std::uint64_t torn() const noexcept { return torn_; }
  const std::string& path() const noexcept { return where_.path; }

  /// Where a segment that is no longer the active one is kept.
  static std::string path_of_segment(const std::string& path, std::uint64_t segment) {
    return journal::path_of_segment(path, segment);
  }

 private:
  Log(Whereabouts where, seal::LiveSealer& keys, const Bytes16& store)
      : where_(std::move(where)), keys_(keys), store_(store) {}

  Reader reader() const noexcept { return {keys_, store_, where_.path}; }
  Result<void> make(UnixMillis now);
  /// Under the lock: reads to the end, cuts a write that did not come to its, and makes all before it durable.
  Result<void> catch_up(SafeFile& file, Listener& listener);
  /// Begins anew with a file that is not the one read before.
  Result<bool> read_file(const SafeFile& file, Listener& listener, LastFrame last, std::string& tail);
  /// While nobody writes.
  Result<void> read_rest(const SafeFile& file, Listener& listener);
  Result<void> replace_segment(UnixMillis now, Listener& listener);
  Result<void> write_segment(SafeFile& file, UnixMillis now);

  ForkPause pause_;
  Whereabouts where_;
  seal::LiveSealer& keys_;
  const Bytes16 store_;
  Position position_;
  bool made_ = false;
  /// Whether what was read is known to be durable: who wrote it may have been killed before.
  bool content_durable_ = false;
  bool name_durable_ = false;
  FileFacts left_{};  ///< the file when others wrote for too long
  std::uint64_t cut_ = 0;
  std::uint64_t torn_ = 0;
};

}  // namespace tokenstore::journal
