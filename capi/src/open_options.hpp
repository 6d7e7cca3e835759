/// What tokenstore_open_options says about a store, whatever its storage. What breaks a rule is a Failure.
/// Stateless; any thread.
#pragma once

#include <optional>

#include "tokenstore.h"
#include "tokenstore/key_source.hpp"
#include "tokenstore/store.hpp"

namespace tokenstore::capi {

/// The keyring that the options hold, if they hold one; files and credentials are left to those below.
std::optional<Keyring> keyring_of(const tokenstore_open_options& options);
/// The path of the key file, or empty.
std::string key_file_of(const tokenstore_open_options& options);
/// From TOKENSTORE_KEY_FILE_... added up.
KeyFileTrust key_file_trust_of(std::int32_t trust);
/// The name of systemd's credential; empty if the options name none.
std::string key_credential_of(const tokenstore_open_options& options);
/// The host's own source of keys; null if the options have none.
std::shared_ptr<KeySource> key_source_of(const tokenstore_open_options& options);
/// That, or a key file or credential that they name, for storage that keeps no key file beside it; null: none of them.
std::shared_ptr<KeySource> any_key_source_of(const tokenstore_open_options& options);
/// What can be read only once: the keyring that the options hold, or a descriptor's.
std::optional<Keyring> keyring_or_descriptor_of(const tokenstore_open_options& options);
StoreOptions store_options_of(const tokenstore_open_options& options);
/// Refuses what only SQLite understands.
void refuse_sqlite_options(const tokenstore_open_options& options, std::string_view instead);

}  // namespace tokenstore::capi
