#include "validate/denials.hpp"

namespace tokenstore::validate {

void Denials::deny_token(std::string_view id) {
  const std::lock_guard lock(mutex_);
  if (tokens_.emplace(id).second) count_.fetch_add(1, std::memory_order_acq_rel);
}

void Denials::deny_owner(std::string_view owner, OwnerStop why) {
  const std::lock_guard lock(mutex_);
  const auto [found, added] = owners_.emplace(owner, 0U);
  found->second |= static_cast<unsigned>(why);
  if (added) count_.fetch_add(1, std::memory_order_acq_rel);
}

void Denials::deny_everything() {
  const std::lock_guard lock(mutex_);
  if (!everything_) count_.fetch_add(1, std::memory_order_acq_rel);
  everything_ = true;
}

void Denials::allow_token(std::string_view id) {
  if (!any()) return;
  const std::lock_guard lock(mutex_);
  const auto found = tokens_.find(id);
  if (found == tokens_.end()) return;
  tokens_.erase(found);
  count_.fetch_sub(1, std::memory_order_acq_rel);
}

void Denials::allow_owner(std::string_view owner, OwnerStop why) {
  if (!any()) return;
  const std::lock_guard lock(mutex_);
  const auto found = owners_.find(owner);
  if (found == owners_.end()) return;
  found->second &= ~static_cast<unsigned>(why);
  if (found->second != 0) return;
  owners_.erase(found);
  count_.fetch_sub(1, std::memory_order_acq_rel);
}

void Denials::allow_everything() {
  if (!any()) return;
  const std::lock_guard lock(mutex_);
  if (everything_) count_.fetch_sub(1, std::memory_order_acq_rel);
  everything_ = false;
}

bool Denials::denies(std::string_view id, std::string_view owner) {
  const std::lock_guard lock(mutex_);
  return everything_ || tokens_.contains(id) || owners_.contains(owner);
}

}  // namespace tokenstore::validate
