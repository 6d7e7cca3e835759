/// The scope sets that many tokens share, kept once, and a bit for each of the scopes that are in them.
///
/// Whether a token has the demanded scope is then one test of a bit. It is not the search that costs: a
/// search whose course depends on the token's entry is guessed wrongly by the processor, which then throws
/// away all that it had begun while memory was waited for.
///
/// Grows only: what it hands out lives as long as it does. Bounded; a set that finds no room is kept
/// with its token instead, and a scope that gets no bit is searched for. add() may be called by one thread
/// at a time, the others by any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/text_rules.hpp"

namespace tokenstore::validate {

class ScopeSets {
 public:
  /// No set: empty, so that a reader whose entry is just being replaced may look at it.
  static constexpr std::uint16_t none = 0;
  static constexpr std::size_t most_sets = 1024;
  static constexpr std::size_t most_octets = std::size_t{64} << 10;
  static constexpr std::size_t most_bits = 64;

  struct Set {
    std::string_view text;   ///< separated by single spaces
    std::uint64_t bits = 0;  ///< of every scope in it that has one
  };
  /// A scope that is asked for.
  struct Wanted {
    std::string_view scope;
    std::uint64_t bit = 0;  ///< 0: it has none, or had none yet
    /// Is it in a set? Its bit, if it has one, was given before the first set with the scope was added.
    bool in(const Set& set) const noexcept {
      return bit != 0 ? (set.bits & bit) != 0 : base::has_scope(set.text, scope);
    }
  };

  explicit ScopeSets(std::size_t octets = most_octets) noexcept : limit_(octets) { sets_[none].store(&no_set_); }

  /// `none` if there is no room.
  std::uint16_t add(std::string_view scopes);
  const Set& at(std::uint16_t index) const noexcept { return *sets_[index].load(std::memory_order_acquire); }
  Wanted wanted(std::string_view scope) const noexcept {
    for (std::size_t at = hash(scope);; ++at) {
      const Bit* known = bits_[at % bits_.size()].load(std::memory_order_acquire);
      if (known == nullptr) return {scope, 0};
      if (known->scope == scope) return {scope, known->bit};
    }
  }
  std::size_t bytes() const noexcept { return octets_.load(std::memory_order_relaxed); }
  /// What bytes() never exceeds.
  std::size_t limit() const noexcept { return limit_; }

 private:
  struct Bit {
    std::string scope;
    std::uint64_t bit;
  };

  static std::size_t hash(std::string_view scope) noexcept {
    // Scopes are the host's, so an honest spread is enough.
    const std::size_t size = scope.size();
    if (size == 0) return 0;
    const auto octet = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(scope[at])); };
    return size + octet(0) * 3 + octet(size / 2) * 5 + octet(size - 1) * 7;
  }
  std::uint64_t bit_for(std::string_view scope);

  const std::size_t limit_;
  const Set no_set_{};
  std::map<std::string, std::uint16_t, std::less<>> index_;  ///< its keys are the texts of the sets
  std::array<std::atomic<const Set*>, most_sets> sets_{};
  std::array<std::unique_ptr<const Set>, most_sets> owned_sets_;
  std::array<std::atomic<const Bit*>, 2 * most_bits> bits_{};  ///< open addressing; half of it stays empty
  std::array<std::unique_ptr<const Bit>, most_bits> owned_bits_;
  std::size_t bit_count_ = 0;
  std::atomic<std::size_t> octets_{0};
};

}  // namespace tokenstore::validate
