/// Reading a segment: the frames of one file, from a position on, each verified before anybody is told what is in it.
///
/// One thread at a time. Nothing is owned.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "journal/entry.hpp"
#include "journal/frame.hpp"
#include "journal/safe_file.hpp"
#include "seal/live_sealer.hpp"

namespace tokenstore::journal {

/// A token in the summary that a segment begins with.
struct EndedToken {
  std::string_view id{};
  RecordRevision revision = 0;  ///< `gone` if it was removed
  UnixMillis until = no_end;
  UnixMillis ends_at = no_end;  ///< 0: it was ended at once, whatever anybody's clock says
  Deed deed = Deed::revoked;
};

/// Is told of what the journal holds, in order. The views last as long as the call.
class Listener {
 public:
  virtual ~Listener() = default;
  /// `number` counts from 1 on over all segments; 0: carried over from an earlier segment.
  virtual void entry(std::uint64_t number, const Entry& entry) = 0;
  virtual void ended(std::string_view workspace, const EndedToken& token) = 0;
  /// Asked behind each frame: reading then ends here for now.
  virtual bool has_enough() const { return false; }
};

/// Whose journal is read.
struct Reader {
  seal::LiveSealer& keys;
  const Bytes16& store;
  const std::string& path;
  std::string* damage = nullptr;  ///< is told what is wrong at a place that is damaged
};

/// How far a segment has been read: behind its last good frame.
struct Position {
  FileIdentity file{};
  std::uint64_t offset = 0;
  Bytes32 mac{};             ///< of that frame
  std::uint64_t number = 1;  ///< of the next entry
  std::uint64_t segment = 0;
  UnixMillis made_at = 0;         ///< of the segment
  Bytes32 head{};                 ///< MAC of its first frame: no other segment has it
  std::string key_id{};           ///< of that frame
  std::uint64_t summary_end = 0;  ///< where its summary ends
  bool accepted = false;          ///< it goes on from what was left of a damaged one
};

struct SegmentHead {
  Bytes16 store{};
  std::uint64_t segment = 1;
  UnixMillis made_at = 0;
  Bytes16 birth{};  ///< random: no two segments begin alike
};
std::string encode_head(const SegmentHead& head);

/// How a segment begins.
struct Beginning {
  SegmentHead head;
  Position behind;     ///< the place behind its head
  Bytes32 previous{};  ///< MAC of the last frame of the segment before
};
/// Empty: the file does not begin as a journal. `wrong_key`, `newer_schema`.
Result<std::optional<Beginning>> read_beginning(seal::LiveSealer& keys, const std::string& path, const SafeFile& file);

/// Whether the file begins with the segment that `position` is in. Another file may have got its number in the file
/// system.
Result<bool> is_same_segment(const std::string& path, const SafeFile& file, const Position& position);
/// A payload of ended tokens of one workspace.
std::string encode_ended(std::string_view workspace);
void add_ended(std::string& payload, const EndedToken& token);

/// Whether the last frame of a file is taken. Without the file's lock it may be one that is not durable yet, and that
/// its writer takes back; the frames before it are durable, for whoever writes makes them so first.
enum class LastFrame : std::uint8_t { taken, left };

/// Reads on from a position to the end of the file, to its last frame, or until the listener has enough. True: all of
/// that is good. False: behind the position there is something that is no frame, and `tail` holds it, or its beginning
/// if it is longer than a frame can be; or the last frame was left. `journal_damaged`: a frame that the journal's keys
/// vouch for stands where it does not belong; `not_a_store`: it is another store's; `wrong_key`: it was made with a key
/// that is not held, or retired.
Result<bool> read_on(const Reader& reader, const SafeFile& file, Position& position, Listener& listener,
                     std::string& tail, LastFrame last = LastFrame::taken);

/// The error for a place in the journal.
Error damaged_at(const Reader& reader, const Position& position, std::string_view what);

}  // namespace tokenstore::journal
