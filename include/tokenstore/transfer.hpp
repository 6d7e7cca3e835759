/// Copying a whole store from one storage to another while the first is in use: every workspace, owner and token, and
/// the store's own record, so that the copy is the same store and every seal in it verifies.
///
/// Thread use: one thread calls; both backends may be used by others meanwhile. Nothing is owned.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tokenstore/backend.hpp"
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

/// Makes `to` hold what `from` holds: an empty storage, or an earlier copy. The keyring is the store's: the source's
/// change feed is only followed where it is genuine, and the target's is told of what changes there. `wrong_key` if it
/// is not, `conflict` if the target is another store, holds newer records or more tokens than the source.
Result<CopyReport> copy_store(Backend& from, Backend& to, Keyring keyring, const CopyOptions& options = {});

}  // namespace tokenstore
