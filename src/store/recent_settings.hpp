/// The workspace's and owners' records as an issue has just read or written them, so that the next one need not ask
/// storage again.
///
/// Nothing is decided by them alone: an issue commits under the precondition that each is at the revision that it went
/// by, and what they would refuse is read again. So they may be old, which costs a second try, never an answer.
/// Bounded. Thread-safe; in a forked child whose parent was inside, it remembers nothing.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "tokenstore/backend.hpp"

namespace tokenstore {

class RecentSettings {
 public:
  std::optional<WorkspaceRecord> workspace() {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    return lock ? workspace_ : std::nullopt;
  }
  std::optional<OwnerRecord> owner(std::string_view name) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return std::nullopt;
    const auto found = owners_.find(name);
    return found == owners_.end() ? std::nullopt : std::optional(found->second);
  }
  void remember(const WorkspaceRecord& record) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock) workspace_ = record;
  }
  void remember(const OwnerRecord& record) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;
    if (owners_.size() >= most_owners) owners_.clear();
    owners_.insert_or_assign(record.owner, record);
  }

 private:
  static constexpr std::size_t most_owners = 1000;

  std::mutex mutex_;
  std::optional<WorkspaceRecord> workspace_;
  std::map<std::string, OwnerRecord, std::less<>> owners_;
};

}  // namespace tokenstore
