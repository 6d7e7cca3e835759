#include "validate/scope_sets.hpp"

namespace tokenstore::validate {

std::uint16_t ScopeSets::add(std::string_view scopes) {
  const auto found = index_.find(scopes);
  if (found != index_.end()) return found->second;
  const std::size_t octets = octets_.load(std::memory_order_relaxed) + scopes.size();
  if (index_.size() >= most_sets || octets > limit_) return none;
  const auto number = static_cast<std::uint16_t>(index_.size());
  const auto added = index_.emplace(scopes, number).first;
  sets_[number].store(&added->first, std::memory_order_release);
  octets_.store(octets, std::memory_order_relaxed);
  return number;
}

}  // namespace tokenstore::validate
