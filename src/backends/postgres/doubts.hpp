/// Commits whose outcome nobody knows yet.
///
/// The server may still be at work on such a commit (waiting for a standby, say) and show the old state
/// meanwhile. Until that is settled, what the commit touched is not read: see Engine::settle().
///
/// Thread-safe.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "tokenstore/backend.hpp"

namespace tokenstore::postgres {

class Doubts {
 public:
  bool any() const noexcept { return any_.load(std::memory_order_acquire); }

  void add(std::string_view workspace, const Mutation& mutation) {
    const std::lock_guard lock(mutex_);
    // First, so that running out of memory below errs on the side of doubt.
    any_.store(true, std::memory_order_release);
    Entry& entry = doubts_[std::string(workspace)];
    ++entry.additions;
    entry.keys.emplace(mutation.kind, mutation.key);
  }

  /// 0: there is no doubt. Else what to hand to settled().
  std::uint64_t about(std::string_view workspace) const {
    const std::lock_guard lock(mutex_);
    const auto found = doubts_.find(workspace);
    return found == doubts_.end() ? 0 : found->second.additions;
  }
  std::uint64_t about(std::string_view workspace, RecordKind kind, std::string_view key) const {
    const std::lock_guard lock(mutex_);
    const auto found = doubts_.find(workspace);
    if (found == doubts_.end()) return 0;
    return found->second.keys.contains({kind, std::string(key)}) ? found->second.additions : 0;
  }

  /// Everything up to then is settled; what was added since is not.
  void settled(std::string_view workspace, std::uint64_t additions) {
    const std::lock_guard lock(mutex_);
    const auto found = doubts_.find(workspace);
    if (found != doubts_.end() && found->second.additions == additions) doubts_.erase(found);
    any_.store(!doubts_.empty(), std::memory_order_release);
  }

 private:
  struct Entry {
    std::uint64_t additions = 0;
    std::set<std::pair<RecordKind, std::string>> keys;
  };

  std::atomic<bool> any_{false};
  mutable std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> doubts_;
};

}  // namespace tokenstore::postgres
