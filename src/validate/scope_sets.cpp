#include "validate/scope_sets.hpp"

#include <algorithm>

namespace tokenstore::validate {

std::uint16_t ScopeSets::add(std::string_view scopes) {
  const auto found = index_.find(scopes);
  if (found != index_.end()) return found->second;
  const std::size_t octets = octets_.load(std::memory_order_relaxed) + scopes.size();
  if (index_.size() + 1 >= most_sets || octets > limit_) return none;
  const auto number = static_cast<std::uint16_t>(index_.size() + 1);
  auto set = std::make_unique<Set>();
  for (std::string_view left = scopes; !left.empty();) {
    const std::string_view scope = left.substr(0, left.find(' '));
    set->bits |= bit_for(scope);
    left.remove_prefix(std::min(left.size(), scope.size() + 1));
  }
  set->text = index_.emplace(scopes, number).first->first;
  owned_sets_[number] = std::move(set);
  sets_[number].store(owned_sets_[number].get(), std::memory_order_release);
  octets_.store(octets, std::memory_order_relaxed);
  return number;
}

std::uint64_t ScopeSets::bit_for(std::string_view scope) {
  if (const Wanted known = wanted(scope); known.bit != 0) return known.bit;
  if (bit_count_ == most_bits || scope.empty()) return 0;
  auto& owned = owned_bits_[bit_count_];
  owned = std::make_unique<Bit>(Bit{std::string(scope), std::uint64_t{1} << bit_count_});
  ++bit_count_;
  std::size_t at = hash(scope);
  while (bits_[at % bits_.size()].load(std::memory_order_relaxed) != nullptr) ++at;
  bits_[at % bits_.size()].store(owned.get(), std::memory_order_release);
  return owned->bit;
}

}  // namespace tokenstore::validate
