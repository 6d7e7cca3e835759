// Issuing, and what is done to one token or to all of an owner's.
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "guard.hpp"
#include "structs.hpp"
#include "tokenstore.h"
#include "tokenstore/store.hpp"
#include "values.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

namespace {

/// Split at single spaces; where there are two, a scope between them is empty, and refused by the store.
std::vector<std::string> scopes_of(std::string_view scopes) {
  std::vector<std::string> result;
  if (scopes.empty()) return result;
  for (;;) {
    const std::size_t space = scopes.find(' ');
    result.emplace_back(scopes.substr(0, space));
    if (space == std::string_view::npos) return result;
    scopes.remove_prefix(space + 1);
  }
}

Lifetime lifetime_of(std::int64_t milliseconds) {
  return milliseconds == TOKENSTORE_NEVER ? Lifetime::never() : Lifetime::millis(milliseconds);
}

IssueRequest request_of(const tokenstore_issue_request* given) {
  const auto known = TOKENSTORE_READ(tokenstore_issue_request, ISSUE_REQUEST, given, "the request");
  IssueRequest request;
  request.owner = text(known.owner, known.owner_size, "the owner");
  request.description = text(known.description, known.description_size, "the description");
  request.scopes = scopes_of(text(known.scopes, known.scopes_size, "the scopes"));
  request.metadata = text(known.metadata, known.metadata_size, "the metadata");
  request.lifetime = lifetime_of(known.lifetime_ms);
  if (known.not_before != 0) request.not_before = known.not_before;
  return request;
}

/// An array of structs is laid out by the caller's sizeof, which is the first one's struct_size.
std::vector<IssueRequest> requests_of(const tokenstore_issue_request* given, std::size_t count) {
  std::vector<IssueRequest> requests;
  if (count == 0) return requests;
  const std::size_t stride =
      struct_size_of(given, TOKENSTORE_ISSUE_REQUEST_SIZE_1_0, sizeof(tokenstore_issue_request), "the request");
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (std::size_t i = 0; i != count; ++i, bytes += stride) {
    const auto* request = reinterpret_cast<const tokenstore_issue_request*>(bytes);
    if (request->struct_size != stride) refuse("the requests differ in struct_size");
    requests.push_back(request_of(request));
  }
  return requests;
}

/// Every token text of a store has the same size, and it is known before the token is.
std::size_t token_text_size(const TokenStore& store) {
  return token_text_max - prefix_max + store.prefix().size();
}

void write_token(const Issued& issued, char* buffer) noexcept {
  const std::string_view text = issued.text.reveal();
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
}

/// For a token that the caller may not want: made ready before the change, so that nothing can fail after it.
class OptionalToken {
 public:
  explicit OptionalToken(tokenstore_token** out) : out_(out) {
    if (out_ == nullptr) return;
    *out_ = nullptr;
    token_ = std::make_unique<tokenstore_token>();
    token_->reserve();
  }
  void give(TokenInfo info) {
    if (out_ == nullptr) return;
    token_->set(std::move(info));
    *out_ = token_.release();
  }

 private:
  tokenstore_token** out_;
  std::unique_ptr<tokenstore_token> token_;
};

}  // namespace

int32_t tokenstore_issue(tokenstore_store* store, const tokenstore_actor* actor,
                         const tokenstore_issue_request* request, char* text_buffer, size_t text_buffer_size,
                         size_t* out_text_size, tokenstore_token** out_token, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    OptionalToken token(out_token);
    TokenStore& opened = opened_store(store);
    const IssueRequest wanted = request_of(request);
    const Actor asking = capi::actor(actor);
    need_room(token_text_size(opened), text_buffer, text_buffer_size, out_text_size);
    Issued issued = take(opened.issue(asking, wanted));
    write_token(issued, text_buffer);
    *out_text_size = issued.text.size();
    token.give(std::move(issued.info));
  });
}

int32_t tokenstore_issue_many(tokenstore_store* store, const tokenstore_actor* actor,
                              const tokenstore_issue_request* requests, size_t count, char* text_buffers,
                              size_t text_buffer_size, size_t* out_text_size, tokenstore_page** out_page,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] {
    if (out_page != nullptr) *out_page = nullptr;
    TokenStore& opened = opened_store(store);
    const std::size_t text_size = token_text_size(opened);
    need_room(text_size, text_buffers, text_buffer_size, out_text_size);
    const Actor asking = capi::actor(actor);
    const std::vector<IssueRequest> wanted = requests_of(requests, count);
    auto page = std::make_unique<tokenstore_page>();
    if (out_page != nullptr) {
      page->tokens.resize(count);
      for (tokenstore_token& token : page->tokens) token.reserve();
    }
    std::vector<Issued> issued = take(opened.issue_many(asking, wanted));
    for (std::size_t i = 0; i != issued.size(); ++i) {
      write_token(issued[i], text_buffers + i * text_buffer_size);
      if (out_page != nullptr) page->tokens[i].set(std::move(issued[i].info));
    }
    *out_text_size = text_size;
    if (out_page != nullptr) *out_page = page.release();
  });
}

int32_t tokenstore_get(tokenstore_store* store, const tokenstore_actor* actor, const char* id, size_t id_size,
                       tokenstore_token** out_token, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_token);
    TokenStore& opened = opened_store(store);
    TokenInfo info = take(opened.get(capi::actor(actor), text(id, id_size, "the id")));
    out = std::make_unique<tokenstore_token>(std::move(info)).release();
  });
}

int32_t tokenstore_token_read(const tokenstore_token* token, tokenstore_token_info* out_info,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] { need(token, "the token").describe(out_info); });
}

void tokenstore_token_free(tokenstore_token* token) {
  guard_free(token);
}

int32_t tokenstore_expire(tokenstore_store* store, const tokenstore_actor* actor, const char* id, size_t id_size,
                          int64_t at, tokenstore_token** out_token, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    OptionalToken token(out_token);
    TokenStore& opened = opened_store(store);
    std::optional<UnixMillis> end;
    if (at != 0) end = at;
    token.give(take(opened.expire(capi::actor(actor), text(id, id_size, "the id"), end)));
  });
}

int32_t tokenstore_revoke(tokenstore_store* store, const tokenstore_actor* actor, const char* id, size_t id_size,
                          const char* reason, size_t reason_size, tokenstore_token** out_token,
                          tokenstore_error** out_error) {
  return guard(out_error, [&] {
    OptionalToken token(out_token);
    TokenStore& opened = opened_store(store);
    token.give(
        take(opened.revoke(capi::actor(actor), text(id, id_size, "the id"), text(reason, reason_size, "the reason"))));
  });
}

int32_t tokenstore_revoke_all(tokenstore_store* store, const tokenstore_actor* actor, const char* owner,
                              size_t owner_size, const char* reason, size_t reason_size, uint64_t* out_revoked,
                              tokenstore_error** out_error) {
  return guard(out_error, [&] {
    if (out_revoked != nullptr) *out_revoked = 0;
    TokenStore& opened = opened_store(store);
    const std::uint64_t revoked = take(opened.revoke_all(capi::actor(actor), text(owner, owner_size, "the owner"),
                                                         text(reason, reason_size, "the reason")));
    if (out_revoked != nullptr) *out_revoked = revoked;
  });
}

int32_t tokenstore_delete(tokenstore_store* store, const tokenstore_actor* actor, const char* id, size_t id_size,
                          tokenstore_error** out_error) {
  return guard(out_error, [&] {
    TokenStore& opened = opened_store(store);
    take(opened.remove(capi::actor(actor), text(id, id_size, "the id")));
  });
}
