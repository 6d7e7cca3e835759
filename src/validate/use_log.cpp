#include "validate/use_log.hpp"

#include <algorithm>
#include <utility>

namespace tokenstore::validate {

void UseLog::note(std::string_view id, UnixMillis at, std::string_view from) {
  const std::lock_guard lock(mutex_);
  auto found = uses_.find(id);
  if (found == uses_.end()) {
    if (uses_.size() >= most_) return;
    found = uses_.emplace(std::string(id), Use{std::string(id), at, std::string(from)}).first;
  }
  if (found->second.used_at > at) return;
  found->second.used_at = at;
  found->second.used_from.assign(from);  // of this very use: no address says that none was given
}

std::optional<Use> UseLog::find(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto found = uses_.find(id);
  if (found == uses_.end()) return std::nullopt;
  return found->second;
}

std::vector<Use> UseLog::take(std::size_t count, std::string_view after) {
  std::vector<Use> taken;
  const std::lock_guard lock(mutex_);
  taken.reserve(std::min(count, uses_.size()));
  for (auto next = uses_.upper_bound(after); next != uses_.end() && taken.size() < count; next = uses_.erase(next)) {
    taken.push_back(std::move(next->second));
  }
  return taken;
}

}  // namespace tokenstore::validate
