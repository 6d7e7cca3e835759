// The hot path: one call, no allocation, no more bytes written than the answer has.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>

#include "guard.hpp"
#include "structs.hpp"
#include "tokenstore.h"
#include "tokenstore/verdict.hpp"
#include "values.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

static_assert(sizeof(tokenstore_verdict::id) > token_id_size);
static_assert(sizeof(tokenstore_verdict::owner) > owner_max);
static_assert(sizeof(tokenstore_verdict::scopes) > TOKENSTORE_SCOPES_TEXT_MAX);
static_assert(TOKENSTORE_SCOPES_TEXT_MAX == scopes_max * (scope_max + 1) - 1);
static_assert(sizeof(tokenstore_verdict::metadata) > metadata_max);

namespace {

constexpr std::string_view name = "the verdict";

void put(char* place, std::size_t& size, std::string_view text) noexcept {
  std::memcpy(place, text.data(), text.size());
  place[text.size()] = '\0';
  size = text.size();
}

/// What the caller reads unless everything went well.
void deny(tokenstore_verdict& verdict) noexcept {
  verdict.outcome = TOKENSTORE_OUTCOME_UNAVAILABLE;
  verdict.reason = TOKENSTORE_REASON_STORAGE;
  verdict.http_status = 503;
  verdict.reserved = 0;
  verdict.expires_at = 0;
  verdict.id_size = verdict.owner_size = verdict.scopes_size = verdict.metadata_size = 0;
  verdict.id[0] = verdict.owner[0] = verdict.scopes[0] = verdict.metadata[0] = '\0';
}

void write(tokenstore_verdict& out, const Verdict& verdict) noexcept {
  put(out.id, out.id_size, verdict.id());
  put(out.owner, out.owner_size, verdict.owner());
  put(out.scopes, out.scopes_size, verdict.scopes());
  put(out.metadata, out.metadata_size, verdict.metadata());
  out.expires_at = end_time(verdict.expires_at());
  out.http_status = verdict.http_status();
  out.reason = static_cast<std::int32_t>(verdict.reason());
  out.outcome = static_cast<std::int32_t>(verdict.outcome());
}

/// `ask(store, text, demand, verdict)` decides, or leaves the verdict as it was made.
template <typename Ask>
int32_t decide(tokenstore_store* store, const char* text, size_t text_size, const tokenstore_demand* demand,
               tokenstore_verdict* out_verdict, tokenstore_error** out_error, const Ask& ask) {
  // A verdict of the caller's may hold the answer to another question: it is overwritten first.
  const bool writable = out_verdict != nullptr && out_verdict->struct_size >= TOKENSTORE_VERDICT_SIZE_1_0 &&
                        out_verdict->struct_size <= sizeof(tokenstore_verdict) + longest_tail;
  if (writable) deny(*out_verdict);
  return guard(out_error, [&] {
    const std::size_t size = struct_size_of(out_verdict, TOKENSTORE_VERDICT_SIZE_1_0, sizeof(tokenstore_verdict), name);
    const auto known = TOKENSTORE_READ(tokenstore_demand, DEMAND, demand, "the demand");
    const auto scope = capi::text(known.scope, known.scope_size, "the scope of the demand");
    const auto address = capi::text(known.client_address, known.client_address_size, "the client address");
    const auto token = capi::text(text, text_size, "the token text");
    Verdict verdict;
    ask(opened_store(store), token, Demand(scope, address), verdict);
    write(*out_verdict, verdict);
    if (size > sizeof(tokenstore_verdict)) {
      std::memset(reinterpret_cast<unsigned char*>(out_verdict) + sizeof(tokenstore_verdict), 0,
                  size - sizeof(tokenstore_verdict));
    }
  });
}

}  // namespace

int32_t tokenstore_validate(tokenstore_store* store, const char* text, size_t text_size,
                            const tokenstore_demand* demand, tokenstore_verdict* out_verdict,
                            tokenstore_error** out_error) {
  return decide(store, text, text_size, demand, out_verdict, out_error,
                [](TokenStore& opened, std::string_view token, const Demand& wanted, Verdict& verdict) {
                  opened.validate(token, wanted, verdict);
                });
}

int32_t tokenstore_try_validate(tokenstore_store* store, const char* text, size_t text_size,
                                const tokenstore_demand* demand, tokenstore_verdict* out_verdict, int32_t* out_decided,
                                tokenstore_error** out_error) {
  if (out_decided != nullptr) *out_decided = 0;
  return decide(store, text, text_size, demand, out_verdict, out_error,
                [out_decided](TokenStore& opened, std::string_view token, const Demand& wanted, Verdict& verdict) {
                  std::int32_t& decided = need(out_decided, "the pointer for the answer");
                  decided = opened.try_validate(token, wanted, verdict) ? 1 : 0;
                });
}

int32_t tokenstore_why_unavailable(tokenstore_store* store, tokenstore_error** out_why, int64_t* out_at,
                                   tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_why);
    if (out_at != nullptr) *out_at = 0;
    const std::optional<Unavailability> why = opened_store(store).why_unavailable();
    if (!why) return;
    out = new tokenstore_error{why->error.message()};
    if (out_at != nullptr) *out_at = why->at;
  });
}
