#include "notes.hpp"

#include <utility>

namespace guarded {

std::vector<std::string> Notes::of(std::string_view owner) const {
  const std::lock_guard lock(mutex_);
  const auto found = notes_.find(owner);
  return found == notes_.end() ? std::vector<std::string>{} : found->second;
}

bool Notes::add(std::string_view owner, std::string note) {
  const std::lock_guard lock(mutex_);
  auto& notes = notes_[std::string(owner)];
  if (notes.size() >= most_per_owner) return false;
  notes.push_back(std::move(note));
  return true;
}

void Notes::clear(std::string_view owner) {
  const std::lock_guard lock(mutex_);
  if (const auto found = notes_.find(owner); found != notes_.end()) notes_.erase(found);
}

}  // namespace guarded
