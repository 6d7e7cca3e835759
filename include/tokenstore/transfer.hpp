/// A whole store on its way from one storage to another: copy, backup, restore. Every workspace, owner and token, and
/// the store's own record, as they are: it is the same store afterwards, and every seal in it verifies.
///
/// Thread use: one thread calls; every backend may be used by others meanwhile. Nothing is owned. A keyring is the
/// store's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tokenstore/backend.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "tokenstore/environment.hpp"
#include "tokenstore/keyring.hpp"

namespace tokenstore {

struct CopyOptions {
  /// Tokens that only the target has are removed; else finding one is a `conflict`.
  bool delete_extra = false;
  /// Called now and then with the tokens of the workspace that were looked at. Returning false stops with `conflict`.
  std::function<bool(const std::string& workspace, std::uint64_t tokens)> progress{};
};

struct CopyReport {
  std::vector<std::string> workspaces;
  std::uint64_t tokens = 0;     ///< seen in the source
  std::uint64_t owners = 0;     ///< seen in the source
  std::uint64_t written = 0;    ///< records put into the target, or removed there
  std::uint64_t different = 0;  ///< records that changed in the source meanwhile: copy again
};

/// Makes `to` hold what `from` holds: an empty storage, or an earlier copy. The source's change feed is only followed
/// where it is genuine, and the target's is told of what changes there. `wrong_key` if the keyring is not the store's,
/// `conflict` if the target is another store, holds newer records or more tokens than the source.
Result<CopyReport> copy_store(Backend& from, Backend& to, Keyring keyring, const CopyOptions& options = {});

struct BackupOptions {
  /// An earlier backup of this name is replaced; else that is a `conflict`. Anything else is never replaced.
  bool overwrite = false;
  /// With what is done and, if known, what there is to do. Returning false stops with `conflict`.
  Progress progress{};
};

/// What a backup says of itself, under its seal.
struct BackupInfo {
  Bytes16 store{};         ///< StoreRecord::id
  UnixMillis made_at = 0;  ///< when it was begun: what is later may be missing
  std::uint64_t workspaces = 0;
  std::uint64_t owners = 0;
  std::uint64_t tokens = 0;
  std::uint64_t revision = 0;  ///< of all workspaces together: how many changes were announced
  std::uint64_t size = 0;      ///< octets of the database in it
};

/// Writes a store into one file, mode 0600, while it is in use. It is written beside, made durable and then given its
/// name: there is a whole backup of that name or none. Of SQLite it is one moment's; of other storage each record is as
/// it was at some moment during the backup, and whatever was acknowledged before it began is in it. The keys are not:
/// keep them elsewhere. `wrong_key` if the keyring is not the store's.
Result<BackupInfo> backup_store(Backend& from, Keyring keyring, const std::string& path,
                                const BackupOptions& options = {});
/// Reads a backup to its end and verifies its seal. `not_a_store` if it is none, or was cut short; `tampered` if it was
/// altered, or is of another keyring's store; `wrong_key` if the keyring has not the key of its seal.
Result<BackupInfo> verify_backup(const std::string& path, Keyring keyring, const Progress& progress = {});

/// What a store has and its backup does not: what is undone by restoring.
struct Losses {
  std::uint64_t endings = 0;      ///< tokens that had ended or were deleted, and live in the backup
  std::uint64_t suspensions = 0;  ///< owners who were suspended, or might not use tokens, and may in the backup
  std::uint64_t tokens = 0;       ///< that were issued since
  std::uint64_t changes = 0;      ///< other records that were changed since
  bool any() const noexcept { return endings + suspensions + tokens + changes != 0; }
};

struct RestoreOptions {
  /// Where to; its `read_only`, `durability` and `create` are not looked at. A database that is there is replaced.
  SqliteOptions sqlite{};
  /// A store that has what the backup has not, or that is damaged, is replaced too; else that is a `conflict`. Another
  /// store, or another application's database, never is.
  bool overwrite = false;
  /// Called with what the backup holds, before it takes its place: what is changed there is in place from the first
  /// moment. An error ends the restoring, and nothing has happened.
  std::function<Result<void>(Backend& restored)> heal{};
  Progress progress{};
};

struct RestoreReport {
  BackupInfo backup;
  std::string kept_file;  ///< the database that was there; empty: there was none
  bool compared = false;  ///< `lost` is known: there was a store, and it could be read
  Losses lost;
};

/// Puts what a backup holds in the place of a SQLite database, once its seal is verified. It is written beside and
/// swapped in one step; who has the old one open gets `unavailable`, and opens it again. `unknown`: it was done, but
/// may not outlive a power cut.
Result<RestoreReport> restore_sqlite(const std::string& backup, Keyring keyring, const RestoreOptions& options);
/// The same into other storage: an empty one, or an earlier copy of the store, as copy_store().
Result<CopyReport> restore_into(const std::string& backup, Backend& to, Keyring keyring,
                                const CopyOptions& options = {});

}  // namespace tokenstore
