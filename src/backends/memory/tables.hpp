/// The records of one workspace in memory, with the orders in which they are asked for.
///
/// Not synchronised: MemoryBackend locks around it. A change is made in two steps: Draft prepares it
/// (and may run out of memory, leaving nothing behind), publish() puts it in place and cannot fail.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "tokenstore/backend.hpp"

namespace tokenstore::memory {

/// Where a walk over an owner's tokens, or over ended tokens, begins.
struct OwnerIdBound {
  std::string_view owner;
  std::string_view id;
};
struct OwnerEndBound {
  std::string_view owner;
  UnixMillis ends_at;
};

/// By owner, then id.
struct ByOwner {
  using is_transparent = void;
  static std::tuple<std::string_view, std::string_view> key(const TokenRecord* token) noexcept {
    return {token->owner, token->id};
  }
  static std::tuple<std::string_view, std::string_view> key(const OwnerIdBound& bound) noexcept {
    return {bound.owner, bound.id};
  }
  template <typename Left, typename Right>
  bool operator()(const Left& left, const Right& right) const noexcept {
    return key(left) < key(right);
  }
};

/// By owner, then end, then id.
struct ByOwnerAndEnd {
  using is_transparent = void;
  bool operator()(const TokenRecord* left, const TokenRecord* right) const noexcept {
    return std::tuple<std::string_view, UnixMillis, std::string_view>(left->owner, left->ends_at(), left->id) <
           std::tuple<std::string_view, UnixMillis, std::string_view>(right->owner, right->ends_at(), right->id);
  }
  bool operator()(const TokenRecord* left, const OwnerEndBound& right) const noexcept {
    return std::tuple<std::string_view, UnixMillis>(left->owner, left->ends_at()) <
           std::tuple<std::string_view, UnixMillis>(right.owner, right.ends_at);
  }
  bool operator()(const OwnerEndBound& left, const TokenRecord* right) const noexcept {
    return std::tuple<std::string_view, UnixMillis>(left.owner, left.ends_at) <
           std::tuple<std::string_view, UnixMillis>(right->owner, right->ends_at());
  }
};

/// By end, then id.
struct ByEnd {
  bool operator()(const TokenRecord* left, const TokenRecord* right) const noexcept {
    return std::tuple<UnixMillis, std::string_view>(left->ends_at(), left->id) <
           std::tuple<UnixMillis, std::string_view>(right->ends_at(), right->id);
  }
};

/// Tokens by id, and pointers into them in three more orders.
class TokenTable {
 public:
  const TokenRecord* find(std::string_view id) const noexcept;
  TokenList list(const TokenQuery& query) const;
  TokenCounts count(std::string_view owner, UnixMillis now) const noexcept;
  std::uint64_t count_live(std::string_view owner, UnixMillis now, std::uint64_t at_most) const noexcept;
  std::vector<EndedToken> list_ended(UnixMillis ended_before, std::size_t limit) const;

  /// Adds a copy. Precondition: its id is not there.
  void add(const TokenRecord& token);
  /// Moves everything in `others` here, over tokens of the same id. Cannot fail.
  void absorb(TokenTable& others) noexcept;
  void remove(std::string_view id) noexcept;
  void note_use(const Use& use);

 private:
  template <typename Iterator>
  static TokenList walk(Iterator from, Iterator to, const TokenQuery& query);

  std::map<std::string, TokenRecord, std::less<>> by_id_;
  std::set<const TokenRecord*, ByOwner> by_owner_;
  std::set<const TokenRecord*, ByOwnerAndEnd> by_owner_and_end_;
  std::set<const TokenRecord*, ByEnd> by_end_;
};

struct Tables {
  TokenTable tokens;
  std::map<std::string, OwnerRecord, std::less<>> owners;
  std::optional<WorkspaceRecord> settings;
};

}  // namespace tokenstore::memory
