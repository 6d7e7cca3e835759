// Database files and their WAL, damaged or made up by whoever can write them: an error with words, or nothing but the
// truth. A token that was revoked, expired or deleted, or whose owner is suspended, never validates.
//
// The input is a program of changes to the files of a small store, or the whole content of one of them. What the
// endings did is in the database, and the WAL holds later commits over the same pages: so nothing that a damaged file
// leaves is an older genuine state, which SECURITY.md says cannot be told from the newest.
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <vector>

#include "fuzz/fuzz.hpp"
#include "support/canary.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "tokenstore/store.hpp"

using namespace tokenstore;
using tokenstore::test::Input;
using tokenstore::test::promise;

namespace {

constexpr std::size_t page_size = 4096;
constexpr std::size_t largest_file = std::size_t{1} << 20;
#ifdef TOKENSTORE_FUZZ_CONTROL
constexpr bool endings_are_in_the_database = false;  // lost with the WAL: the promise has to break
#else
constexpr bool endings_are_in_the_database = true;
#endif

struct Known {
  std::string text;
  std::string id;
  std::string owner;
};

struct Files {
  std::string database;
  std::string wal;
};

Keyring fixed_key() {
  std::array<std::uint8_t, master_key_size> key{};
  key.fill(0x5C);
  return Keyring::from_bytes(key, "0A").value();
}

Result<std::unique_ptr<TokenStore>> open_store(const std::string& path, bool read_only = false) {
  SqliteOptions options;
  options.path = path;
  options.read_only = read_only;
  options.durability = SqliteOptions::Durability::survives_crash_but_not_power_cut;
  auto backend = sqlite_backend(options);
  if (!backend.ok()) return backend.error();
  StoreOptions plain;
  plain.cache_bytes = std::size_t{1} << 16;
  return TokenStore::open(*backend, fixed_key(), plain);
}

/// The genuine store: made once, copied for every input.
class Scene {
 public:
  Scene() {
    const std::string path = directory_.file("genuine.db");
    auto store = open_store(path).value();
    const Actor host = Actor::host();
    for (const char* owner : {"revoked", "expired", "deleted", "suspended", "alive"}) {
      auto issued = store->issue(host, {.owner = owner, .scopes = {"read"}}).value();
      tokens_.push_back({std::string(issued.text.reveal()), issued.info.id, owner});
    }
    promise(store->revoke(host, tokens_[0].id).ok() && store->expire(host, tokens_[1].id).ok() &&
                store->remove(host, tokens_[2].id).ok() && store->suspend(host, tokens_[3].owner).ok(),
            "every token but the last ends");
    if (endings_are_in_the_database) empty_wal(path);
    for (const char* owner : {"revoked", "expired", "deleted", "alive"}) {
      promise(store->issue(host, {.owner = owner, .scopes = {"read"}}).ok(), "later commits are in the WAL");
    }
    files_ = {test::file_content(path), test::file_content(path + "-wal")};
    promise(!files_.database.empty() && !files_.wal.empty(), "there are both files");
  }

  const Files& files() const { return files_; }
  const std::vector<Known>& tokens() const { return tokens_; }
  const Known& alive() const { return tokens_.back(); }

  /// Lays the files down where the last ones were.
  std::string place(const Files& files) const {
    const std::string path = directory_.file("tried.db");
    for (const char* suffix : {"-wal", "-shm", "-journal"}) std::filesystem::remove(path + suffix);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << files.database;
    if (!files.wal.empty()) std::ofstream(path + "-wal", std::ios::binary) << files.wal;
    return path;
  }

 private:
  static void empty_wal(const std::string& path) {
    sqlite3* raw = nullptr;
    promise(sqlite3_open(path.c_str(), &raw) == SQLITE_OK &&
                sqlite3_exec(raw, "PRAGMA wal_checkpoint(TRUNCATE)", nullptr, nullptr, nullptr) == SQLITE_OK,
            "the WAL is emptied");
    sqlite3_close(raw);
  }

