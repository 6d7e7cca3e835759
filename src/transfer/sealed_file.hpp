/// The file of a backup: a database, and after it what the backup says of itself, in lines of fixed size, the last of
/// which is a seal over all before it. docs/backup.md shows it.
///
/// One thread. A descriptor is the caller's.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "seal/sealer.hpp"
#include "tokenstore/transfer.hpp"

namespace tokenstore::transfer {

/// Whether the file ends as a backup does.
bool ends_as_backup(int file) noexcept;

/// Appends what `info` says, and the seal under the active key. Sets `info.size`. `path` is for errors.
Result<void> seal_file(int file, const std::string& path, BackupInfo& info, const seal::Sealer& sealer);

/// Reads all of it, and hands each part of the database to `take`, if there is one, before it is known to be genuine.
/// Answers what the backup says if the seal is genuine.
using Take = std::function<Result<void>(std::string_view part)>;
Result<BackupInfo> read_sealed_file(int file, const std::string& path, const seal::Sealer& sealer, const Take& take,
                                    const Progress& progress);

}  // namespace tokenstore::transfer
