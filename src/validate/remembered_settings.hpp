/// What owners' and the workspace's sealed records say, remembered between misses.
///
/// An answer is believed while its generation stands. What is remembered must be the state of storage that
/// was caught up with, neither older nor newer: owner_changed() tells by it whether entries made under the
/// same generation still hold. Whoever remembers makes sure of that. Bounded: each owner has the one place that
/// its name gives, and is told from others there by its fingerprint, which nobody can aim at. Thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <new>
#include <optional>
#include <string_view>

#include "validate/fingerprint.hpp"
#include "validate/full_check.hpp"
#include "validate/generations.hpp"
#include "validate/pages.hpp"

namespace tokenstore::validate {

class RememberedSettings {
 public:
  /// Takes a share of the cache's budget.
  RememberedSettings(StoredSettings& stored, Generations& owners, const Fingerprinter& fingerprinter,
                     std::size_t cache_bytes)
      : stored_(stored),
        owners_(owners),
        fingerprinter_(fingerprinter),
        answers_(std::clamp(cache_bytes / 64, least_bytes, most_bytes) / sizeof(Answer) * sizeof(Answer)) {
    if (answers_.words() == nullptr) throw std::bad_alloc();
  }

  /// Empty: not remembered under this generation.
  std::optional<OwnerStanding> recall_owner(std::string_view owner, std::uint32_t generation) noexcept;
  void remember_owner(std::string_view owner, std::uint32_t generation, const OwnerStanding& standing) noexcept;
  std::optional<Reason> recall_workspace(std::uint32_t generation) const noexcept;
  void remember_workspace(std::uint32_t generation, Reason reason) noexcept;

  /// The feed says that an owner's record changed. True: in a way that matters, or nobody knows.
  bool owner_changed(std::string_view owner);
  /// The same, where it is known what the record says by now.
  bool owner_changed(std::string_view owner, const OwnerStanding& now) noexcept;
  void forget_workspace() noexcept { workspace_generation_.fetch_add(1, std::memory_order_acq_rel); }
  /// Moves whenever the workspace's record has changed.
  std::uint32_t workspace_generation() const noexcept { return workspace_generation_.load(std::memory_order_acquire); }

  std::size_t bytes() const noexcept { return answers_.bytes(); }

 private:
  struct Answer {
    Fingerprint owner;
    std::uint32_t generation = 0;
    OwnerStanding standing;
    bool known = false;  ///< of zeroes: nothing remembered
  };
  static constexpr std::size_t least_bytes = 128 * sizeof(Answer);
  static constexpr std::size_t most_bytes = std::size_t{4} << 20;

  Answer& place_of(const Fingerprint& owner) noexcept {
    return reinterpret_cast<Answer*>(answers_.words())[owner.high % (answers_.bytes() / sizeof(Answer))];
  }

  StoredSettings& stored_;
  Generations& owners_;
  const Fingerprinter& fingerprinter_;
  std::mutex mutex_;
  Pages answers_;  ///< takes no memory until something is remembered
  std::atomic<std::uint32_t> workspace_generation_{0};
  /// Generation in the upper half, reason in the lower; 0: nothing remembered.
  std::atomic<std::uint64_t> workspace_answer_{0};
};

}  // namespace tokenstore::validate
