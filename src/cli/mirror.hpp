/// Makes one storage hold what another holds, while the other is in use. Sealed records are copied as they
/// are, so their seals stay valid. One thread; owns nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tokenstore/backend.hpp"

namespace tokenstore::cli {

struct MirrorCounts {
  std::uint64_t tokens = 0;   ///< seen in the source
  std::uint64_t owners = 0;   ///< seen in the source
  std::uint64_t written = 0;  ///< records put or removed
};

class Mirror {
 public:
  /// `delete_extra`: what only the target has goes; else finding such a thing is an error.
  Mirror(Backend& from, Backend& to, bool delete_extra, std::function<void(std::uint64_t)> progress)
      : from_(from), to_(to), delete_extra_(delete_extra), progress_(std::move(progress)) {}

  /// Copies a workspace, then follows the source's change feed until nothing changes any more. A Failure
  /// if either side fails, or if the target has been written to by somebody else.
  MirrorCounts copy(const std::string& workspace);
  /// Counts what differs; changes nothing.
  std::uint64_t differences(const std::string& workspace);

 private:
  struct Pages;

  void copy_settings(const std::string& workspace);
  void copy_owners(const std::string& workspace);
  /// Walks both lists side by side. True: a step was written or counted.
  void walk_tokens(const std::string& workspace, bool only_count);
  void follow(const std::string& workspace, std::uint64_t revision);
  void apply(const std::string& workspace, const Changes::Item& item);
  void add(const std::string& workspace, Mutation mutation);
  void flush(const std::string& workspace);

  Backend& from_;
  Backend& to_;
  const bool delete_extra_;
  std::function<void(std::uint64_t)> progress_;
  MirrorCounts counts_;
  std::uint64_t different_ = 0;
  std::vector<Mutation> batch_;
  std::vector<Use> uses_;
};

}  // namespace tokenstore::cli
