// One file that holds a whole store, made while the store is in use.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/file.hpp"
#include "base/new_file.hpp"
#include "base/temporary_file.hpp"
#include "seal/announcement.hpp"
#include "transfer/sealed_file.hpp"
#include "transfer/transfer.hpp"

namespace tokenstore {
namespace transfer {
namespace {

constexpr std::size_t owners_at_once = 500;

Error cannot_write(const std::string& path, int code) {
  if (code == ENOSPC || code == EDQUOT) {
    return {Status::storage_full, fmt::format("no space for the backup '{}'; free some and try again", path)};
  }
  return {Status::cannot_open, fmt::format("the backup '{}' cannot be written ({}); name a file in a directory that is "
                                           "there and can be written",
                                           path, std::strerror(code))};  // NOLINT(concurrency-mt-unsafe)
}

/// Whether a file may be given this name.
Result<void> check_place(const std::string& path, bool overwrite) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return Error(Status::invalid_argument, "the path of the backup is empty or holds a NUL; name a file");
  }
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return errno == ENOENT ? Result<void>() : cannot_write(path, errno);
  if (!overwrite) {
    return Error(Status::conflict, fmt::format("'{}' is there already; name another file, or have it replaced", path));
  }
  const base::File file(S_ISREG(found.st_mode) ? ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1);
  if (file.is_open() && ends_as_backup(file.descriptor())) return {};
  return Error(Status::conflict, fmt::format("'{}' is not a backup, and so is not replaced; name another file", path));
}

/// Record by record, for storage that cannot write a snapshot of its own.
Result<void> write_records(Backend& from, const seal::Sealer& sealer, const std::string& path,
                           const Progress& progress) {
  SqliteOptions sqlite;
  sqlite.path = path;
  // Made durable at once when it is complete.
  sqlite.durability = SqliteOptions::Durability::survives_crash_but_not_power_cut;
  auto to = sqlite_backend(sqlite);
  if (!to.ok()) return to.error();
  CopyOptions options;
  options.delete_extra = true;  // tokens that go while they are being read
  if (progress) options.progress = [&](const std::string&, std::uint64_t tokens) { return progress(tokens, 0); };
  if (const auto copied = copy(from, **to, sealer, options); !copied.ok()) return copied.error();
  to->reset();
  return make_sqlite_backup(path);
}

Result<std::uint64_t> count_owners(Backend& backend, const std::string& workspace) {
  std::uint64_t owners = 0;
  std::string after;
  for (bool more = true; more;) {
    auto page = backend.list_owners(workspace, after, owners_at_once);
    if (!page.ok()) return page.error();
    owners += page->owners.size();
    more = page->more && !page->owners.empty();
    if (more) after = page->owners.back().owner;
  }
  return owners;
}

/// What the file holds, not what was in the store by now.
Result<BackupInfo> describe(const std::string& path, UnixMillis begun_at, const seal::Sealer& sealer) {
  const auto backend = sqlite_backup_backend(path);
  if (!backend.ok()) return backend.error();
  const auto store = (*backend)->load_store();
  if (!store.ok()) return store.error();
  if (!store->has_value()) return Error(Status::not_found, "there is no store to back up; name another one");
  if (sealer.verify(**store) != seal::SealCheck::genuine) return not_this_key("the store's record");
  BackupInfo info;
  info.store = (*store)->id;
  info.made_at = begun_at;
  for (std::string after;;) {
    const auto page = (*backend)->list_workspaces(after, owners_at_once);
    if (!page.ok()) return page.error();
    if (page->empty()) return info;
    for (const WorkspaceRecord& workspace : *page) {
      after = workspace.workspace;
      const auto counts = (*backend)->count_tokens(after, {}, info.made_at);
      if (!counts.ok()) return counts.error();
      const auto owners = count_owners(**backend, after);
      if (!owners.ok()) return owners.error();
      const auto feed = (*backend)->changes(after, seal::far_ahead);
      if (!feed.ok()) return feed.error();
      ++info.workspaces;
      info.owners += *owners;
      info.tokens += counts->active + counts->pending + counts->expired + counts->revoked;
      info.revision += feed->revision;
    }
  }
}

Result<BackupInfo> seal_durably(const base::TemporaryFile& written, UnixMillis begun_at, const seal::Sealer& sealer) {
  auto info = describe(written.path(), begun_at, sealer);
  if (!info.ok()) return info;
  const base::File file(::open(written.path().c_str(), O_RDWR | O_CLOEXEC));
  if (!file.is_open()) return cannot_write(written.path(), errno);
  const Result<void> sealed = seal_file(file.descriptor(), written.path(), *info, sealer);
  if (!sealed.ok()) return sealed.error();
  if (::fsync(file.descriptor()) != 0) return cannot_write(written.path(), errno);
  return info;
}

}  // namespace

Result<BackupInfo> backup(Backend& from, const seal::Sealer& sealer, const std::string& path,
                          const BackupOptions& options) {
  if (Result<void> free = check_place(path, options.overwrite); !free.ok()) return free.error();
  base::TemporaryFile fresh(path);
  if (const int code = fresh.create(); code != 0) return cannot_write(path, code);
  // Whatever is later than this may be missing.
  const UnixMillis begun_at = system_clock()->wall();
  const auto written = from.write_snapshot(fresh.path(), options.progress);
  if (!written.ok()) return written.error();
  if (!*written) {
    ::unlink(fresh.path().c_str());  // empty: a database is made in its place
    if (const auto copied = write_records(from, sealer, fresh.path(), options.progress); !copied.ok()) {
      return copied.error();
    }
  }
  auto info = seal_durably(fresh, begun_at, sealer);
  if (!info.ok()) return info;
  const base::DirectoryOf directory(path);
  // Asked again: somebody may have made it meanwhile.
  if (Result<void> free = check_place(path, options.overwrite); !free.ok()) return free.error();
  int code = 0;
  if (options.overwrite) {
    code = std::rename(fresh.path().c_str(), path.c_str()) == 0 ? 0 : errno;
  } else {
    code = base::put_in_place(fresh.path(), path);
  }
  if (code == 0) code = directory.sync();
  if (code != 0) return cannot_write(path, code);
  return info;
}

}  // namespace transfer

Result<BackupInfo> backup_store(Backend& from, Keyring keyring, const std::string& path, const BackupOptions& options) {
  auto sealer = seal::Sealer::create(std::move(keyring));
  if (!sealer.ok()) return sealer.error();
  return transfer::backup(from, **sealer, path, options);
}

}  // namespace tokenstore
