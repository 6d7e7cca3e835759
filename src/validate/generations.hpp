/// What has changed since an entry was made, in counters that a reader can compare at no cost.
///
/// Names (token ids, owners) fall into groups; a change raises the group's counter, and whatever was
/// remembered under the old count is no longer believed. Two names in one group cost a needless look
/// at storage, never a wrong answer; nobody can choose a name that shares another's. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <new>
#include <string_view>

#include "validate/fingerprint.hpp"
#include "validate/pages.hpp"

namespace tokenstore::validate {

class Generations {
 public:
  static constexpr std::size_t groups = Fingerprinter::groups;

  explicit Generations(const Fingerprinter& fingerprinter)
      : fingerprinter_(fingerprinter),
        memory_(groups * sizeof(std::uint32_t)),
        counts_(reinterpret_cast<std::atomic<std::uint32_t>*>(memory_.words())) {
    if (counts_ == nullptr) throw std::bad_alloc();
  }

  std::uint16_t group_of(std::string_view name) const noexcept { return fingerprinter_.group(name); }
  std::uint32_t of(std::uint16_t group) const noexcept { return counts_[group].load(std::memory_order_acquire); }
  void raise(std::uint16_t group) noexcept { counts_[group].fetch_add(1, std::memory_order_acq_rel); }
  void raise_all() noexcept {
    for (std::size_t group = 0; group < groups; ++group) counts_[group].fetch_add(1, std::memory_order_acq_rel);
  }

 private:
  const Fingerprinter& fingerprinter_;
  Pages memory_;  ///< takes none until something changes
  std::atomic<std::uint32_t>* const counts_;
};

}  // namespace tokenstore::validate
