// init, keygen, pattern: what comes before the first token.
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

#include "cli/command.hpp"

namespace tokenstore::cli {
namespace {

struct InitOptions {};

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 || errno != ENOENT;
}

struct Made {
  bool database = false;
  bool workspace = false;
  std::string key_file;  ///< empty: it was there
};

ExitCode tell_what_was_made(const Session& session, const Made& made) {
  const std::string place = shown_place(session.globals().database);
  Json json;
  json["database"] = place;
  json["workspace"] = session.globals().workspace;
  json["created_database"] = made.database;
  json["created_workspace"] = made.workspace;
  json["created_key_file"] = made.key_file.empty() ? Json(nullptr) : Json(made.key_file);
  Card card;
  card.add("database", place + (made.database ? " (new)" : " (was there)"));
  card.add("workspace", session.globals().workspace + (made.workspace ? " (new)" : " (was there)"));
  if (!made.key_file.empty()) card.add("key file", made.key_file + " (new)");
  session.answer(json, card.text());
  if (!made.key_file.empty()) {
    session.note(
        "keep the key file safe and back it up apart from the database: without it every token is lost, with both "
        "tokens can be forged");
  }
  return ExitCode::ok;
}

/// Tables without a workspace are nobody's store yet. A key that is made stays, whatever happens afterwards: it may
/// have sealed something.
ExitCode init_postgres(Session& session) {
  const KeySource& key = session.globals().key;
  if (!key.named()) throw usage_failure("no key file: give --key-file PATH");
  const std::string& key_file = key.file;
  const bool key_is_there = key.to_be_read_first() || exists(key_file);
  if (key_is_there) session.keyring();  // before anything is made
  const auto backend = open_postgres(session.globals().database, session.globals().schema, Access::creating);
  Made made;
  made.database = take(backend->list_workspaces({}, 1)).empty();
  if (!key_is_there) {
    if (!made.database) {
      throw Failure(Error(Status::wrong_key,
                          fmt::format("the key file '{}' is missing, and without it the store cannot be used; put it "
                                      "back or name the right one",
                                      printable(key_file))));
    }
    take(take(Keyring::generate(*system_random())).write_new_file(key_file));
    made.key_file = key_file;
  }
  StoreOptions options = session.postgres_store_options();
  auto opened = TokenStore::open(backend, session.keyring(), options);
  if (!opened && opened.status() == Status::not_found) {
    made.workspace = options.create_workspace = true;
    opened = TokenStore::open(backend, session.keyring(), options);
  }
  take(std::move(opened));
  return tell_what_was_made(session, made);
}

ExitCode run_init(Session& session, const InitOptions&) {
  if (session.globals().read_only) throw usage_failure("init makes a database: leave out --read-only");
  if (is_postgres(session.globals().database)) return init_postgres(session);
  OpenSqlite options = session.open_options();
  const std::string path = options.sqlite.path;
  const bool new_database = !exists(path);
  bool new_workspace = new_database;
  Result<Opened> result = [&] {
    OpenSqlite attempt = session.open_options();
    attempt.sqlite.create = attempt.store.create_workspace = new_database;
    return open_sqlite(std::move(attempt));
  }();
  if (!new_database && result.status() == Status::not_found) {
    new_workspace = true;
    options.store.create_workspace = true;
    result = open_sqlite(std::move(options));
  }
  const Opened opened = take(std::move(result));
  return tell_what_was_made(session, {new_database, new_workspace, opened.created_key_file});
}

struct KeygenOptions {
  std::string path;
};

ExitCode run_keygen(Session& session, const KeygenOptions& options) {
  const Keyring keyring = take(Keyring::generate(*system_random()));
  take(keyring.write_new_file(options.path));
  Json json;
  json["created_key_file"] = options.path;
  session.answer(json, fmt::format("{}\n", printable(options.path)));
  session.note("a new key: use it with --key-file, and back it up apart from the database");
  return ExitCode::ok;
}

struct PatternOptions {};

ExitCode run_pattern(Session& session, const PatternOptions&) {
  // The pattern depends on the prefix alone, so no database is needed.
  StoreOptions options;
  options.prefix = session.globals().prefix;
  options.cache_bytes = 0;
  const Opened opened = take(open_memory(options));
  Json json;
  json["prefix"] = session.globals().prefix;
  json["pattern"] = opened.store->scanner_pattern();
  write_out(session.json() ? json_line(json) : opened.store->scanner_pattern() + "\n");
  return ExitCode::ok;
}

}  // namespace

void add_setup_commands(CLI::App& app, Run& chosen) {
  std::shared_ptr<InitOptions> init;
  add_command(app, chosen, "init", "Make a database, its key file and the workspace", run_init, init);

  std::shared_ptr<KeygenOptions> keygen;
  CLI::App* command =
      add_command(app, chosen, "keygen", "Write a new key file (mode 0600; never overwrites)", run_keygen, keygen);
  command->add_option("PATH", keygen->path, "The key file to write")->required();

  std::shared_ptr<PatternOptions> pattern;
  add_command(app, chosen, "pattern", "Print the regular expression that finds tokens in any text", run_pattern,
              pattern);
}

}  // namespace tokenstore::cli
