// A backup becomes a store again.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/file.hpp"
#include "base/temporary_file.hpp"
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

Result<BackupInfo> read(const BackupFile& file, const std::string& path, const seal::Sealer& sealer, const Take& take,
                        const Progress& progress) {
  if (!file.file.is_open()) {
    return Error(Status::cannot_open, fmt::format("the backup '{}' cannot be opened ({}); name another file", path,
                                                  std::strerror(file.code)));  // NOLINT(concurrency-mt-unsafe)
  }
  return read_sealed_file(file.file.descriptor(), path, sealer, take, progress);
}

/// Into an open file, of what `written` names.
Take write_to(int file, const std::string& written) {
  return [file, &written](std::string_view part) -> Result<void> {
    const int code = base::write_all(file, part);
    if (code == 0) return {};
    const bool full = code == ENOSPC || code == EDQUOT;
    return Error(full ? Status::storage_full : Status::unavailable,
                 fmt::format("'{}' cannot be written ({}); free space or check the disk, and restore again", written,
                             std::strerror(code)));  // NOLINT(concurrency-mt-unsafe)
  };
}

class Restoring {
 public:
  Restoring(const std::string& path, const seal::Sealer& sealer, const RestoreOptions& options)
      : path_(path), sealer_(sealer), options_(options), file_(path) {}

  Result<RestoreReport> run();

 private:
  /// Of what is there: may it be replaced by this?
  Result<void> judge(const std::string& restored);
  /// The store that is there, if it can be read, with what is restored.
  Result<Losses> compare(Backend& restored) const;
  Result<void> write(int to);
  /// What is restored, before it has its name.
  Result<std::shared_ptr<Backend>> open(const std::string& restored) const;
  Result<void> heal(const std::string& restored) const;

  const std::string& path_;
  const seal::Sealer& sealer_;
  const RestoreOptions& options_;
  const BackupFile file_;
  RestoreReport report_;
};

Result<Losses> Restoring::compare(Backend& restored) const {
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
  return losses_between(**present, restored, system_clock()->wall());
}

Result<void> Restoring::judge(const std::string& restored) {
  // And not with the backup: what was healed is not lost, and whoever has the store may not be able to open that.
  const auto fresh = open(restored);
  if (!fresh.ok()) return fresh.error();
  const auto lost = compare(**fresh);
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

Result<void> Restoring::write(int to) {
  auto read = transfer::read(file_, path_, sealer_, write_to(to, options_.sqlite.path), options_.progress);
  if (!read.ok()) return read.error();
  report_.backup = *read;
  return {};
}

Result<std::shared_ptr<Backend>> Restoring::open(const std::string& restored) const {
  SqliteOptions here = options_.sqlite;
  here.path = restored;
  here.create = here.read_only = false;
  return sqlite_backend(here);
}

Result<void> Restoring::heal(const std::string& restored) const {
  const auto backend = open(restored);
  return backend.ok() ? options_.heal(**backend) : backend.error();
}

Result<RestoreReport> Restoring::run() {
  SqliteReplacement replacement;
  replacement.write = [this](int to) { return write(to); };
  replacement.judge = [this](const std::string& restored) { return judge(restored); };
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
  return transfer::read(file, path, **sealer, {}, progress);
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
  // In a file of this process's own: what is verified is what is restored, whoever writes the backup meanwhile.
  std::error_code failed;
  const std::string place = (std::filesystem::temp_directory_path(failed) / "tokenstore-restore").string();
  const base::TemporaryFile own(place);
  const int code = failed ? failed.value() : own.create();
  const base::File copy(code == 0 ? ::open(own.path().c_str(), O_WRONLY | O_CLOEXEC) : -1);
  if (!copy.is_open()) {
    return Error(Status::cannot_open,
                 fmt::format("the backup cannot be copied to '{}' ({}); name a directory that can be written in TMPDIR",
                             own.path(), std::strerror(code == 0 ? errno : code)));  // NOLINT(concurrency-mt-unsafe)
  }
  const transfer::Take take = transfer::write_to(copy.descriptor(), own.path());
  if (const auto read = transfer::read(file, backup, **sealer, take, {}); !read.ok()) return read.error();
  const auto from = sqlite_backup_backend(own.path());
  if (!from.ok()) return from.error();
  return transfer::copy(**from, to, **sealer, options);
}

}  // namespace tokenstore
