#include "backends/memory/tables.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tokenstore::memory {
namespace {

TokenQuery::State state_at(const TokenRecord& token, UnixMillis now) noexcept {
  if (token.revoked_at != std::numeric_limits<UnixMillis>::max()) return TokenQuery::State::revoked;
  if (token.expired_at != std::numeric_limits<UnixMillis>::max() || token.expires_at <= now) {
    return TokenQuery::State::expired;
  }
  if (token.not_before > now) return TokenQuery::State::pending;
  return TokenQuery::State::active;
}

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool contains(std::string_view text, std::string_view part) noexcept {
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char a, char b) { return lower(a) == lower(b); }) != text.end() ||
         part.empty();
}

bool matches(const TokenRecord& token, const TokenQuery& query) noexcept {
  if (query.state != TokenQuery::State::any && state_at(token, query.now) != query.state) return false;
  return query.text.empty() || contains(token.description, query.text);
}

const TokenRecord& token_of(const std::pair<const std::string, TokenRecord>& entry) noexcept {
  return entry.second;
}
const TokenRecord& token_of(const TokenRecord* entry) noexcept {
  return *entry;
}

void tally(TokenCounts& counts, const TokenRecord& token, UnixMillis now) noexcept {
  switch (state_at(token, now)) {
    case TokenQuery::State::revoked:
      ++counts.revoked;
      break;
    case TokenQuery::State::expired:
      ++counts.expired;
      break;
    case TokenQuery::State::pending:
      ++counts.pending;
      break;
    case TokenQuery::State::active:
    case TokenQuery::State::any:
      ++counts.active;
      break;
  }
}

}  // namespace

const TokenRecord* TokenTable::find(std::string_view id) const noexcept {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

template <typename Iterator>
TokenList TokenTable::walk(Iterator from, Iterator to, const TokenQuery& query) {
  TokenList list;
  if (query.limit == 0) return list;
  std::size_t looked_at = 0;
  while (to != from) {
    --to;
    const TokenRecord& token = token_of(*to);
    if (matches(token, query)) list.tokens.push_back(token);
    ++looked_at;
    if (list.tokens.size() >= query.limit || looked_at >= query.scan_limit) {
      if (to != from) list.next_before_id = token.id;
      break;
    }
  }
  return list;
}

TokenList TokenTable::list(const TokenQuery& query) const {
  if (query.owner.empty()) {
    const auto end = query.before_id.empty() ? by_id_.end() : by_id_.lower_bound(query.before_id);
    return walk(by_id_.begin(), end, query);
  }
  const auto begin = by_owner_.lower_bound(OwnerIdBound{query.owner, {}});
  if (!query.before_id.empty()) {
    return walk(begin, by_owner_.lower_bound(OwnerIdBound{query.owner, query.before_id}), query);
  }
  // No octet string lies between a name and the same name with a NUL behind it.
  const std::string next_owner = query.owner + '\0';
  return walk(begin, by_owner_.lower_bound(OwnerIdBound{next_owner, {}}), query);
}

TokenCounts TokenTable::count(std::string_view owner, UnixMillis now) const noexcept {
  TokenCounts counts;
  if (owner.empty()) {
    for (const auto& [id, token] : by_id_) tally(counts, token, now);
    return counts;
  }
  for (auto at = by_owner_.lower_bound(OwnerIdBound{owner, {}}); at != by_owner_.end() && (*at)->owner == owner; ++at) {
    tally(counts, **at, now);
  }
  return counts;
}

std::uint64_t TokenTable::count_live(std::string_view owner, UnixMillis now, std::uint64_t at_most) const noexcept {
  std::uint64_t live = 0;
  auto at = by_owner_and_end_.upper_bound(OwnerEndBound{owner, now});
  for (; live < at_most && at != by_owner_and_end_.end() && (*at)->owner == owner; ++at) ++live;
  return live;
}

std::vector<EndedToken> TokenTable::list_ended(UnixMillis ended_before, std::size_t limit) const {
  std::vector<EndedToken> ended;
  for (const TokenRecord* token : by_end_) {
    if (ended.size() >= limit || token->ends_at() >= ended_before) break;
    ended.push_back({token->id, token->revision});
  }
  return ended;
}

void TokenTable::add(const TokenRecord& token) {
  const TokenRecord* stored = &by_id_.emplace(token.id, token).first->second;
  by_owner_.insert(stored);
  by_owner_and_end_.insert(stored);
  by_end_.insert(stored);
}

void TokenTable::absorb(TokenTable& others) noexcept {
  for (const auto& [id, token] : others.by_id_) remove(id);
  by_id_.merge(others.by_id_);
  by_owner_.merge(others.by_owner_);
  by_owner_and_end_.merge(others.by_owner_and_end_);
  by_end_.merge(others.by_end_);
}

void TokenTable::remove(std::string_view id) noexcept {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  by_owner_.erase(&found->second);
  by_owner_and_end_.erase(&found->second);
  by_end_.erase(&found->second);
  by_id_.erase(found);
}

void TokenTable::note_use(const Use& use) {
  const auto found = by_id_.find(use.id);
  if (found == by_id_.end() || use.used_at < found->second.last_used_at) return;
  found->second.last_used_from = use.used_from;
  found->second.last_used_at = use.used_at;
}

}  // namespace tokenstore::memory
