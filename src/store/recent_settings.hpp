/// The workspace's and owners' records as an issue has just read or written them, so that the next one need not ask
/// storage again.
///
/// Nothing is decided by them alone: an issue commits under the precondition that each is at the revision that it went
/// by, and what they would refuse is read again. They are given back only while the backend's pulse stands where it
/// stood when they were read, or when an issue that went by them had just been committed. Bounded. Thread-safe; in a
/// forked child whose parent was inside, it remembers nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tokenstore/backend.hpp"

namespace tokenstore {

class RecentSettings {
 public:
  std::optional<WorkspaceRecord> workspace(std::uint64_t pulse) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    return lock && pulse == pulse_ ? workspace_ : std::nullopt;
  }
  std::optional<OwnerRecord> owner(std::uint64_t pulse, std::string_view name) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock || pulse != pulse_) return std::nullopt;
    const auto found = owners_.find(name);
    return found == owners_.end() ? std::nullopt : std::optional(found->second);
  }
  /// Read after the pulse was.
  void remember(std::uint64_t pulse, const WorkspaceRecord& record) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;
    // Copied first: what memory runs out for is not remembered by halves.
    WorkspaceRecord copy(record);
    begin(pulse);
    workspace_ = std::move(copy);
  }
  void remember(std::uint64_t pulse, const OwnerRecord& record) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;
    OwnerRecord copy(record);
    begin(pulse);
    if (owners_.size() >= most_owners) owners_.clear();
    owners_.insert_or_assign(record.owner, std::move(copy));
  }

 private:
  static constexpr std::size_t most_owners = 1000;

  /// What was remembered under another pulse is gone.
  void begin(std::uint64_t pulse) {
    if (pulse == pulse_) return;
    workspace_.reset();
    owners_.clear();
    pulse_ = pulse;
  }

  std::mutex mutex_;
  std::uint64_t pulse_ = 0;
  std::optional<WorkspaceRecord> workspace_;
  std::map<std::string, OwnerRecord, std::less<>> owners_;
};

}  // namespace tokenstore
