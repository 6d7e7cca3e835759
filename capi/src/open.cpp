// Opening and closing a store, and what can be asked of it without an actor.
#include "tokenstore/open.hpp"

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>

#include "guard.hpp"
#include "open_options.hpp"
#include "structs.hpp"
#include "tokenstore.h"
#include "tokenstore/backends/memory.hpp"
#include "values.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

namespace {

SqliteOptions sqlite_options_of(const tokenstore_open_options& options) {
  SqliteOptions result;
  result.path = path(options.path, options.path_size, "the path");
  if (result.path.empty()) refuse("the path is empty: name the database file");
  result.vfs = path(options.vfs, options.vfs_size, "the VFS");
  result.read_only = flag(options.read_only, "read_only");
  result.create = !flag(options.must_exist, "must_exist") && !result.read_only;
  if (options.busy_timeout_ms < -1 || options.busy_timeout_ms > std::numeric_limits<std::int32_t>::max()) {
    refuse("busy_timeout_ms is out of range");
  }
  if (options.busy_timeout_ms == -1) result.busy_timeout = std::chrono::milliseconds(0);
  if (options.busy_timeout_ms > 0) result.busy_timeout = std::chrono::milliseconds(options.busy_timeout_ms);
  switch (options.durability) {
    case TOKENSTORE_DURABILITY_FULL:
      break;
    case TOKENSTORE_DURABILITY_SURVIVES_CRASH_BUT_NOT_POWER_CUT:
      result.durability = SqliteOptions::Durability::survives_crash_but_not_power_cut;
      break;
    default:
      refuse("the durability is not known: set it to one of TOKENSTORE_DURABILITY_...");
  }
  return result;
}

Opened open_of_sqlite(const tokenstore_open_options& options) {
  OpenSqlite request;
  request.sqlite = sqlite_options_of(options);
  request.store = store_options_of(options);
  request.keyring = keyring_of(options);
  request.key_file = key_file_of(options);
  request.key_file_trust = key_file_trust_of(options.key_file_trust);
  request.key_credential = key_credential_of(options);
  request.key_source = key_source_of(options);
  return take(open_sqlite(std::move(request)));
}

Opened open_of_memory(const tokenstore_open_options& options) {
  refuse_sqlite_options(options, "in memory");
  auto keyring = keyring_of(options);
  if (const auto source = any_key_source_of(options)) {
    return {take(TokenStore::open(memory_backend(), source, store_options_of(options))), {}};
  }
  if (!keyring) keyring = keyring_or_descriptor_of(options);
  return take(open_memory(store_options_of(options), std::move(keyring)));
}

Opened open_of(const tokenstore_open_options& options) {
  switch (options.backend) {
    case TOKENSTORE_BACKEND_SQLITE:
      return open_of_sqlite(options);
    case TOKENSTORE_BACKEND_MEMORY:
      return open_of_memory(options);
    default:
      refuse("the backend is not known: set it to one of TOKENSTORE_BACKEND_...");
  }
}

}  // namespace

int32_t tokenstore_open(const tokenstore_open_options* options, tokenstore_store** out_store,
                        tokenstore_error** out_error) {
  return guard(out_error, [&] {
    auto*& out = need_output(out_store);
    const auto known = TOKENSTORE_READ(tokenstore_open_options, OPEN_OPTIONS, options, "the options");
    auto handle = std::make_unique<tokenstore_store>();
    Opened opened = open_of(known);
    handle->store = std::move(opened.store);
    handle->created_key_file = std::move(opened.created_key_file);
    out = handle.release();
  });
}

void tokenstore_free(tokenstore_store* store) {
  guard_value(false, [store] {
    // Called by the backend that the store is calling: the store has to outlive the call.
    if (store == nullptr || is_calling_back(*store)) return false;
    store->store.reset();
    if (store->guest != nullptr) store->guest->close();
    delete store;
    return true;
  });
}

const char* tokenstore_created_key_file(const tokenstore_store* store, size_t* out_size) {
  return guard_value(no_text(out_size), [&] {
    return store == nullptr ? no_text(out_size) : returned_text(store->created_key_file, out_size);
  });
}

const char* tokenstore_workspace(const tokenstore_store* store, size_t* out_size) {
  return guard_value(no_text(out_size), [&] {
    const bool open = store != nullptr && store->store != nullptr;  // a backend may ask while it is being closed
    return open ? returned_text(store->store->workspace(), out_size) : no_text(out_size);
  });
}

const char* tokenstore_prefix(const tokenstore_store* store, size_t* out_size) {
  return guard_value(no_text(out_size), [&] {
    const bool open = store != nullptr && store->store != nullptr;  // a backend may ask while it is being closed
    return open ? returned_text(store->store->prefix(), out_size) : no_text(out_size);
  });
}

int32_t tokenstore_now(tokenstore_store* store, int64_t* out_now, tokenstore_error** out_error) {
  return guard(out_error, [&] { need(out_now, "the pointer for the answer") = opened_store(store).now(); });
}

int32_t tokenstore_scanner_pattern(tokenstore_store* store, char* buffer, size_t buffer_size, size_t* out_size,
                                   tokenstore_error** out_error) {
  return guard(out_error, [&] { write_text(opened_store(store).scanner_pattern(), buffer, buffer_size, out_size); });
}
