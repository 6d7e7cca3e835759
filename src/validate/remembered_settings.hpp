/// What owners' and the workspace's sealed records say, remembered between misses.
///
/// An answer is believed while its generation stands. What is remembered must be the state of storage that
/// was caught up with, neither older nor newer: owner_changed() tells by it whether entries made under the
/// same generation still hold. Whoever remembers makes sure of that. Bounded: a fixed number of owners, each in the
/// one place that its name gives. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "validate/full_check.hpp"
#include "validate/generations.hpp"

namespace tokenstore::validate {

class RememberedSettings {
 public:
  RememberedSettings(StoredSettings& stored, Generations& owners) : stored_(stored), owners_(owners) {}

  /// Empty: not remembered under this generation.
  std::optional<Reason> recall_owner(std::string_view owner, std::uint32_t generation);
  void remember_owner(std::string_view owner, std::uint32_t generation, Reason reason);
  std::optional<Reason> recall_workspace(std::uint32_t generation) const noexcept;
  void remember_workspace(std::uint32_t generation, Reason reason) noexcept;

  /// The feed says that an owner's record changed. True: in a way that matters, or nobody knows.
  bool owner_changed(std::string_view owner);
  void forget_workspace() noexcept { workspace_generation_.fetch_add(1, std::memory_order_acq_rel); }
  /// Moves whenever the workspace's record has changed.
  std::uint32_t workspace_generation() const noexcept { return workspace_generation_.load(std::memory_order_acquire); }

 private:
  struct Answer {
    std::string owner;
    std::uint32_t generation = 0;
    Reason reason = Reason::storage;  ///< `storage`: nothing remembered
  };
  static constexpr std::size_t places = 1024;

  Answer& place_of(std::string_view owner) noexcept {
    return answers_[std::hash<std::string_view>{}(owner) / Generations::groups % places];
  }

  StoredSettings& stored_;
  Generations& owners_;
  std::mutex mutex_;
  std::array<Answer, places> answers_;
  std::atomic<std::uint32_t> workspace_generation_{0};
  /// Generation in the upper half, reason in the lower; 0: nothing remembered.
  std::atomic<std::uint64_t> workspace_answer_{0};
};

}  // namespace tokenstore::validate
