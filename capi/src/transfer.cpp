// Backup, restore and copy.
#include "tokenstore/transfer.hpp"

#include <cstdio>

#include "guard.hpp"
#include "structs.hpp"
#include "tokenstore.h"
#include "values.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

namespace {

std::string file(const char* data, std::size_t size, std::string_view what) {
  std::string name = path(data, size, what);
  if (name.empty()) refuse(std::string(what) + " is empty: name a file");
  return name;
}

/// A copy, because the sealer takes the keys over.
Keyring copy_of(const tokenstore_keyring* keyring) {
  return take(Keyring::from_text(need(keyring, "the keyring").keyring.reveal_text().reveal()));
}

void write_info(tokenstore_backup_info* out_info, const BackupInfo& info) {
  if (out_info == nullptr) return;
  tokenstore_backup_info out{0, info.made_at, info.workspaces, info.owners, info.tokens, info.revision, {}};
  for (std::size_t i = 0; i < info.store.size(); ++i) {
    constexpr char digits[] = "0123456789abcdef";
    out.store[2 * i] = digits[info.store[i] >> 4U];
    out.store[2 * i + 1] = digits[info.store[i] & 15U];
  }
  TOKENSTORE_WRITE(tokenstore_backup_info, BACKUP_INFO, out_info, "the description", out);
}

/// Outputs are looked at before anything is done.
void check_info(const tokenstore_backup_info* out_info) {
  if (out_info != nullptr) {
    struct_size_of(out_info, TOKENSTORE_BACKUP_INFO_SIZE_1_0, sizeof *out_info, "the description");
  }
}

}  // namespace

int32_t tokenstore_backup(tokenstore_store* store, const tokenstore_actor* actor, const char* place, size_t place_size,
                          int32_t overwrite, tokenstore_progress progress, void* context,
                          tokenstore_backup_info* out_info, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    TokenStore& opened = opened_store(store);
    check_info(out_info);
    BackupOptions options;
    options.overwrite = flag(overwrite, "overwrite");
    options.progress = progress_of(progress, context);
    write_info(out_info,
               take(opened.backup(capi::actor(actor), file(place, place_size, "the path of the backup"), options)));
  });
}

int32_t tokenstore_verify_backup(const char* backup, size_t backup_size, const tokenstore_keyring* keyring,
                                 tokenstore_backup_info* out_info, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    check_info(out_info);
    const std::string from = file(backup, backup_size, "the path of the backup");
    write_info(out_info, take(verify_backup(from, copy_of(keyring))));
  });
}

int32_t tokenstore_restore(const char* backup, size_t backup_size, const tokenstore_keyring* keyring,
                           const char* database, size_t database_size, int32_t overwrite, tokenstore_progress progress,
                           void* context, tokenstore_restore_summary* out_summary, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    struct_size_of(out_summary, TOKENSTORE_RESTORE_SUMMARY_SIZE_1_0, sizeof *out_summary, "the summary");
    const std::string from = file(backup, backup_size, "the path of the backup");
    RestoreOptions options;
    options.sqlite.path = file(database, database_size, "the path of the database");
    options.overwrite = flag(overwrite, "overwrite");
    options.progress = progress_of(progress, context);
    const RestoreReport done = take(restore_sqlite(from, copy_of(keyring), options));
    tokenstore_restore_summary out{0,
                                   done.backup.made_at,
                                   done.backup.tokens,
                                   done.backup.owners,
                                   flag(done.compared),
                                   0,
                                   done.lost.endings,
                                   done.lost.suspensions,
                                   done.lost.tokens,
                                   done.lost.changes,
                                   0,
                                   {}};
    // It was given a name by the system, whose names are shorter.
    out.kept_file_size = done.kept_file.copy(out.kept_file, sizeof out.kept_file - 1);
    TOKENSTORE_WRITE(tokenstore_restore_summary, RESTORE_SUMMARY, out_summary, "the summary", out);
  });
}

int32_t tokenstore_copy(tokenstore_store* store, const tokenstore_actor* actor, const char* database,
                        size_t database_size, int32_t delete_extra, tokenstore_progress progress, void* context,
                        tokenstore_copy_summary* out_summary, tokenstore_error** out_error) {
  return guard(out_error, [&] {
    TokenStore& opened = opened_store(store);
    struct_size_of(out_summary, TOKENSTORE_COPY_SUMMARY_SIZE_1_0, sizeof *out_summary, "the summary");
    const Actor who = capi::actor(actor);
    SqliteOptions target;
    target.path = file(database, database_size, "the path of the database");
    CopyOptions options;
    options.delete_extra = flag(delete_extra, "delete_extra");
    if (progress != nullptr) {
      options.progress = [progress, context](const std::string&, std::uint64_t tokens) {
        return progress(context, tokens, 0) == 0;
      };
    }
    if (who.kind() != Actor::Kind::host) fail(Status::permission_denied, "only the host may copy a store");
    const auto to = take(sqlite_backend(target));
    const CopyReport done = take(opened.copy_to(who, *to, options));
    const tokenstore_copy_summary out{0,           done.workspaces.size(), done.tokens,
                                      done.owners, done.written,           done.different};
    TOKENSTORE_WRITE(tokenstore_copy_summary, COPY_SUMMARY, out_summary, "the summary", out);
  });
}
