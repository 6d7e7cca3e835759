/// The scope sets that many tokens share, kept once, and a bit for each of the scopes that are in them.
///
/// Whether a token has the demanded scope is then one test of a bit. It is not the search that costs: a
/// search whose course depends on the token's entry is guessed wrongly by the processor, which then throws
/// away all that it had begun while memory was waited for.
///
/// There are only so many places. A set that finds none is kept with its token instead. One that no entry uses any more
/// makes room; and if a set that finds none is asked for more often than another is used, that one retires:
/// its entries are given their own text (BankWriter), and then its place is free. Bits are never given to another
/// scope, because a reader may hold one; a scope that gets none is searched for.
///
/// at() and wanted() by any thread. What at() gives belongs to an entry as long as its slot has not changed. The others
/// under the table's mutex.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "validate/pages.hpp"

namespace tokenstore::validate {

class ScopeSets {
 public:
  /// No set: empty, so that a reader whose entry is just being replaced may look at it.
  static constexpr std::uint16_t none = 0;
  static constexpr std::size_t most_sets = 1024;
  static constexpr std::size_t place_words = 32;
  static constexpr std::size_t place_bytes = place_words * sizeof(std::uint64_t);
  static constexpr std::size_t most_bytes = most_sets * place_bytes;
  static constexpr std::size_t least_bytes = 16 * place_bytes;
  static constexpr std::size_t longest = place_bytes - 2 * sizeof(std::uint64_t);  ///< octets of a set's text
  static constexpr std::size_t most_bits = 64;

  /// A scope that is asked for.
  struct Wanted {
    std::string_view scope;
    std::uint64_t bit = 0;  ///< 0: it has none, or had none yet. Given before the first set with the scope was added.
  };
  /// A set as a reader sees it: its text, scopes separated by single spaces, in words.
  struct Set {
    const std::atomic<std::uint64_t>* at;
    std::uint64_t bits() const noexcept { return at[0].load(std::memory_order_acquire); }
    std::size_t size() const noexcept { return static_cast<std::size_t>(at[1].load(std::memory_order_acquire)); }
    std::uint64_t word(std::size_t number) const noexcept { return at[2 + number].load(std::memory_order_acquire); }
    std::string text() const;
  };

  explicit ScopeSets(std::size_t bytes = most_bytes);

  Set at(std::uint16_t index) const noexcept { return {places_.words() + index * place_words}; }
  Wanted wanted(std::string_view scope) const noexcept {
    for (std::size_t at = hash(scope);; ++at) {
      const Bit* known = bits_[at % bits_.size()].load(std::memory_order_acquire);
      if (known == nullptr) return {scope, 0};
      if (known->scope == scope) return {scope, known->bit};
    }
  }

  /// The place of a set. `none` if there is no room for it, or it is empty.
  std::uint16_t add(std::string_view scopes);
  /// An entry with the set has come, and has gone.
  void hold(std::uint16_t index) noexcept { ++uses_[index].entries; }
  void release(std::uint16_t index) noexcept;
  /// Is there a set whose entries have to get texts of their own?
  bool any_retiring() const noexcept { return retiring_ != 0; }
  bool retiring(std::uint16_t index) const noexcept { return uses_[index].retiring; }

  /// Memory that has been touched.
  std::size_t bytes() const noexcept { return begun_ * place_bytes; }
  /// What bytes() never exceeds.
  std::size_t limit() const noexcept { return places_.bytes(); }

 private:
  struct Bit {
    std::string scope;
    std::uint64_t bit;
  };
  struct Uses {
    const std::string* text = nullptr;  ///< in index_. Null: the place is free
    std::uint32_t entries = 0;
    bool retiring = false;
  };
  struct Waiting {
    std::size_t set = 0;  ///< hash of its text
    std::uint32_t asked = 0;
  };

  static std::size_t hash(std::string_view scope) noexcept {
    // Scopes are the host's, so an honest spread is enough.
    const std::size_t size = scope.size();
    if (size == 0) return 0;
    const auto octet = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(scope[at])); };
    return size + octet(0) * 3 + octet(size / 2) * 5 + octet(size - 1) * 7;
  }
  std::uint64_t bit_for(std::string_view scope);
  std::uint16_t free_place(std::string_view scopes);
  std::uint16_t least_used() const noexcept;
  void give_up(std::uint16_t index) noexcept;
  void write(std::uint16_t index, std::string_view scopes);

  Pages places_;
  std::size_t begun_ = 1;  ///< places that were ever used, with `none`
  std::map<std::string, std::uint16_t, std::less<>> index_;
  std::vector<Uses> uses_;
  std::size_t retiring_ = 0;
  std::array<Waiting, 64> waiting_{};                          ///< sets that found no room, by their hash
  std::array<std::atomic<const Bit*>, 2 * most_bits> bits_{};  ///< open addressing; half of it stays empty
  std::array<std::unique_ptr<const Bit>, most_bits> owned_bits_;
  std::size_t bit_count_ = 0;
};

}  // namespace tokenstore::validate
