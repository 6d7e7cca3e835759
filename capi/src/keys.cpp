// The keys of an open store: changing them, and what hangs on each.
#include <memory>

#include "guard.hpp"
#include "structs.hpp"
#include "tokenstore.h"
#include "tokenstore/store.hpp"
#include "values.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

int32_t tokenstore_key_add(tokenstore_store* store, const tokenstore_actor* actor, char* buffer, size_t buffer_size,
                           size_t* out_size, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    TokenStore& opened = opened_store(store);
    constexpr std::size_t id_size = 2;
    need_room(id_size, buffer, buffer_size, out_size);
    write_text(take(opened.add_key(capi::actor(actor))), buffer, buffer_size, out_size);
  });
}

int32_t tokenstore_key_activate(tokenstore_store* store, const tokenstore_actor* actor, const char* id, size_t id_size,
                                tokenstore_error** out_error) {
  return guard(out_error,
               [&] { take(opened_store(store).activate_key(capi::actor(actor), text(id, id_size, "the key id"))); });
}

int32_t tokenstore_key_retire(tokenstore_store* store, const tokenstore_actor* actor, const char* id, size_t id_size,
                              tokenstore_error** out_error) {
  return guard(out_error,
               [&] { take(opened_store(store).retire_key(capi::actor(actor), text(id, id_size, "the key id"))); });
}

int32_t tokenstore_key_remove(tokenstore_store* store, const tokenstore_actor* actor, const char* id, size_t id_size,
                              tokenstore_error** out_error) {
  return guard(out_error,
               [&] { take(opened_store(store).remove_key(capi::actor(actor), text(id, id_size, "the key id"))); });
}

int32_t tokenstore_keys_reload(tokenstore_store* store, int32_t* out_changed, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    if (out_changed != nullptr) *out_changed = 0;
    const bool changed = take(opened_store(store).reload_keys());
    if (out_changed != nullptr) *out_changed = flag(changed);
  });
}

int32_t tokenstore_key_status(tokenstore_store* store, const tokenstore_actor* actor, tokenstore_progress progress,
                              void* context, tokenstore_key_report** out_report, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_report);
    TokenStore& opened = opened_store(store);
    auto report = std::make_unique<tokenstore_key_report>();
    report->keys = take(opened.key_status(capi::actor(actor), progress_of(progress, context)));
    out = report.release();
  });
}

size_t tokenstore_key_report_count(const tokenstore_key_report* report) {
  return guard_value(std::size_t{0}, [&] { return report == nullptr ? 0 : report->keys.size(); });
}

int32_t tokenstore_key_report_key(const tokenstore_key_report* report, size_t index, tokenstore_key_state* out_state,
                                  tokenstore_error** out_error) {
  return guard(out_error, [&] {
    const std::vector<KeyStatus>& keys = need(report, "the report").keys;
    if (index >= keys.size()) fail(Status::not_found, "the report has no key at this index");
    const KeyStatus& key = keys[index];
    const std::int32_t use = key.use ? static_cast<std::int32_t>(*key.use) : 0;
    const tokenstore_key_state out{0, key.id.c_str(), key.id.size(), key.seals, key.living_tokens, use, 0};
    TOKENSTORE_WRITE(tokenstore_key_state, KEY_STATE, out_state, "the state", out);
  });
}

void tokenstore_key_report_free(tokenstore_key_report* report) {
  guard_free(report);
}
