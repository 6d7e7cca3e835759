#include "validate/scope_sets.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <new>

namespace tokenstore::validate {

std::string ScopeSets::Set::text() const {
  std::string text(size(), ' ');
  for (std::size_t from = 0; from < text.size(); from += sizeof(std::uint64_t)) {
    const std::uint64_t octets = word(from / sizeof octets);
    std::memcpy(text.data() + from, &octets, std::min(sizeof octets, text.size() - from));
  }
  return text;
}

ScopeSets::ScopeSets(std::size_t bytes)
    : places_(std::clamp(bytes, least_bytes, most_bytes) / place_bytes * place_bytes) {
  if (places_.words() == nullptr) throw std::bad_alloc();
  uses_.resize(1);
}

std::uint16_t ScopeSets::add(std::string_view scopes) {
  if (scopes.empty() || scopes.size() > longest) return none;
  if (const auto found = index_.find(scopes); found != index_.end())
    return uses_[found->second].retiring ? none : found->second;
  const std::uint16_t place = free_place(scopes);
  if (place != none) write(place, scopes);
  return place;
}

std::uint16_t ScopeSets::free_place(std::string_view scopes) {
  if (begun_ < limit() / place_bytes) {
    uses_.resize(begun_ + 1);
    return static_cast<std::uint16_t>(begun_++);
  }
  const std::uint16_t victim = least_used();
  if (victim == none) return none;
  if (uses_[victim].entries == 0) {
    give_up(victim);
    return victim;
  }
  const std::size_t set = std::hash<std::string_view>{}(scopes);
  Waiting& waiting = waiting_[set % waiting_.size()];
  if (waiting.set != set) {
    // Whoever is asked for more often holds the place.
    if (waiting.asked != 0) --waiting.asked;
    if (waiting.asked == 0) waiting = {set, 1};
    return none;
  }
  // Clearly more often, so that sets that are used alike do not take turns.
  constexpr std::uint32_t margin = 8;
  if (++waiting.asked <= 2 * uses_[victim].entries + margin) return none;
  waiting = {};
  uses_[victim].retiring = true;
  ++retiring_;
  return none;
}

std::uint16_t ScopeSets::least_used() const noexcept {
  std::uint16_t found = none;
  for (std::size_t index = 1; index < begun_; ++index) {
    if (uses_[index].retiring) continue;
    if (found == none || uses_[index].entries < uses_[found].entries) found = static_cast<std::uint16_t>(index);
    if (uses_[found].entries == 0) break;
  }
  return found;
}

void ScopeSets::give_up(std::uint16_t index) noexcept {
  Uses& uses = uses_[index];
  if (uses.text != nullptr) index_.erase(index_.find(*uses.text));
  if (uses.retiring) --retiring_;
  uses = {};
}

void ScopeSets::release(std::uint16_t index) noexcept {
  if (index == none) return;
  Uses& uses = uses_[index];
  --uses.entries;
  if (uses.retiring && uses.entries == 0) give_up(index);
}

void ScopeSets::write(std::uint16_t index, std::string_view scopes) {
  std::uint64_t bits = 0;
  for (std::string_view left = scopes; !left.empty();) {
    const std::string_view scope = left.substr(0, left.find(' '));
    bits |= bit_for(scope);
    left.remove_prefix(std::min(left.size(), scope.size() + 1));
  }
  uses_[index].text = &index_.emplace(scopes, index).first->first;
  std::atomic<std::uint64_t>* const place = places_.words() + index * place_words;
  place[0].store(bits, std::memory_order_release);
  place[1].store(scopes.size(), std::memory_order_release);
  for (std::size_t from = 0; from < scopes.size(); from += sizeof(std::uint64_t)) {
    std::uint64_t octets = 0;
    std::memcpy(&octets, scopes.data() + from, std::min(sizeof octets, scopes.size() - from));
    place[2 + from / sizeof octets].store(octets, std::memory_order_release);
  }
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
