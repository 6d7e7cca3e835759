#include "open_options.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "guard.hpp"
#include "handles.hpp"
#include "structs.hpp"
#include "values.hpp"

namespace tokenstore::capi {
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

std::shared_ptr<KeySource> source_of(const tokenstore_key_source* given) {
  const auto known = TOKENSTORE_READ(tokenstore_key_source, KEY_SOURCE, given, "the key source");
  if (known.ask == nullptr) refuse("the function of the key source is NULL");
  if (known.pause_ms < 0 || known.pause_ms > latest_time) refuse("pause_ms of the key source is out of range");
  const auto ask = [known]() -> Result<Keyring> {
    tokenstore_keyring* keyring = nullptr;
    const std::int32_t status = known.ask(known.context, &keyring);
    const std::unique_ptr<tokenstore_keyring> owned(keyring);
    if (status == TOKENSTORE_OK && owned) return std::move(owned->keyring);
    const bool worded = status > TOKENSTORE_OK && status <= TOKENSTORE_INTERNAL;
    return Error(worded ? static_cast<Status>(status) : Status::internal,
                 "the host's function that gives the keys has given none: see its log");
  };
  return key_callback_source(ask, std::chrono::milliseconds(known.pause_ms == 0 ? 1000 : known.pause_ms));
}

bool is_descriptor(const std::string& key_file) {
  return key_file.starts_with("/dev/fd/") || key_file.starts_with("/proc/self/fd/");
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

}  // namespace

std::optional<Keyring> keyring_of(const tokenstore_open_options& options) {
  const auto master = bytes(options.key_bytes, options.key_bytes_size, "key_bytes");
  const auto id = text(options.key_id, options.key_id_size, "key_id");
  const bool has_bytes = options.key_bytes != nullptr;
  const bool has_file = options.key_file_size != 0;
  const bool has_keyring = options.keyring != nullptr;
  const bool has_credential = options.key_credential_size != 0;
  const bool has_source = options.key_source != nullptr;
  if (flag(has_bytes) + flag(has_file) + flag(has_keyring) + flag(has_credential) + flag(has_source) > 1) {
    refuse("the key is given twice: set one of keyring, key_bytes, key_file, key_credential and key_source");
  }
  need_zero(options.reserved, "the options");
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
  if (options.journal_segment_bytes < 0) refuse("journal_segment_bytes is negative: set 0 for the default, or more");
  if (options.journal_segment_age_ms < 0) refuse("journal_segment_age_ms is negative: set 0 for none, or more");
  result.journal_segment_bytes = static_cast<std::uint64_t>(options.journal_segment_bytes);
  result.journal_segment_age = std::chrono::milliseconds(options.journal_segment_age_ms);
  result.journal = path(options.journal, options.journal_size, "the path of the journal");
  return result;
}

std::string key_file_of(const tokenstore_open_options& options) {
  return path(options.key_file, options.key_file_size, "the path of the key file");
}

KeyFileTrust key_file_trust_of(std::int32_t trust) {
  constexpr std::int32_t known = TOKENSTORE_KEY_FILE_GROUP_READABLE_OF_ROOT |
                                 TOKENSTORE_KEY_FILE_WORLD_READABLE_OF_ROOT | TOKENSTORE_KEY_FILE_INHERITED_DESCRIPTOR;
  if ((trust & ~known) != 0) refuse("the trust in key files is not known: add up some of TOKENSTORE_KEY_FILE_...");
  KeyFileTrust result;
  result.group_readable_of_root = (trust & TOKENSTORE_KEY_FILE_GROUP_READABLE_OF_ROOT) != 0;
  result.world_readable_of_root = (trust & TOKENSTORE_KEY_FILE_WORLD_READABLE_OF_ROOT) != 0;
  result.inherited_descriptor = (trust & TOKENSTORE_KEY_FILE_INHERITED_DESCRIPTOR) != 0;
  return result;
}

std::string key_credential_of(const tokenstore_open_options& options) {
  return path(options.key_credential, options.key_credential_size, "the name of the credential");
}

std::shared_ptr<KeySource> key_source_of(const tokenstore_open_options& options) {
  if (options.key_source != nullptr) return source_of(options.key_source);
  return nullptr;
}

std::shared_ptr<KeySource> any_key_source_of(const tokenstore_open_options& options) {
  const KeyFileTrust trust = key_file_trust_of(options.key_file_trust);
  const std::string key_file = key_file_of(options);
  const std::string credential = key_credential_of(options);
  if (!credential.empty()) return take(key_credential_source(credential));
  if (!key_file.empty() && !(is_descriptor(key_file) && trust.inherited_descriptor)) {
    return key_file_source(key_file, trust);
  }
  return key_source_of(options);
}

std::optional<Keyring> keyring_or_descriptor_of(const tokenstore_open_options& options) {
  const std::string key_file = key_file_of(options);
  if (!key_file.empty()) return take(Keyring::from_file(key_file, key_file_trust_of(options.key_file_trust)));
  return keyring_of(options);
}

void refuse_sqlite_options(const tokenstore_open_options& options, std::string_view instead) {
  if (options.path_size != 0 || options.vfs_size != 0 || options.busy_timeout_ms != 0 || options.durability != 0 ||
      options.read_only != 0 || options.must_exist != 0) {
    refuse("an option of SQLite is set, but the store is to live " + std::string(instead));
  }
}

}  // namespace tokenstore::capi
