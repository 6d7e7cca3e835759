/// What every command runs with: the global options, and the store they lead to. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cli/exit_code.hpp"
#include "cli/key_source.hpp"
#include "cli/output.hpp"
#include "cli/place.hpp"
#include "cli/present.hpp"
#include "tokenstore/open.hpp"

namespace tokenstore::cli {

struct Globals {
  std::string database;
  KeySource key;
  std::string journal;  ///< empty: none
  std::string schema = "tokenstore";
  bool schema_given = false;  ///< on the command line: a file has none
  std::string workspace = "default";
  bool workspace_given = false;  ///< on the command line: a journal is shown of all
  std::string prefix = "pat";
  std::string as = "host";
  bool json = false;
  bool quiet = false;
  bool read_only = false;
};

enum class Access : std::uint8_t { reading, writing, creating };
/// Opens a PostgreSQL URI. A Failure if this program was built without PostgreSQL.
std::shared_ptr<Backend> open_postgres(const std::string& place, const std::string& schema, Access access);

class Session {
 public:
  explicit Session(const Globals& globals) : globals_(globals) {}

  const Globals& globals() const noexcept { return globals_; }
  bool json() const noexcept { return globals_.json; }
  bool quiet() const noexcept { return globals_.quiet; }

  /// From `--as`.
  Actor actor() const;
  /// The store of `--db`, opened once. Never makes a database or a workspace: only `init` does.
  TokenStore& store();
  /// As the options say, for commands that open it their own way.
  OpenSqlite open_options();
  /// The keys, read once however often they are asked for: the place may be a pipe. `default_file` if none was
  /// named; root takes the file of the owner of `owner_of`, too.
  Keyring keyring(const std::string& default_file = {}, const std::string& owner_of = {});
  /// The same for a store in PostgreSQL.
  StoreOptions postgres_store_options() const;

  /// Writes the answer: one line of JSON with `--json`, else text unless `--quiet`.
  template <typename T>
  void answer(const T& what) const {
    answer(to_json(what), to_text(what));
  }
  void answer(const Json& json, const std::string& text) const;
  /// Says something to a person on standard error; not with `--quiet` or `--json`.
  void note(const std::string& line) const;

 private:
  const Globals& globals_;
  SecretText keyring_text_;
  Opened opened_;
};

}  // namespace tokenstore::cli
