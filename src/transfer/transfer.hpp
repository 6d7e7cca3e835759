/// What tokenstore/transfer.hpp declares, for callers who have a sealer already. One thread; borrows everything.
#pragma once

#include <string>
#include <string_view>

#include "seal/sealer.hpp"
#include "tokenstore/transfer.hpp"

namespace tokenstore::transfer {

Result<CopyReport> copy(Backend& from, Backend& to, const seal::Sealer& sealer, const CopyOptions& options);
Result<BackupInfo> backup(Backend& from, const seal::Sealer& sealer, const std::string& path,
                          const BackupOptions& options);

Error not_this_key(std::string_view what);

}  // namespace tokenstore::transfer
