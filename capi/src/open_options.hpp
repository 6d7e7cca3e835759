/// What tokenstore_open_options says about a store, whatever its storage. What breaks a rule is a Failure.
/// Stateless; any thread.
#pragma once

#include <optional>

#include "tokenstore.h"
#include "tokenstore/keyring.hpp"
#include "tokenstore/store.hpp"

namespace tokenstore::capi {

/// The keyring that the options hold, if they hold one; a key file is left to key_file_of.
std::optional<Keyring> keyring_of(const tokenstore_open_options& options);
/// The path of the key file, or empty.
std::string key_file_of(const tokenstore_open_options& options);
/// The keyring that the options hold or name a file of, for storage that keeps no key file beside it.
std::optional<Keyring> keyring_or_file_of(const tokenstore_open_options& options);
StoreOptions store_options_of(const tokenstore_open_options& options);
/// Refuses what only SQLite understands.
void refuse_sqlite_options(const tokenstore_open_options& options, std::string_view instead);

}  // namespace tokenstore::capi
