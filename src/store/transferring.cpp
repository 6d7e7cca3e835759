// Backup and copy: everything that the storage holds, and not this workspace alone.
#include "store/rules.hpp"
#include "store/store_impl.hpp"
#include "transfer/transfer.hpp"

namespace tokenstore {
namespace {

/// What others have sealed by now with keys that this process does not know yet has to be believed.
const seal::Sealer& newest(seal::LiveSealer& sealer) noexcept {
  sealer.look(sealer.now(), seal::LiveSealer::Ask::by_mark);
  return sealer.now();
}

}  // namespace

Result<BackupInfo> TokenStore::backup(const Actor& actor, const std::string& path, const BackupOptions& options) {
  if (auto good = rules::require_host(actor); !good.ok()) return good.error();
  return transfer::backup(*impl_->backend, newest(*impl_->sealer), path, options);
}

Result<CopyReport> TokenStore::copy_to(const Actor& actor, Backend& to, const CopyOptions& options) {
  if (auto good = rules::require_host(actor); !good.ok()) return good.error();
  return transfer::copy(*impl_->backend, to, newest(*impl_->sealer), options);
}

}  // namespace tokenstore
