// A token's row in SQLite, written by whoever can write the file: never valid unless it is the row that was sealed.
#include <sqlite3.h>

#include <string>

#include "fuzz/fuzz.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "tokenstore/store.hpp"

using namespace tokenstore;
using tokenstore::test::Input;
using tokenstore::test::promise;

namespace {

constexpr const char* columns[] = {"id",          "key_id",     "verifier",     "owner",         "description",
                                   "scopes",      "metadata",   "created_at",   "created_by",    "not_before",
                                   "expires_at",  "revoked_at", "revoked_by",   "revoke_reason", "revision",
                                   "seal_key_id", "seal",       "last_used_at", "last_used_from"};

struct Scene {
  Scene() {
    SqliteOptions options;
    options.path = directory.file("store.db");
    options.durability = SqliteOptions::Durability::survives_crash_but_not_power_cut;
    std::array<std::uint8_t, master_key_size> key{};
    key.fill(5);
    StoreOptions plain;
    plain.cache_bytes = 0;  // each validation reads the row
    store = TokenStore::open(sqlite_backend(options).value(), Keyring::from_bytes(key, "0A").value(), plain).value();
    auto issued = store->issue(Actor::host(), {.owner = "alice", .scopes = {"read"}});
    text = std::string(issued->text.reveal());
    id = issued->info.id;
    promise(store->revoke(Actor::host(), id, "because").ok(), "a token can be revoked");
    promise(sqlite3_open(options.path.c_str(), &raw) == SQLITE_OK, "the file can be opened");
  }
  ~Scene() { sqlite3_close(raw); }
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  void run(const std::string& sql) { (void)sqlite3_exec(raw, sql.c_str(), nullptr, nullptr, nullptr); }

  test::TempDirectory directory;
  std::unique_ptr<TokenStore> store;
  std::string text;
  std::string id;
  sqlite3* raw = nullptr;
};

/// Puts a value of any kind into a column; SQLite refuses kinds that the column does not take.
void write(sqlite3* raw, const char* column, Input& input) {
  sqlite3_stmt* statement = nullptr;
  const std::string sql = "UPDATE token SET " + std::string(column) + " = ?1";
  if (sqlite3_prepare_v2(raw, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) return;
  const std::uint8_t kind = input.octet() % 4;
  if (kind == 0) {
    sqlite3_bind_int64(statement, 1, input.number());
  } else if (kind == 1) {
    sqlite3_bind_int64(statement, 1, input.octet());
  } else {
    const std::string_view text = input.text();
    const int size = static_cast<int>(text.size());
    if (kind == 2) sqlite3_bind_text(statement, 1, text.empty() ? "" : text.data(), size, SQLITE_TRANSIENT);
    if (kind == 3) sqlite3_bind_blob(statement, 1, text.empty() ? "" : text.data(), size, SQLITE_TRANSIENT);
  }
  sqlite3_step(statement);
  sqlite3_finalize(statement);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Scene scene;
  static const bool kept = [] {
    scene.run("CREATE TEMP TABLE kept AS SELECT * FROM token");
    return true;
  }();
  promise(kept, "the genuine row is kept");
  Input input(data, size);
  for (int changes = 0; changes < 4 && !input.rest().empty(); ++changes) {
    write(scene.raw, columns[input.octet() % std::size(columns)], input);
  }
  promise(!scene.store->validate(scene.text, Demand("read")).valid(), "a revoked token stays so");
  (void)scene.store->get(Actor::host(), scene.id).ok();
  const auto page = scene.store->list(Actor::host(), {});
  promise(page.ok() && page->tokens.size() <= 1, "a list shows the row or says that it cannot be believed");
  (void)scene.store->check(Actor::administrator("root")).ok();
  scene.run("BEGIN; DELETE FROM token; INSERT INTO token SELECT * FROM kept; COMMIT");
  promise(scene.store->validate(scene.text, Demand("read")).reason() == Reason::revoked, "the row is as it was");
  return 0;
}
