// A backup becomes a store again.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.hpp"
#include "transfer/losses.hpp"
#include "transfer/sealed_file.hpp"
#include "transfer/transfer.hpp"

namespace tokenstore {
namespace transfer {
namespace {

/// Held open, so that what is verified is what is restored.
struct BackupFile {
  explicit BackupFile(const std::string& path) : file(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), code(errno) {}

  const base::File file;
  const int code;  ///< why it cannot be opened, if it is not
};

Result<BackupInfo> verify(const BackupFile& file, const std::string& path, const seal::Sealer& sealer,
                          const Progress& progress) {
  if (!file.file.is_open()) {
    return Error(Status::cannot_open, fmt::format("the backup '{}' cannot be opened ({}); name another file", path,
                                                  std::strerror(file.code)));  // NOLINT(concurrency-mt-unsafe)
  }
  return read_sealed_file(file.file.descriptor(), path, sealer, {}, progress);
}

class Restoring {
 public:
  Restoring(const std::string& path, const seal::Sealer& sealer, const RestoreOptions& options)
      : path_(path), sealer_(sealer), options_(options), file_(path) {}

  Result<RestoreReport> run();

 private:
  /// Of what is there: may it be replaced?
  Result<void> judge();
  /// The store that is there, if it can be read.
  Result<Losses> compare() const;
  Result<void> write(int to) const;
  Result<void> heal(const std::string& restored) const;

  const std::string& path_;
  const seal::Sealer& sealer_;
  const RestoreOptions& options_;
  const BackupFile file_;
  RestoreReport report_;
};

Result<Losses> Restoring::compare() const {
  SqliteOptions there = options_.sqlite;
  there.create = there.read_only = false;
  const auto present = sqlite_backend(there);
  if (!present.ok()) return present.error();
  const auto store = (*present)->load_store();
  if (!store.ok()) return store.error();
  if (!store->has_value()) return Losses();
  if (sealer_.verify(**store) != seal::SealCheck::genuine) return not_this_key("the record of the store that is there");
  if ((*store)->id != report_.backup.store) {
    return Error(Status::refused,
                 "the backup is of another store than the one that is there; move that away first, or "
                 "name another place");
  }
  const auto backup = sqlite_backup_backend(path_);
  if (!backup.ok()) return backup.error();
  return losses_between(**present, **backup, system_clock()->wall());
}

Result<void> Restoring::judge() {
  const auto lost = compare();
  report_.compared = lost.ok();
  if (!lost.ok()) {
    // Another store is never replaced; and a key that does not fit says that it may be one.
    if (lost.status() == Status::refused || lost.status() == Status::wrong_key) return lost.error();
    if (options_.overwrite) return {};
    return Error(Status::conflict,
                 fmt::format("what is there cannot be compared with the backup ({}); have it replaced, which keeps the "
                             "file, or name another place",
                             lost.error().message()));
  }
  report_.lost = *lost;
  if (!lost->any() || options_.overwrite) return {};
  return Error(
      Status::conflict,
      fmt::format("the store that is there is newer than the backup: {} endings, {} suspensions, {} new tokens "
                  "and {} other changes would be lost; have it replaced, which keeps the file, or name "
                  "another place",
                  lost->endings, lost->suspensions, lost->tokens, lost->changes));
}

Result<void> Restoring::write(int to) const {
  const Take take = [&](std::string_view part) -> Result<void> {
    const int code = base::write_all(to, part);
    if (code == 0) return {};
    const bool full = code == ENOSPC || code == EDQUOT;
    return Error(full ? Status::storage_full : Status::unavailable,
                 fmt::format("'{}' cannot be written ({}); free space or check the disk, and restore again",
                             options_.sqlite.path, std::strerror(code)));  // NOLINT(concurrency-mt-unsafe)
  };
  // Verified once more as it is written: the file may have changed since.
  const auto read = read_sealed_file(file_.file.descriptor(), path_, sealer_, take, options_.progress);
  return read.ok() ? Result<void>() : read.error();
}

Result<void> Restoring::heal(const std::string& restored) const {
  SqliteOptions here = options_.sqlite;
  here.path = restored;
  here.create = here.read_only = false;
  const auto backend = sqlite_backend(here);
  return backend.ok() ? options_.heal(**backend) : backend.error();
}

Result<RestoreReport> Restoring::run() {
  auto verified = verify(file_, path_, sealer_, {});
  if (!verified.ok()) return verified.error();
  report_.backup = *verified;
  SqliteReplacement replacement;
  replacement.write = [this](int to) { return write(to); };
  replacement.judge = [this] { return judge(); };
  if (options_.heal) replacement.prepare = [this](const std::string& restored) { return heal(restored); };
  replacement.replace_damaged = options_.overwrite;
  auto kept = replace_sqlite(options_.sqlite, replacement);
  if (!kept.ok()) return kept.error();
  report_.kept_file = std::move(*kept);
  return std::move(report_);
}

}  // namespace
}  // namespace transfer

Result<BackupInfo> verify_backup(const std::string& path, Keyring keyring, const Progress& progress) {
  auto sealer = seal::Sealer::create(std::move(keyring));
  if (!sealer.ok()) return sealer.error();
  const transfer::BackupFile file(path);
  return transfer::verify(file, path, **sealer, progress);
}

Result<RestoreReport> restore_sqlite(const std::string& backup, Keyring keyring, const RestoreOptions& options) {
  auto sealer = seal::Sealer::create(std::move(keyring));
  if (!sealer.ok()) return sealer.error();
  return transfer::Restoring(backup, **sealer, options).run();
}

Result<CopyReport> restore_into(const std::string& backup, Backend& to, Keyring keyring, const CopyOptions& options) {
  auto sealer = seal::Sealer::create(std::move(keyring));
  if (!sealer.ok()) return sealer.error();
  const transfer::BackupFile file(backup);
  if (const auto verified = transfer::verify(file, backup, **sealer, {}); !verified.ok()) return verified.error();
  const auto from = sqlite_backup_backend(backup);
  if (!from.ok()) return from.error();
  return transfer::copy(**from, to, **sealer, options);
}

}  // namespace tokenstore
