// Lists of tokens, and what a list shows of one.
#include <memory>
#include <string>

#include "guard.hpp"
#include "structs.hpp"
#include "tokenstore.h"
#include "tokenstore/store.hpp"
#include "values.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

tokenstore_token::tokenstore_token(tokenstore::TokenInfo token) {
  set(std::move(token));
}

void tokenstore_token::set(tokenstore::TokenInfo token) {
  info = std::move(token);
  scopes.clear();
  for (const std::string& scope : info.scopes) {
    if (!scopes.empty()) scopes += ' ';
    scopes += scope;
  }
}

void tokenstore_token::describe(tokenstore_token_info* out_info) const {
  tokenstore_token_info out{};
  out.id = returned_text(info.id, &out.id_size);
  out.owner = returned_text(info.owner, &out.owner_size);
  out.description = returned_text(info.description, &out.description_size);
  out.scopes = returned_text(scopes, &out.scopes_size);
  out.metadata = returned_text(info.metadata, &out.metadata_size);
  out.created_by = returned_text(info.created_by, &out.created_by_size);
  out.revoked_by = returned_text(info.revoked_by, &out.revoked_by_size);
  out.revoke_reason = returned_text(info.revoke_reason, &out.revoke_reason_size);
  out.last_used_from = returned_text(info.last_used_from, &out.last_used_from_size);
  out.created_at = info.created_at;
  out.not_before = info.not_before;
  out.expires_at = end_time(info.expires_at);
  out.revoked_at = zero_if_absent(info.revoked_at);
  out.last_used_at = zero_if_absent(info.last_used_at);
  out.state = static_cast<std::int32_t>(info.state);
  TOKENSTORE_WRITE(tokenstore_token_info, TOKEN_INFO, out_info, "the token info", out);
}

namespace {

std::optional<TokenState> state_of(std::int32_t state) {
  switch (state) {
    case 0:
      return std::nullopt;
    case TOKENSTORE_STATE_ACTIVE:
      return TokenState::active;
    case TOKENSTORE_STATE_PENDING:
      return TokenState::pending;
    case TOKENSTORE_STATE_EXPIRED:
      return TokenState::expired;
    case TOKENSTORE_STATE_REVOKED:
      return TokenState::revoked;
    default:
      refuse("the state of the query is not known: set it to 0 or one of TOKENSTORE_STATE_...");
  }
}

ListQuery query_of(const tokenstore_list_query* given) {
  ListQuery query;
  if (given == nullptr) return query;
  const auto known = TOKENSTORE_READ(tokenstore_list_query, LIST_QUERY, given, "the query");
  need_zero(known.reserved, "the query");
  query.owner = text(known.owner, known.owner_size, "the owner");
  query.text = text(known.text, known.text_size, "the text");
  query.cursor = text(known.cursor, known.cursor_size, "the cursor");
  query.state = state_of(known.state);
  if (known.limit != 0) query.limit = known.limit;
  return query;
}

}  // namespace

int32_t tokenstore_list(tokenstore_store* store, const tokenstore_actor* actor, const tokenstore_list_query* query,
                        tokenstore_page** out_page, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_page);
    TokenStore& opened = opened_store(store);
    TokenPage found = take(opened.list(capi::actor(actor), query_of(query)));
    auto page = std::make_unique<tokenstore_page>();
    page->tokens.reserve(found.tokens.size());
    for (TokenInfo& token : found.tokens) page->tokens.emplace_back(std::move(token));
    page->next = std::move(found.next);
    out = page.release();
  });
}

size_t tokenstore_page_count(const tokenstore_page* page) {
  return guard_value(std::size_t{0}, [&] { return page == nullptr ? 0 : page->tokens.size(); });
}

int32_t tokenstore_page_token(const tokenstore_page* page, size_t index, tokenstore_token_info* out_info,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const auto& tokens = need(page, "the page").tokens;
    if (index >= tokens.size()) fail(Status::not_found, "the page has no token at this index");
    tokens[index].describe(out_info);
  });
}

const char* tokenstore_page_next(const tokenstore_page* page, size_t* out_size) {
  return guard_value(no_text(out_size),
                     [&] { return page == nullptr ? no_text(out_size) : returned_text(page->next, out_size); });
}

void tokenstore_page_free(tokenstore_page* page) {
  guard_free(page);
}

int32_t tokenstore_count(tokenstore_store* store, const tokenstore_actor* actor, const char* owner, size_t owner_size,
                         tokenstore_counts* out_counts, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    TokenStore& opened = opened_store(store);
    need(out_counts, "the pointer for the answer");
    const StateCounts counts = take(opened.count(capi::actor(actor), text(owner, owner_size, "the owner")));
    const tokenstore_counts out{0, counts.active, counts.pending, counts.expired, counts.revoked};
    TOKENSTORE_WRITE(tokenstore_counts, COUNTS, out_counts, "the counts", out);
  });
}
