/// The tokens of a workspace from the highest id down, read a page at a time. One thread; borrows everything.
#pragma once

#include <string>

#include "tokenstore/backend.hpp"

namespace tokenstore::transfer {

class TokenWalk {
 public:
  TokenWalk(Backend& from, const std::string& workspace) : backend_(from), workspace_(workspace) {
    query_.limit = page_size;
  }

  /// Null: no more. Valid until the next step.
  Result<const TokenRecord*> current() {
    while (at_ == page_.tokens.size()) {
      if (started_ && page_.next_before_id.empty()) return static_cast<const TokenRecord*>(nullptr);
      query_.before_id = page_.next_before_id;
      auto next = backend_.list_tokens(workspace_, query_);
      if (!next.ok()) return next.error();
      page_ = std::move(*next);
      started_ = true;
      at_ = 0;
    }
    return static_cast<const TokenRecord*>(&page_.tokens[at_]);
  }
  void step() noexcept { ++at_; }

 private:
  static constexpr std::size_t page_size = 500;

  Backend& backend_;
  const std::string& workspace_;
  TokenQuery query_{};
  TokenList page_{};
  std::size_t at_ = 0;
  bool started_ = false;
};

}  // namespace tokenstore::transfer
