// copy: from one storage to another, while the first is in use.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/terminal.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "tokenstore/transfer.hpp"

namespace tokenstore::cli {
namespace {

struct CopyArguments {
  std::string from;
  std::string to;
  bool delete_extra = false;
};

std::shared_ptr<Backend> open_place(const std::string& place, const std::string& schema, bool writing) {
  if (is_postgres(place)) return open_postgres(place, schema, writing ? Access::creating : Access::reading);
  SqliteOptions sqlite;
  sqlite.path = place;
  sqlite.create = writing;
  sqlite.read_only = !writing;
  return take(sqlite_backend(sqlite));
}

/// The keys of the file that is copied from or to, unless others were named.
Keyring keyring_of(Session& session, const std::string& from, const std::string& to) {
  const std::string database = !is_postgres(from) ? from : !is_postgres(to) ? to : std::string();
  return database.empty() ? session.keyring() : session.keyring(database + ".key", database);
}

/// Opens the copy as a host would, and checks every seal.
CheckReport check_copy(const std::shared_ptr<Backend>& to, Keyring keyring, const std::string& workspace,
                       const std::string& prefix, bool quiet) {
  StoreOptions store;
  store.workspace = workspace;
  store.prefix = prefix;
  store.create_workspace = false;
  store.cache_bytes = 0;
  const auto opened = take(TokenStore::open(to, std::move(keyring), std::move(store)));
  ProgressLine line("checked", quiet);
  return take(opened->check(Actor::host(), [&line](std::uint64_t done, std::uint64_t total) {
    line.update(done, total);
    return true;
  }));
}

ExitCode run_copy(Session& session, const CopyArguments& options) {
  const std::string from_place = options.from.empty() ? session.globals().database : options.from;
  if (from_place.empty()) throw usage_failure("no source: give --from or --db, or set TOKENSTORE_DB");
  if (from_place == options.to) throw usage_failure("the source and the target are the same");
  if (session.globals().read_only) throw usage_failure("copy writes to its target: leave out --read-only");
  if (session.globals().schema_given && !is_postgres(from_place) && !is_postgres(options.to)) {
    throw usage_failure("--schema is for PostgreSQL: a file has none");
  }
  keyring_of(session, from_place, options.to);  // before anything is written
  const auto from = open_place(from_place, session.globals().schema, false);
  const auto to = open_place(options.to, session.globals().schema, true);

  CopyReport report;
  {
    ProgressLine line("copied", session.quiet());
    tokenstore::CopyOptions how;
    how.delete_extra = options.delete_extra;
    how.progress = [&line](const std::string&, std::uint64_t done) {
      line.update(done, 0);
      return true;
    };
    report = take(copy_store(*from, *to, keyring_of(session, from_place, options.to), how));
  }
  std::uint64_t problems = 0;
  for (const std::string& workspace : report.workspaces) {
    problems += check_copy(to, keyring_of(session, from_place, options.to), workspace, session.globals().prefix,
                           session.quiet())
                    .problem_count;
  }
  Json json;
  json["workspaces"] = report.workspaces.size();
  json["tokens"] = report.tokens;
  json["owners"] = report.owners;
  json["written"] = report.written;
  json["different"] = report.different;
  json["problems"] = problems;
  std::string text = fmt::format("copied {} workspaces, {} tokens and {} owners: {} records written\n",
                                 report.workspaces.size(), report.tokens, report.owners, report.written);
  if (report.different != 0) text += fmt::format("{} records changed meanwhile: copy again\n", report.different);
  if (problems != 0) text += fmt::format("{} seals of the copy do not verify: see tokenstore check\n", problems);
  if (report.different == 0 && problems == 0) text += "the copy is complete, and every seal verifies\n";
  session.answer(json, text);
  if (problems != 0) return ExitCode::damaged;
  return report.different == 0 ? ExitCode::ok : ExitCode::conflict;
}

}  // namespace

void add_copy_command(CLI::App& app, Run& chosen) {
  std::shared_ptr<CopyArguments> options;
  CLI::App* command =
      add_command(app, chosen, "copy", "Copy every workspace to another storage, and verify it", run_copy, options);
  command->add_option("--from", options->from, "a path, or a postgresql:// URI (default: --db)");
  command->add_option("--to", options->to, "a path, or a postgresql:// URI")->required();
  command->add_flag("--delete-extra", options->delete_extra, "remove tokens that only the target has");
}

}  // namespace tokenstore::cli
