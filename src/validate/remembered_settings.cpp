#include "validate/remembered_settings.hpp"

namespace tokenstore::validate {

namespace {
constexpr std::uint64_t known_mark = 0x100;
}

std::optional<OwnerStanding> RememberedSettings::recall_owner(std::string_view owner,
                                                              std::uint32_t generation) noexcept {
  const Fingerprint print = fingerprinter_.fingerprint(owner);
  const std::lock_guard lock(mutex_);
  const Answer& answer = place_of(print);
  if (!answer.known || answer.generation != generation || answer.owner != print) return std::nullopt;
  return answer.standing;
}

void RememberedSettings::remember_owner(std::string_view owner, std::uint32_t generation,
                                        const OwnerStanding& standing) noexcept {
  const Fingerprint print = fingerprinter_.fingerprint(owner);
  const std::lock_guard lock(mutex_);
  place_of(print) = {print, generation, standing, true};
}

std::optional<Reason> RememberedSettings::recall_workspace(std::uint32_t generation) const noexcept {
  const std::uint64_t answer = workspace_answer_.load(std::memory_order_acquire);
  if ((answer & known_mark) == 0 || answer >> 32 != generation) return std::nullopt;
  return static_cast<Reason>(answer & 0xFF);
}

void RememberedSettings::remember_workspace(std::uint32_t generation, Reason reason) noexcept {
  if (reason == Reason::storage || reason == Reason::rolled_back) return;
  workspace_answer_.store(std::uint64_t{generation} << 32 | known_mark | static_cast<std::uint8_t>(reason),
                          std::memory_order_release);
}

bool RememberedSettings::owner_changed(std::string_view owner) {
  const auto before = recall_owner(owner, owners_.of(owners_.group_of(owner)));
  // An issue under a cap changes its owner's record too, and must not cost their tokens a miss each.
  return !before || stored_.owner_standing(owner) != *before;
}

bool RememberedSettings::owner_changed(std::string_view owner, const OwnerStanding& now) noexcept {
  return recall_owner(owner, owners_.of(owners_.group_of(owner))) != now;
}

}  // namespace tokenstore::validate
