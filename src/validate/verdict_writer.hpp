/// The one writer of Verdicts.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "tokenstore/verdict.hpp"

namespace tokenstore {

class VerdictWriter {
 public:
  explicit VerdictWriter(Verdict& verdict) noexcept : verdict_(verdict) {}

  /// A refusal that says nothing of who and what.
  void refuse(Outcome outcome, Reason reason) noexcept;
  /// The answer about a genuine token: valid, or insufficient_scope.
  void identify(Reason reason, std::string_view id, std::string_view owner, std::string_view scopes,
                std::string_view metadata, UnixMillis expires_at) noexcept;
  /// The same of what the library has kept in words, which holds its limits; without metadata. `owner_word(i)` and
  /// `scope_word(i)` give the words of the texts, which are written whole, beyond their ends too. One by one: gathered
  /// in an array, they could be copied on only once the processor's store buffer has let go of them.
  template <std::size_t words, typename OwnerWord, typename ScopeWord>
  void identify(Reason reason, std::string_view id, const OwnerWord& owner_word, std::size_t owner_size,
                const ScopeWord& scope_word, std::size_t scopes_size, UnixMillis expires_at) noexcept;
  /// Of an answer that said nothing of the demand yet.
  void lack_scope() noexcept {
    verdict_.outcome_ = Outcome::invalid;
    verdict_.reason_ = Reason::insufficient_scope;
  }

 private:
  void begin(Reason reason, std::size_t owner_size, std::size_t scopes_size, std::size_t metadata_size,
             UnixMillis expires_at) noexcept;

  /// Most parts are short, and a call of the library for each would be half of the work.
  static char* append(char* to, std::string_view part) noexcept {
    const std::size_t size = part.size();
    if (size > 32) return std::copy_n(part.data(), size, to);
    if (size >= 16) {
      copy_ends<16>(to, part);
    } else if (size >= 8) {
      copy_ends<8>(to, part);
    } else {
      for (std::size_t at = 0; at < size; ++at) to[at] = part[at];
    }
    return to + size;
  }
  /// The first and the last `width` octets, which may overlap. Precondition: width to 2 * width octets.
  template <std::size_t width>
  static void copy_ends(char* to, std::string_view part) noexcept {
    std::array<char, width> begin, end;
    std::memcpy(begin.data(), part.data(), width);
    std::memcpy(end.data(), part.data() + part.size() - width, width);
    std::memcpy(to, begin.data(), width);
    std::memcpy(to + part.size() - width, end.data(), width);
  }

  Verdict& verdict_;
};

// Defined here because they are the last step of every validation.

inline void VerdictWriter::refuse(Outcome outcome, Reason reason) noexcept {
  verdict_.outcome_ = outcome;
  verdict_.reason_ = reason;
  verdict_.id_size_ = 0;
  verdict_.owner_size_ = 0;
  verdict_.scopes_size_ = 0;
  verdict_.metadata_size_ = 0;
  verdict_.expires_at_ = 0;
}

inline void VerdictWriter::begin(Reason reason, std::size_t owner_size, std::size_t scopes_size,
                                 std::size_t metadata_size, UnixMillis expires_at) noexcept {
  verdict_.outcome_ = reason == Reason::none ? Outcome::valid : Outcome::invalid;
  verdict_.reason_ = reason;
  verdict_.id_size_ = token_id_size;
  verdict_.owner_size_ = static_cast<std::uint16_t>(owner_size);
  verdict_.scopes_size_ = static_cast<std::uint16_t>(scopes_size);
  verdict_.metadata_size_ = static_cast<std::uint16_t>(metadata_size);
  verdict_.expires_at_ = expires_at;
}

inline void VerdictWriter::identify(Reason reason, std::string_view id, std::string_view owner, std::string_view scopes,
                                    std::string_view metadata, UnixMillis expires_at) noexcept {
  // What does not fit was not written by this library: a backend made it up.
  const bool fits = id.size() == token_id_size && owner.size() <= owner_max &&
                    scopes.size() <= scopes_max * (scope_max + 1) && metadata.size() <= metadata_max;
  if (!fits) return refuse(Outcome::invalid, Reason::tampered);
  begin(reason, owner.size(), scopes.size(), metadata.size(), expires_at);
  char* to = verdict_.text_.data();
  for (const std::string_view part : {id, owner, scopes, metadata}) to = append(to, part);
}

template <std::size_t words, typename OwnerWord, typename ScopeWord>
inline void VerdictWriter::identify(Reason reason, std::string_view id, const OwnerWord& owner_word,
                                    std::size_t owner_size, const ScopeWord& scope_word, std::size_t scopes_size,
                                    UnixMillis expires_at) noexcept {
  static_assert(words * sizeof(std::uint64_t) <= owner_max);
  begin(reason, owner_size, scopes_size, 0, expires_at);
  char* const to = verdict_.text_.data();
  std::memcpy(to, id.data(), token_id_size);
  const auto put = [](char* at, std::uint64_t word) { std::memcpy(at, &word, sizeof word); };
  [&]<std::size_t... at>(std::index_sequence<at...>) {
    (put(to + token_id_size + at * sizeof(std::uint64_t), owner_word(at)), ...);
  }
  (std::make_index_sequence<words>());
  // Most sets are short; a loop that ends elsewhere each time would be guessed wrongly.
  char* const scopes = to + token_id_size + owner_size;
  constexpr std::size_t mostly = 4;
  [&]<std::size_t... at>(std::index_sequence<at...>) {
    (put(scopes + at * sizeof(std::uint64_t), scope_word(at)), ...);
  }
  (std::make_index_sequence<mostly>());
  for (std::size_t at = mostly; at * sizeof(std::uint64_t) < scopes_size; ++at)
    put(scopes + at * sizeof(std::uint64_t), scope_word(at));
}

}  // namespace tokenstore
