#include "tokenstore/verdict.hpp"

#include <algorithm>

namespace tokenstore {

Verdict& Verdict::operator=(const Verdict& other) noexcept {
  if (this == &other) return *this;
  outcome_ = other.outcome_;
  reason_ = other.reason_;
  id_size_ = other.id_size_;
  owner_size_ = other.owner_size_;
  scopes_size_ = other.scopes_size_;
  metadata_size_ = other.metadata_size_;
  expires_at_ = other.expires_at_;
  if (id_size_ != 0) {
    const std::size_t used = token_id_size + std::size_t{owner_size_} + scopes_size_ + metadata_size_;
    std::copy_n(other.text_.data(), used, text_.data());
  }
  return *this;
}

int Verdict::http_status() const noexcept {
  if (outcome_ == Outcome::valid) return 200;
  if (outcome_ == Outcome::unavailable) return 503;
  return reason_ == Reason::insufficient_scope ? 403 : 401;
}

}  // namespace tokenstore
