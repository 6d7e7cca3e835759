/// The one writer of Verdicts.
#pragma once

#include <algorithm>
#include <string_view>

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

 private:
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

inline void VerdictWriter::identify(Reason reason, std::string_view id, std::string_view owner, std::string_view scopes,
                                    std::string_view metadata, UnixMillis expires_at) noexcept {
  // What does not fit was not written by this library: a backend made it up.
  const bool fits = id.size() == token_id_size && owner.size() <= owner_max &&
                    scopes.size() <= scopes_max * (scope_max + 1) && metadata.size() <= metadata_max;
  if (!fits) return refuse(Outcome::invalid, Reason::tampered);
  verdict_.outcome_ = reason == Reason::none ? Outcome::valid : Outcome::invalid;
  verdict_.reason_ = reason;
  verdict_.id_size_ = static_cast<std::uint16_t>(id.size());
  verdict_.owner_size_ = static_cast<std::uint16_t>(owner.size());
  verdict_.scopes_size_ = static_cast<std::uint16_t>(scopes.size());
  verdict_.metadata_size_ = static_cast<std::uint16_t>(metadata.size());
  verdict_.expires_at_ = expires_at;
  char* to = verdict_.text_.data();
  for (const std::string_view part : {id, owner, scopes, metadata}) to = std::copy_n(part.data(), part.size(), to);
}

}  // namespace tokenstore
