/// All segments of a journal, in order, and on past what is damaged: for whoever reads it as an audit trail, verifies
/// it or accepts what is left of it. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "journal/segment.hpp"
#include "tokenstore/journal.hpp"

namespace tokenstore::journal {

/// Who is told what is in a journal. They are called while nothing is locked, and may take their time. False: enough.
class Audience {
 public:
  virtual ~Audience() = default;
  virtual bool entry(std::uint64_t segment, std::uint64_t number, const Entry& entry) = 0;
  virtual bool ended(std::uint64_t segment, std::string_view workspace, const EndedToken& token) = 0;
};

/// Where reading goes on.
struct Footing {
  std::uint64_t segment = 0;  ///< 0: at the beginning
  std::uint64_t offset = 0;   ///< of a frame
  std::uint64_t number = 1;   ///< of its first entry
  std::uint64_t told = 0;     ///< of it
  bool tells_summary = false;
  Bytes32 mac{};  ///< of the frame before
};

struct Trail {
  JournalReport report;
  Footing next;
  bool stopped = false;
  /// The last good place of the last segment of which anything is good. `segment` 0: nothing is.
  Position end;
  /// The number of the active segment, or the one that its file would be kept under.
  std::uint64_t active = 0;
};

enum class Lock : std::uint8_t {
  taken_when_needed,  ///< for the frame that was written last
  held,               ///< by the caller, of the active segment
};

/// Whose summary is told: of the first segment that is left alone, or of each.
enum class Summaries : std::uint8_t { first, all };

Result<Trail> trail_of(const std::string& path, seal::LiveSealer& keys, const Footing& from, Audience& audience,
                       Summaries summaries = Summaries::first, Lock lock = Lock::taken_when_needed);

/// Where the problems of a report are, for the entry that accepts them.
using Place = std::pair<std::uint64_t, std::uint64_t>;  ///< segment and octet
std::string encode_places(const std::vector<JournalProblem>& problems);

/// The paths and permissions under which a journal is read: for root, whosever it is.
Whereabouts reading_of(const std::string& path);

}  // namespace tokenstore::journal
