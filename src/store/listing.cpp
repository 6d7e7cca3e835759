/// Looking at tokens: get, list, count.
#include <fmt/format.h>

#include "store/cursor.hpp"
#include "store/rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore {

namespace {

Result<TokenQuery::State> state_filter(std::optional<TokenState> state) {
  if (!state) return TokenQuery::State::any;
  switch (*state) {
    case TokenState::active:
      return TokenQuery::State::active;
    case TokenState::pending:
      return TokenQuery::State::pending;
    case TokenState::expired:
      return TokenQuery::State::expired;
    case TokenState::revoked:
      return TokenQuery::State::revoked;
    case TokenState::tampered:
      break;
  }
  return Error(Status::invalid_argument, "tokens can be listed by the states active, pending, expired and revoked");
}

/// What is in storage, brought up to date with uses that this process has not written yet.
TokenInfo with_latest_use(TokenInfo info, validate::Validator& validator) {
  const auto use = validator.pending_use(info.id);
  if (!use || (info.last_used_at && *info.last_used_at > use->used_at)) return info;
  info.last_used_at = use->used_at;
  info.last_used_from = use->used_from;
  return info;
}

}  // namespace

Result<TokenInfo> TokenStore::get(const Actor& actor, std::string_view id) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  auto record = impl_->load_visible_token(actor, id);
  if (!record.ok()) return record.error();
  return with_latest_use(rules::describe(*record, impl_->clock.now()), impl_->validator);
}

Result<TokenPage> TokenStore::list(const Actor& actor, const ListQuery& query) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (query.limit < 1 || query.limit > page_max) {
    return Error(Status::invalid_argument, fmt::format("a page holds 1 to {} tokens", page_max));
  }
  auto before = Cursor::key_of(Walk::tokens, query.cursor, text::is_id);
  if (!before.ok()) return before.error();
  auto state = state_filter(query.state);
  if (!state.ok()) return state.error();

  TokenQuery part;
  part.owner = query.owner;
  if (actor.kind() == Actor::Kind::user) {
    // Somebody else's tokens look like nobody's.
    if (!query.owner.empty() && query.owner != actor.name()) return TokenPage{};
    part.owner = actor.name();
  }
  part.state = *state;
  part.now = impl_->clock.now();
  part.text = query.text;
  part.before_id = std::move(*before);
  part.limit = query.limit;
  auto list = impl_->list_part(part);
  if (!list.ok()) return list.error();

  TokenPage page;
  for (const TokenRecord& record : list->tokens) {
    // Nobody could act on it by its id; check() names it.
    if (!text::is_id(record.id)) continue;
    if (!impl_->sealer->is_genuine(impl_->place, record)) {
      page.tokens.push_back(rules::describe_tampered(record));
      continue;
    }
    // A genuine record that was not asked for: the backend is wrong, and the filter is a promise.
    if (!part.owner.empty() && record.owner != part.owner) continue;
    TokenInfo info = rules::describe(record, part.now);
    if (query.state && info.state != *query.state) continue;
    page.tokens.push_back(with_latest_use(std::move(info), impl_->validator));
  }
  if (!list->next_before_id.empty()) {
    page.next = Cursor::behind(Walk::tokens, list->next_before_id, text::is_id(list->next_before_id));
  }
  return page;
}

Result<StateCounts> TokenStore::count(const Actor& actor, std::string_view owner) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (actor.kind() == Actor::Kind::user) {
    if (!owner.empty() && owner != actor.name()) return StateCounts{};
    owner = actor.name();
  }
  auto counted = impl_->backend->count_tokens(impl_->workspace, owner, impl_->clock.now());
  if (!counted.ok()) return counted.error();
  return StateCounts{counted->active, counted->pending, counted->expired, counted->revoked};
}

}  // namespace tokenstore
