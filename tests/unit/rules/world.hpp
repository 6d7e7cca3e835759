/// A store to try a rule on: a clock that the test moves, storage whose strings it can pull, fixed keys.
#pragma once

#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "support/fake_clock.hpp"
#include "support/plain_announcement.hpp"
#include "support/puppet_backend.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/memory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "tokenstore/store.hpp"

namespace tokenstore::test {

/// 2026-01-01T00:00:00Z.
inline constexpr UnixMillis new_year_2026 = 1'767'225'600'000;

inline std::array<std::uint8_t, master_key_size> master_key(std::uint8_t seed) {
  std::array<std::uint8_t, master_key_size> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(seed + 7 * i);
  return key;
}

inline Keyring one_key(std::uint8_t seed = 1, std::string_view id = "0A") {
  return Keyring::from_bytes(master_key(seed), id).value();
}

/// What a client and a host keep of an issued token.
struct Kept {
  std::string text;
  std::string id;
};

/// Every rule holds without a cache and with one.
inline std::vector<std::size_t> cache_sizes() {
  return {0, StoreOptions{}.cache_bytes};
}

/// What the rules are tried on: memory, and in a program of its own a SQLite file.
#ifdef TOKENSTORE_RULES_ON_SQLITE
inline std::shared_ptr<Backend> storage_of_rules() {
  struct File {
    TempDirectory directory;
    std::shared_ptr<Backend> backend;
  };
  auto file = std::make_shared<File>();
  SqliteOptions options;
  options.path = file->directory.file("tokens.db");
  options.durability = SqliteOptions::Durability::survives_crash_but_not_power_cut;  // no rule depends on it
  file->backend = sqlite_backend(options).value();
  return {file, file->backend.get()};
}
#else
inline std::shared_ptr<Backend> storage_of_rules() {
  return memory_backend();
}
#endif

struct World {
  explicit World(std::size_t cache = 0, std::shared_ptr<Backend> storage = storage_of_rules(),
                 UnixMillis start = new_year_2026)
      : cache_bytes(cache),
        clock(std::make_shared<FakeClock>(start)),
        backend(std::make_shared<PuppetBackend>(std::move(storage))),
        store(open()) {}

  StoreOptions options(std::string workspace = "default") const {
    StoreOptions chosen;
    chosen.workspace = std::move(workspace);
    chosen.cache_bytes = cache_bytes;
    chosen.clock = clock;
    return chosen;
  }
  /// One more store on the same storage.
  std::unique_ptr<TokenStore> open(Keyring keyring = one_key(), std::string workspace = "default") const {
    auto opened = TokenStore::open(backend, std::move(keyring), options(std::move(workspace)));
    if (!opened.ok()) FAIL("the store did not open: " << opened.error().message());
    return std::move(*opened);
  }

  Kept issue(const IssueRequest& request) { return issue(*store, request); }
  Kept issue(const std::string& owner = "alice") { return issue({.owner = owner, .scopes = {"read"}}); }
  static Kept issue(TokenStore& from, const IssueRequest& request) {
    auto issued = from.issue(Actor::host(), request);
    if (!issued.ok()) FAIL("nothing was issued: " << issued.error().message());
    return {std::string(issued->text.reveal()), issued->info.id};
  }
  void set_policy(const Policy& policy) { REQUIRE(store->set_policy(Actor::host(), policy).ok()); }

  Reason ask(const Kept& token, std::string_view scope = "read") { return ask(*store, token, scope); }
  /// Why not; `none` if valid. A refusal never says who and what.
  static Reason ask(TokenStore& of, const Kept& token, std::string_view scope = "read") {
    const Verdict verdict = of.validate(token.text, Demand(scope));
    REQUIRE(verdict.valid() == (verdict.reason() == Reason::none));
    REQUIRE((verdict.outcome() == Outcome::unavailable) == (verdict.reason() == Reason::storage));
    if (verdict.valid() || verdict.reason() == Reason::insufficient_scope) {
      REQUIRE(verdict.id() == token.id);
    } else {
      REQUIRE(verdict.id().empty());
      REQUIRE(verdict.owner().empty());
      REQUIRE(verdict.scopes().empty());
      REQUIRE(verdict.metadata().empty());
      REQUIRE(verdict.expires_at() == 0);
    }
    return verdict.reason();
  }

  /// Writes a record past the library, as whoever can write the database but lacks the key would.
  void smuggle(const Record& record, RecordRevision expected, std::string_view workspace = "default") {
    Mutation put;
    put.action = Mutation::Action::put;
    put.kind = static_cast<RecordKind>(record.index() + 1);
    if (const auto* token = std::get_if<TokenRecord>(&record)) put.key = token->id;
    if (const auto* owner = std::get_if<OwnerRecord>(&record)) put.key = owner->owner;
    if (const auto* settings = std::get_if<WorkspaceRecord>(&record)) put.key = settings->workspace;
    put.expected = expected;
    put.record = record;
    // The change feed then does not fit, so that also a warm cache looks.
    REQUIRE(commit_plainly(backend->inner(), workspace, {&put, 1}).outcome == CommitOutcome::committed);
  }
  TokenRecord stored(std::string_view id, std::string_view workspace = "default") {
    return backend->inner().load_token(workspace, id).value().value();
  }
  OwnerRecord stored_owner(std::string_view owner, std::string_view workspace = "default") {
    return backend->inner().load_owner(workspace, owner).value().value();
  }
  WorkspaceRecord stored_workspace(std::string_view workspace = "default") {
    return backend->inner().load_workspace(workspace).value().value();
  }

  std::size_t cache_bytes;
  std::shared_ptr<FakeClock> clock;
  std::shared_ptr<PuppetBackend> backend;
  std::unique_ptr<TokenStore> store;
};

}  // namespace tokenstore::test

namespace Catch {
template <>
struct StringMaker<tokenstore::Reason> {
  static std::string convert(tokenstore::Reason reason) { return std::string(tokenstore::reason_name(reason)); }
};
template <>
struct StringMaker<tokenstore::Status> {
  static std::string convert(tokenstore::Status status) { return std::string(tokenstore::status_name(status)); }
};
template <>
struct StringMaker<tokenstore::TokenState> {
  static std::string convert(tokenstore::TokenState state) { return std::string(tokenstore::state_name(state)); }
};
}  // namespace Catch
