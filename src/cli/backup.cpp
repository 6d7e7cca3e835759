// backup and restore.
#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "cli/command.hpp"
#include "cli/terminal.hpp"
#include "cli/times.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "tokenstore/transfer.hpp"

namespace tokenstore::cli {
namespace {

struct BackupArguments {
  std::string place;
  bool overwrite = false;
};

struct RestoreArguments {
  std::string backup;
  bool overwrite = false;
  bool delete_extra = false;
};

/// The place of the store, and its keys.
const std::string& database_of(const Session& session) {
  const std::string& database = session.globals().database;
  if (database.empty()) throw usage_failure("no database: give --db PATH, or set TOKENSTORE_DB");
  return database;
}

Keyring keyring_of(Session& session, const std::string& database) {
  return is_postgres(database) ? session.keyring() : session.keyring(database + ".key", database);
}

void add(Json& json, const BackupInfo& info) {
  json["made_at"] = format_time_exact(info.made_at);
  json["workspaces"] = info.workspaces;
  json["owners"] = info.owners;
  json["tokens"] = info.tokens;
  json["revision"] = info.revision;
}

ExitCode run_backup(Session& session, const BackupArguments& arguments) {
  const std::string& database = database_of(session);
  Keyring keyring = keyring_of(session, database);
  std::shared_ptr<Backend> from;
  if (is_postgres(database)) {
    from = open_postgres(database, session.globals().schema, Access::reading);
  } else {
    SqliteOptions sqlite;
    sqlite.path = database;
    sqlite.create = false;
    sqlite.read_only = true;
    from = take(sqlite_backend(sqlite));
  }
  const BackupInfo info = [&] {
    ProgressLine line("backed up", session.quiet());
    tokenstore::BackupOptions how;
    how.overwrite = arguments.overwrite;
    how.progress = [&line](std::uint64_t done, std::uint64_t total) {
      line.update(done, total);
      return true;
    };
    return take(backup_store(*from, std::move(keyring), arguments.place, how));
  }();
  Json json;
  json["backup"] = arguments.place;
  add(json, info);
  session.answer(
      json, fmt::format("backed up {} workspaces, {} owners and {} tokens, at revision {}, to {}\n", info.workspaces,
                        info.owners, info.tokens, info.revision, printable(arguments.place)));
  session.note("the key file is not in it: back that up elsewhere");
  return ExitCode::ok;
}

/// Has what was restored ended by the journal what has ended since. Answers how many records that were.
Result<std::uint64_t> heal(Session& session, Backend& restored, const std::string& database) {
  StoreOptions options;
  options.journal = session.globals().journal;
  // Of meaning to root: it works for whom the database belongs to, as with the store.
  if (!is_postgres(database)) {
    options.journal_owner_of =
        std::filesystem::exists(database) ? database : (std::filesystem::path(database).parent_path() / ".").string();
  }
  return heal_from_journal(
      restored, [&]() -> Result<Keyring> { return keyring_of(session, database); }, options);
}

std::string healed_text(const std::optional<std::uint64_t>& healed) {
  return healed ? fmt::format("put forward again from the journal: {} records\n", *healed) : std::string();
}

ExitCode restore_postgres(Session& session, const RestoreArguments& arguments, const std::string& database) {
  Keyring keyring = keyring_of(session, database);
  const auto to = open_postgres(database, session.globals().schema, Access::creating);
  const CopyReport report = [&] {
    ProgressLine line("restored", session.quiet());
    tokenstore::CopyOptions how;
    how.delete_extra = arguments.delete_extra;
    how.progress = [&line](const std::string&, std::uint64_t done) {
      line.update(done, 0);
      return true;
    };
    return take(restore_into(arguments.backup, *to, std::move(keyring), how));
  }();
  std::optional<std::uint64_t> healed;
  if (!session.globals().journal.empty()) healed = take(heal(session, *to, database));
  Json json;
  json["workspaces"] = report.workspaces.size();
  json["owners"] = report.owners;
  json["tokens"] = report.tokens;
  json["written"] = report.written;
  json["healed"] = healed ? Json(*healed) : Json(nullptr);
  session.answer(json, fmt::format("restored {} workspaces, {} owners and {} tokens: {} records written\n",
                                   report.workspaces.size(), report.owners, report.tokens, report.written) +
                           healed_text(healed));
  return ExitCode::ok;
}

std::string losses_text(const RestoreReport& report) {
  if (report.kept_file.empty()) return {};
  std::string text = fmt::format("the database that was there is kept as {}\n", printable(report.kept_file));
  if (!report.compared) {
    return text + "it could not be read: how many endings since the backup are lost is not known\n";
  }
  const Losses& lost = report.lost;
  return text + fmt::format(
                    "lost since the backup: {} endings and {} suspensions, which hold no more; {} new tokens and {} "
                    "other changes\n",
                    lost.endings, lost.suspensions, lost.tokens, lost.changes);
}

ExitCode run_restore(Session& session, const RestoreArguments& arguments) {
  const std::string& database = database_of(session);
  if (session.globals().read_only) throw usage_failure("restore writes to the database: leave out --read-only");
  if (is_postgres(database)) {
    if (arguments.overwrite) throw usage_failure("--overwrite is for a file; PostgreSQL takes --delete-extra");
    return restore_postgres(session, arguments, database);
  }
  if (arguments.delete_extra) throw usage_failure("--delete-extra is for PostgreSQL; a file takes --overwrite");
  std::optional<std::uint64_t> healed;
  const RestoreReport report = [&] {
    ProgressLine line("restored", session.quiet());
    tokenstore::RestoreOptions how;
    if (!session.globals().journal.empty()) {
      how.heal = [&](Backend& restored) -> Result<void> {
        const auto done = heal(session, restored, database);
        if (!done.ok()) return done.error();
        healed = *done;
        return {};
      };
    }
    how.sqlite.path = database;
    how.overwrite = arguments.overwrite;
    how.progress = [&line](std::uint64_t done, std::uint64_t total) {
      line.update(done, total);
      return true;
    };
    return take(restore_sqlite(arguments.backup, keyring_of(session, database), how));
  }();
  Json json;
  json["database"] = database;
  add(json, report.backup);
  json["kept_file"] = report.kept_file.empty() ? Json(nullptr) : Json(report.kept_file);
  json["compared"] = report.compared;
  json["lost_endings"] = report.compared ? Json(report.lost.endings) : Json(nullptr);
  json["lost_suspensions"] = report.compared ? Json(report.lost.suspensions) : Json(nullptr);
  json["lost_tokens"] = report.compared ? Json(report.lost.tokens) : Json(nullptr);
  json["lost_changes"] = report.compared ? Json(report.lost.changes) : Json(nullptr);
  json["healed"] = healed ? Json(*healed) : Json(nullptr);
  session.answer(json, fmt::format("restored {} workspaces, {} owners and {} tokens, as of {}\n{}{}",
                                   report.backup.workspaces, report.backup.owners, report.backup.tokens,
                                   format_time(report.backup.made_at), healed_text(healed), losses_text(report)));
  session.note("whoever has the old file open gets an error, and has to open the store again");
  return ExitCode::ok;
}

}  // namespace

void add_backup_commands(CLI::App& app, Run& chosen) {
  std::shared_ptr<BackupArguments> backup;
  CLI::App* command = add_command(app, chosen, "backup", "Write every workspace into one sealed file, while in use",
                                  run_backup, backup);
  command->add_option("PLACE", backup->place, "The file to write (mode 0600)")->required();
  command->add_flag("--overwrite", backup->overwrite, "replace an earlier backup of that name");

  std::shared_ptr<RestoreArguments> restore;
  command =
      add_command(app, chosen, "restore", "Put what a backup holds in the place of the database", run_restore, restore);
  command->add_option("BACKUP", restore->backup, "The file that backup wrote")->required();
  command->add_flag("--overwrite", restore->overwrite, "replace a newer store too, or a damaged one; the file is kept");
  command->add_flag("--delete-extra", restore->delete_extra, "PostgreSQL: remove tokens that the backup has not");
}

}  // namespace tokenstore::cli
