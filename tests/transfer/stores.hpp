/// Stores in SQLite files, and what is done to them here. One thread.
#pragma once

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/canary.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/transfer.hpp"
#include "unit/rules/world.hpp"

namespace tokenstore::test {

inline std::shared_ptr<Backend> open_file(const std::string& path) {
  SqliteOptions options;
  options.path = path;
  auto backend = sqlite_backend(options);
  if (!backend.ok()) FAIL(backend.error().message());
  return std::move(*backend);
}

inline std::unique_ptr<TokenStore> open_store(const std::string& path, const std::string& workspace = "default") {
  StoreOptions options;
  options.workspace = workspace;
  auto store = TokenStore::open(open_file(path), one_key(), options);
  if (!store.ok()) FAIL(store.error().message());
  return std::move(*store);
}

inline Kept issue(TokenStore& store, const std::string& owner = "alice") {
  return World::issue(store, {.owner = owner, .scopes = {"read"}});
}

inline Verdict verdict(TokenStore& store, const Kept& token) {
  return store.validate(token.text, Demand("read"));
}

inline Result<BackupInfo> back_up(const std::string& store, const std::string& path, bool overwrite = false) {
  BackupOptions options;
  options.overwrite = overwrite;
  return backup_store(*open_file(store), one_key(), path, options);
}

inline Result<RestoreReport> restore(const std::string& backup, const std::string& store, bool overwrite = false) {
  RestoreOptions options;
  options.sqlite.path = store;
  options.overwrite = overwrite;
  return restore_sqlite(backup, one_key(), options);
}

inline void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

/// The names in a directory.
inline std::vector<std::string> names_in(const TempDirectory& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace tokenstore::test
