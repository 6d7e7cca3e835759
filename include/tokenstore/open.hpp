/// The short way in: a store with its backend and keyring in one call.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "tokenstore/backends/sqlite.hpp"
#include "tokenstore/store.hpp"

namespace tokenstore {

struct Opened {
  std::unique_ptr<TokenStore> store;
  /// Path of the key file, if this call created it. Tell the operator: without it the tokens are lost,
  /// with it and the database they can be forged. Back it up apart from the database.
  std::string created_key_file;
};

struct OpenSqlite {
  SqliteOptions sqlite{};
  std::optional<Keyring> keyring{};  ///< absent: from `key_file`
  std::string key_file{};            ///< empty: "<database>.key", created (O_EXCL, 0600) with a new database
  KeyFileTrust key_file_trust{};     ///< which key files are taken; strict unless something is set
  std::string key_credential{};      ///< instead of a key file: the name of systemd's credential
  /// Instead of all of these: where the keys come from, which may change while the store is open. A key file, where it
  /// is a regular one, and a credential are such sources by themselves.
  std::shared_ptr<KeySource> key_source{};
  StoreOptions store{};
};

/// Opens or creates a store in a SQLite file. An existing database whose key is missing or wrong does
/// not open, and nothing is written. Run by root, it works for the owner of the database, and of a new one's
/// directory: what is made belongs to them, and their key file is taken (docs/sqlite.md).
Result<Opened> open_sqlite(OpenSqlite options);
/// As above, with every default.
Result<Opened> open_sqlite(const std::string& path);

/// A store that lives and dies with this process. Without a keyring it makes one.
Result<Opened> open_memory(StoreOptions options = {}, std::optional<Keyring> keyring = {});

}  // namespace tokenstore
