#include "cli/session.hpp"

#include <fmt/format.h>

#include <string_view>

#ifdef TOKENSTORE_CLI_POSTGRES
#include "tokenstore/backends/postgres.hpp"
#endif

namespace tokenstore::cli {

std::shared_ptr<Backend> open_postgres([[maybe_unused]] const std::string& place,
                                       [[maybe_unused]] const std::string& schema, [[maybe_unused]] Access access) {
#ifdef TOKENSTORE_CLI_POSTGRES
  PostgresOptions postgres;
  postgres.conninfo = place;
  postgres.schema = schema;
  postgres.create = access == Access::creating;
  postgres.read_only = access == Access::reading;
  postgres.max_staleness = std::chrono::milliseconds(0);  // one process, one question
  postgres.deadline = std::chrono::seconds(60);
  return take(postgres_backend(postgres));
#else
  throw Failure(Error(Status::unsupported, "this tokenstore was built without PostgreSQL"));
#endif
}

Actor Session::actor() const {
  const std::string_view as = globals_.as;
  constexpr std::string_view user = "user:";
  constexpr std::string_view administrator = "administrator:";
  if (as == "host") return Actor::host();
  if (as.size() > user.size() && as.starts_with(user)) return Actor::user(std::string(as.substr(user.size())));
  if (as.size() > administrator.size() && as.starts_with(administrator)) {
    return Actor::administrator(std::string(as.substr(administrator.size())));
  }
  throw usage_failure("--as takes host, user:NAME or administrator:NAME");
}

Keyring Session::keyring(const std::string& default_file, const std::string& owner_of) {
  if (keyring_text_.size() == 0) keyring_text_ = read_keyring(globals_.key, default_file, owner_of).reveal_text();
  return take(Keyring::from_text(keyring_text_.reveal()));
}

OpenSqlite Session::open_options() {
  if (globals_.database.empty()) throw usage_failure("no database: give --db PATH or set TOKENSTORE_DB");
  if (is_postgres(globals_.database)) {
    throw usage_failure("this command needs a file, not PostgreSQL");
  }
  if (globals_.schema_given) throw usage_failure("--schema is for PostgreSQL: a file has none");
  OpenSqlite options;
  options.sqlite.path = globals_.database;
  options.sqlite.create = false;
  options.sqlite.read_only = globals_.read_only;
  if (globals_.key.to_be_read_first()) {
    options.keyring = keyring();
  } else {
    options.key_file = globals_.key.file;
    options.key_file_trust = globals_.key.key_file_trust();
  }
  options.store.journal = globals_.journal;
  options.store.workspace = globals_.workspace;
  options.store.prefix = globals_.prefix;
  options.store.create_workspace = false;
  options.store.cache_bytes = std::size_t{1} << 20U;  // one process, one question: a large cache is waste
  return options;
}

StoreOptions Session::postgres_store_options() const {
  StoreOptions options;
  options.journal = globals_.journal;
  options.workspace = globals_.workspace;
  options.prefix = globals_.prefix;
  options.create_workspace = false;
  options.cache_bytes = 0;
  return options;
}

TokenStore& Session::store() {
  if (opened_.store) return *opened_.store;
  if (is_postgres(globals_.database)) {
    Keyring keys = keyring();
    const Access access = globals_.read_only ? Access::reading : Access::writing;
    const auto backend = open_postgres(globals_.database, globals_.schema, access);
    // A key file is changed where it lies; what can be read only once is not.
    opened_.store =
        take(globals_.key.to_be_read_first()
                 ? TokenStore::open(backend, std::move(keys), postgres_store_options())
                 : TokenStore::open(backend, key_file_source(globals_.key.file, globals_.key.key_file_trust()),
                                    postgres_store_options()));
  } else {
    opened_ = take(open_sqlite(open_options()));
  }
  if (const std::uint64_t healed = opened_.store->statistics().healed; healed != 0) {
    note(fmt::format("the database was older than its journal: put {} record{} forward again from it", healed,
                     healed == 1 ? "" : "s"));
  }
  return *opened_.store;
}

void Session::answer(const Json& json, const std::string& text) const {
  if (globals_.json) {
    write_out(json_line(json));
  } else if (!globals_.quiet) {
    write_out(text);
  }
}

void Session::note(const std::string& line) const {
  if (!globals_.json && !globals_.quiet) write_err(printable(line) + "\n");
}

}  // namespace tokenstore::cli
