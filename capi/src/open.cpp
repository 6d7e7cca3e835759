// Opening and closing a store, and what can be asked of it without an actor.
#include "tokenstore/open.hpp"

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>

#include "guard.hpp"
#include "structs.hpp"
#include "tokenstore.h"
#include "values.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

namespace {

class CallbackClock final : public Clock {
 public:
  explicit CallbackClock(const tokenstore_clock& callbacks) : callbacks_(callbacks) {}
  UnixMillis wall() noexcept override { return callbacks_.wall(callbacks_.context); }
  std::int64_t monotonic() noexcept override { return callbacks_.monotonic(callbacks_.context); }

 private:
  tokenstore_clock callbacks_;
};

std::shared_ptr<Clock> clock_of(const tokenstore_clock* given) {
  if (given == nullptr) return nullptr;
  const auto known = TOKENSTORE_READ(tokenstore_clock, CLOCK, given, "the clock");
  if (known.wall == nullptr || known.monotonic == nullptr) refuse("a function of the clock is NULL");
  return std::make_shared<CallbackClock>(known);
}

std::span<const std::uint8_t> master_of(const Keyring::Key& key) {
  const std::string_view master = key.master.reveal();
  return {reinterpret_cast<const std::uint8_t*>(master.data()), master.size()};
}

Keyring copy_of(const Keyring& keyring) {
  Keyring copy;
  for (const Keyring::Key& key : keyring.keys()) take(copy.add(key.id, key.use, master_of(key)));
  return copy;
}

/// The keyring that the options hold, if they hold one; a key file is left to the opening of a database.
std::optional<Keyring> keyring_of(const tokenstore_open_options& options) {
  const auto master = bytes(options.key_bytes, options.key_bytes_size, "key_bytes");
  const auto id = text(options.key_id, options.key_id_size, "key_id");
  const bool has_bytes = options.key_bytes != nullptr;
  const bool has_file = options.key_file_size != 0;
  const bool has_keyring = options.keyring != nullptr;
  if (flag(has_bytes) + flag(has_file) + flag(has_keyring) > 1) {
    refuse("the key is given twice: set one of keyring, key_bytes and key_file");
  }
  if (!id.empty() && !has_bytes) refuse("key_id is set without key_bytes");
  if (has_keyring) return copy_of(options.keyring->keyring);
  if (has_bytes) return take(id.empty() ? Keyring::from_bytes(master) : Keyring::from_bytes(master, id));
  return std::nullopt;
}

StoreOptions store_options_of(const tokenstore_open_options& options) {
  StoreOptions result;
  const auto workspace = text(options.workspace, options.workspace_size, "the workspace");
  const auto prefix = text(options.prefix, options.prefix_size, "the prefix");
  if (!workspace.empty()) result.workspace = workspace;
  if (!prefix.empty()) result.prefix = prefix;
  if (options.cache_bytes < -1) refuse("cache_bytes is negative");
  if (options.cache_bytes != 0) {
    result.cache_bytes = options.cache_bytes == -1 ? 0 : static_cast<std::size_t>(options.cache_bytes);
  }
  if (options.use_interval_ms < 0 || options.use_interval_ms > latest_time) refuse("use_interval_ms is out of range");
  if (options.use_interval_ms != 0) result.use_interval = std::chrono::milliseconds(options.use_interval_ms);
  result.create_workspace = !flag(options.workspace_must_exist, "workspace_must_exist");
  result.upkeep_thread = flag(options.upkeep_thread, "upkeep_thread");
  result.clock = clock_of(options.clock);
  return result;
}

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
  request.key_file = path(options.key_file, options.key_file_size, "the path of the key file");
  return take(open_sqlite(std::move(request)));
}

Opened open_of_memory(const tokenstore_open_options& options) {
  if (options.path_size != 0 || options.vfs_size != 0 || options.busy_timeout_ms != 0 || options.durability != 0 ||
      options.read_only != 0 || options.must_exist != 0) {
    refuse("an option of SQLite is set, but the store is to live in memory");
  }
  auto keyring = keyring_of(options);
  const std::string key_file = path(options.key_file, options.key_file_size, "the path of the key file");
  if (!key_file.empty()) keyring = take(Keyring::from_file(key_file));
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
  guard_free(store);
}

const char* tokenstore_created_key_file(const tokenstore_store* store, size_t* out_size) {
  return guard_value(no_text(out_size), [&] {
    return store == nullptr ? no_text(out_size) : returned_text(store->created_key_file, out_size);
  });
}

const char* tokenstore_workspace(const tokenstore_store* store, size_t* out_size) {
  return guard_value(no_text(out_size), [&] {
    return store == nullptr ? no_text(out_size) : returned_text(store->store->workspace(), out_size);
  });
}

const char* tokenstore_prefix(const tokenstore_store* store, size_t* out_size) {
  return guard_value(no_text(out_size), [&] {
    return store == nullptr ? no_text(out_size) : returned_text(store->store->prefix(), out_size);
  });
}

int32_t tokenstore_now(tokenstore_store* store, int64_t* out_now, tokenstore_error** out_error) {
  return guard(out_error, [&] { need(out_now, "the pointer for the answer") = need(store, "the store").store->now(); });
}

int32_t tokenstore_scanner_pattern(tokenstore_store* store, char* buffer, size_t buffer_size, size_t* out_size,
                                   tokenstore_error** out_error) {
  return guard(out_error,
               [&] { write_text(need(store, "the store").store->scanner_pattern(), buffer, buffer_size, out_size); });
}