  test::TempDirectory directory_;
  std::vector<Known> tokens_;
  Files files_;
};

/// Somewhere in a file, and often where SQLite keeps what it is led by: the beginning of a page.
std::size_t some_offset(Input& input, std::size_t size) {
  const std::size_t high = input.octet();
  const std::size_t low = input.octet();
  const std::size_t at = high < 128 ? high * page_size + low : (high - 128) * 512 + low * 2;
  return size == 0 ? 0 : at % size;
}

void change(std::string& file, Input& input) {
  const std::uint8_t how = input.octet() % 6;
  const std::size_t at = some_offset(input, file.size());
  if (how == 0 && !file.empty()) file[at] = static_cast<char>(file[at] ^ input.octet());
  if (how == 1) file.resize(at);
  if (how == 2) {
    const std::string_view run = input.text();
    file.replace(at, std::min(run.size(), file.size() - at), run);
  }
  if (how == 3 && file.size() < largest_file) file += input.text();
  if (how == 4 && file.size() >= page_size) {  // a page takes another's place
    const std::size_t from = some_offset(input, file.size()) / page_size * page_size;
    file.replace(at / page_size * page_size, page_size, std::string(file, from, page_size));
  }
  if (how == 5) file.insert(at, input.text());
}

Files made_from(const Files& genuine, Input& input) {
  Files files = genuine;
  const std::uint8_t how = input.octet() % 8;
  if (how == 0) return {std::string(input.rest()), ""};
  if (how == 1) return {genuine.database, std::string(input.rest())};
  if (how < 4) files.wal.clear();
  for (int changes = 0; changes < 6 && !input.rest().empty(); ++changes) {
    const bool of_the_wal = how >= 6 || (how >= 4 && input.octet() % 2 == 1);
    change(of_the_wal ? files.wal : files.database, input);
  }
  return files;
}

void check_words(const Error& error, const Scene& scene) {
  const std::string& message = error.message();
  promise(!message.empty() && message.find('\n') == std::string::npos, "an error is one line");
  promise(error.status() != Status::internal, "no file is an internal error");
  promise(message.find("\x5C\x5C\x5C\x5C") == std::string::npos && message.find("5c5c5c5c") == std::string::npos,
          "no key is in a message");
  for (const Known& token : scene.tokens()) {
    promise(!test::leaks(message, test::secret_of(token.text)), "no secret is in a message");
  }
}

/// What is shown of a token is what was sealed, or that it cannot be believed.
void check_info(const TokenInfo& info, const Scene& scene) {
  if (info.state == TokenState::tampered) return;
  for (const Known& token : scene.tokens()) {
    if (token.id != info.id) continue;
    promise(token.owner == info.owner && info.scopes == std::vector<std::string>{"read"}, "a token keeps its owner");
    if (token.owner == "revoked") promise(info.state == TokenState::revoked, "a revoked token is shown as such");
    if (token.owner == "expired") promise(info.state == TokenState::expired, "an expired token is shown as such");
    promise(token.owner != "deleted", "a deleted token is not shown");
  }
}

void check_verdicts(TokenStore& store, const Scene& scene) {
  for (const Known& token : scene.tokens()) {
    const Verdict verdict = store.validate(token.text, Demand("read"));
    if (!verdict.valid()) continue;
    promise(&token == &scene.alive(), "a token that has ended stays so");
    promise(verdict.owner() == token.owner && verdict.id() == token.id, "a valid token is its own");
    promise(!store.validate(token.text, Demand("write")).valid(), "a token grants its own scopes alone");
  }
}

void judge(const Result<std::unique_ptr<TokenStore>>& opened, const Scene& scene) {
  if (!opened.ok()) return check_words(opened.error(), scene);
  TokenStore& store = **opened;
  const Actor host = Actor::host();
  check_verdicts(store, scene);
  for (const Known& token : scene.tokens()) {
    const auto info = store.get(host, token.id);
    if (info.ok()) check_info(*info, scene);
    if (!info.ok()) check_words(info.error(), scene);
  }
  const auto page = store.list(host, {});
  if (page.ok()) std::for_each(page->tokens.begin(), page->tokens.end(), [&](const auto& t) { check_info(t, scene); });
  if (!page.ok()) check_words(page.error(), scene);
  const auto report = store.check(host);
  if (!report.ok()) check_words(report.error(), scene);
  // A change that goes through holds, whatever it was written into.
  const auto ended = store.revoke(host, scene.alive().id);
  if (!ended.ok()) check_words(ended.error(), scene);
  if (ended.ok()) promise(!store.validate(scene.alive().text, Demand("read")).valid(), "revoked is revoked");
  check_verdicts(store, scene);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Scene scene;
  Input input(data, size);
  const bool read_only = input.octet() % 8 == 7;
  const Files files = made_from(scene.files(), input);
  judge(open_store(scene.place(files), read_only), scene);
  return 0;
}
