/// The segments of a journal as files beside each other, and writing one more.
///
/// Every function is thread-safe. Of what is being written one thread uses an object, under the journal's lock.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "journal/segment.hpp"

namespace tokenstore::journal {

/// Where a segment that is no longer the active one is kept.
std::string path_of_segment(const std::string& path, std::uint64_t segment);
/// The numbers of those that are kept beside the journal, in order. The last may still be the active one as well, if
/// somebody was interrupted.
Result<std::vector<std::uint64_t>> kept_segments(const std::string& path);

/// Writes a segment from its beginning on, each frame durable on return. Borrows everything.
class NewSegment {
 public:
  /// `previous` and `number`: the MAC of the last frame before it, and the number of its first entry.
  NewSegment(SafeFile& file, const std::string& path, const seal::Sealer& sealer, const Bytes32& previous,
             std::uint64_t number)
      : file_(file), path_(path), sealer_(sealer), mac_(previous), number_(number) {}

  Result<void> begin(const Bytes16& store, std::uint64_t segment, UnixMillis now);
  Result<void> write(FrameType type, std::uint32_t count, std::string_view payload);

 private:
  SafeFile& file_;
  const std::string& path_;
  const seal::Sealer& sealer_;
  Bytes32 mac_;
  std::uint64_t number_;
  std::uint64_t offset_ = 0;
};

/// Gives the segment at `aside` the journal's path, durable on return. The one that is there, `active`, is kept under a
/// number first: it has a name at every moment, and the path always leads to a whole segment.
Result<void> take_the_place(const std::string& aside, const std::string& path, std::uint64_t kept_as,
                            const FileIdentity& active);

}  // namespace tokenstore::journal
