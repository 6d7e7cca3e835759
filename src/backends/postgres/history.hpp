/// Notices that the server's history has another branch: a standby was promoted that lacked the last
/// commits, or a backup was restored. Revisions then count on from an earlier one, and the feed alone
/// would not tell those who had seen the lost ones.
///
/// Thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace tokenstore::postgres {

class History {
 public:
  /// Notes that a server of this timeline gave this revision. False: whoever knows the workspace as of
  /// `after` may know a branch that is gone, and has to forget everything.
  bool note(std::string_view workspace, const std::string& timeline, std::uint64_t revision, std::uint64_t after) {
    const std::lock_guard lock(mutex_);
    auto found = branches_.find(workspace);
    if (found == branches_.end()) found = branches_.emplace(std::string(workspace), Branch{timeline, 0, 0}).first;
    Branch& branch = found->second;
    if (branch.timeline != timeline) {
      branch.timeline = timeline;
      branch.doubtful_up_to = std::max(branch.highest, revision);
    }
    branch.highest = std::max(branch.highest, revision);
    return branch.doubtful_up_to == 0 || after > branch.doubtful_up_to;
  }

 private:
  struct Branch {
    std::string timeline;
    std::uint64_t highest;         ///< ever given
    std::uint64_t doubtful_up_to;  ///< revisions up to this one may be of another branch
  };

  std::mutex mutex_;
  std::map<std::string, Branch, std::less<>> branches_;
};

}  // namespace tokenstore::postgres
