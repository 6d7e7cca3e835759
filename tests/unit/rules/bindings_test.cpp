/// What a seal binds: tampering with genuine records and with the change feed of a SQLite file, as somebody would who
/// has the sqlite3 shell, or a leaked key that is retired. Two stores with a warm cache each, and one without.
#include <sqlite3.h>

#include "seal/sealer.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

const Actor host = Actor::host();

void run(const std::string& path, const std::string& statement) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  sqlite3_busy_timeout(database, 5000);
  char* message = nullptr;
  const int code = sqlite3_exec(database, statement.c_str(), nullptr, nullptr, &message);
  CAPTURE(statement, message == nullptr ? "" : message);
  sqlite3_free(message);
  sqlite3_close(database);
  REQUIRE(code == SQLITE_OK);
}

Keyring keyring_of(KeyUse first, std::optional<KeyUse> second) {
  Keyring keyring;
  REQUIRE(keyring.add("0A", first, test::master_key(1)).ok());
  if (second) REQUIRE(keyring.add("0B", *second, test::master_key(99)).ok());
  return keyring;
}

/// Two stores on backends of their own, as two processes would have them.
struct TwoHosts {
  explicit TwoHosts(Keyring first = test::one_key(), Keyring second = test::one_key())
      : one(open(std::move(first))), two(open(std::move(second))) {}

  std::unique_ptr<TokenStore> open(Keyring keyring, std::size_t cache = StoreOptions{}.cache_bytes,
                                   std::int64_t clock_ahead = 0) const {
    StoreOptions options;
    options.clock = std::make_shared<test::FakeClock>(test::new_year_2026 + clock_ahead);
    options.cache_bytes = cache;
    auto opened = TokenStore::open(sqlite_backend({.path = path}).value(), std::move(keyring), options);
    if (!opened.ok()) FAIL(opened.error().message());
    return std::move(*opened);
  }
  /// Issued by the first and known to both caches.
  test::Kept warm(const std::string& owner = "alice") const {
    const auto token = World::issue(*one, {.owner = owner, .scopes = {"read"}});
    for (int round = 0; round < 2; ++round) {
      REQUIRE(World::ask(*one, token) == Reason::none);
      REQUIRE(World::ask(*two, token) == Reason::none);
    }
    REQUIRE(two->statistics().hits > 0);
    return token;
  }
  Reason without_cache(const test::Kept& token) const { return World::ask(*open(test::one_key(), 0), token); }

  test::TempDirectory directory;
  std::string path = directory.file("tokens.db");
  std::unique_ptr<TokenStore> one;
  std::unique_ptr<TokenStore> two;
};

seal::Place place_of(Backend& backend) {
  return {backend.load_store()->value().id, "default", backend.load_workspace("default")->value().birth};
}

std::unique_ptr<seal::Sealer> thief() {
  return std::move(*seal::Sealer::create(keyring_of(KeyUse::active, std::nullopt)));
}

}  // namespace

TEST_CASE("a retired key that leaked widens no token, lifts no suspension and sets no policy") {
  const test::TempDirectory directory;
  const std::string path = directory.file("tokens.db");
  const auto backend = sqlite_backend({.path = path}).value();
  StoreOptions options;
  options.cache_bytes = 0;
  { REQUIRE(TokenStore::open(backend, keyring_of(KeyUse::active, std::nullopt), options).ok()); }
  const auto both = TokenStore::open(backend, keyring_of(KeyUse::verify_only, KeyUse::active), options).value();
  const auto token = World::issue(*both, {.owner = "alice", .scopes = {"read"}});
  REQUIRE(both->suspend(host, "alice").ok());
  REQUIRE(both->reseal(host)->next.empty());
  const auto store = TokenStore::open(backend, keyring_of(KeyUse::retired, KeyUse::active), options).value();
  REQUIRE(store->check(host)->problem_count == 0);

  const auto stolen = thief();
  const seal::Place place = place_of(*backend);
  OwnerRecord owner = backend->load_owner("default", "alice")->value();
  owner.suspended_at = std::numeric_limits<UnixMillis>::max();
  stolen->seal(place, owner);
  TokenRecord record = backend->load_token("default", token.id)->value();
  record.scopes = "admin";
  record.expires_at = never;
  stolen->seal(place, record);
  REQUIRE(stolen->verify(place, record) == seal::SealCheck::genuine);
  for (Record forged : {Record(owner), Record(record)}) {
    std::visit([](auto& each) { ++each.revision; }, forged);
    if (auto* each = std::get_if<OwnerRecord>(&forged)) stolen->seal(place, *each);
    if (auto* each = std::get_if<TokenRecord>(&forged)) stolen->seal(place, *each);
    const RecordRevision before = std::visit([](const auto& each) { return each.revision; }, forged) - 1;
    const Mutation step = Mutation::put(forged, before);
    REQUIRE(test::commit_plainly(*backend, "default", {&step, 1}).outcome == CommitOutcome::committed);
    CHECK(store->validate(token.text, Demand("admin")).reason() == Reason::retired_key);
    CHECK(store->validate(token.text, Demand("read")).reason() == Reason::retired_key);
  }
  CHECK(store->check(host)->problem_count >= 2);
  WorkspaceRecord settings = backend->load_workspace("default")->value();
  settings.never_allowed = true;
  const RecordRevision before = settings.revision++;
  stolen->seal(place.store, settings);
  const Mutation step = Mutation::put(settings, before);
  REQUIRE(test::commit_plainly(*backend, "default", {&step, 1}).outcome == CommitOutcome::committed);
  CHECK(store->policy(host).status() == Status::tampered);
  CHECK(TokenStore::open(backend, keyring_of(KeyUse::retired, KeyUse::active), options).status() == Status::wrong_key);
  // The control: while the key was trusted, such records would have been.
  CHECK(TokenStore::open(backend, keyring_of(KeyUse::verify_only, KeyUse::active), options).ok());
}

TEST_CASE("sealing anew leaves nothing hanging on the old key, whatever is in use meanwhile") {
  TwoHosts hosts;
  std::vector<test::Kept> tokens;
  for (int number = 0; number < 450; ++number) {
    tokens.push_back(World::issue(*hosts.one, {.owner = "owner" + std::to_string(number % 230), .scopes = {"read"}}));
  }
  REQUIRE(hosts.one->revoke(host, tokens[7].id).ok());
  const auto rotated = hosts.open(keyring_of(KeyUse::verify_only, KeyUse::active));
  auto report = rotated->check(host).value();
  REQUIRE(report.keys.size() == 2);
  CHECK(report.keys[0].key_id == "0A");
  CHECK(report.keys[0].seals == 1 + 1 + 230 + 450);
  CHECK(report.keys[0].living_tokens == 449);
  std::string cursor;
  std::uint64_t resealed = 0;
  int calls = 0;
  do {
    const auto some = rotated->reseal(host, cursor, std::chrono::milliseconds(1)).value();
    resealed += some.resealed;
    cursor = some.next;
    REQUIRE(World::ask(*rotated, tokens[8]) == Reason::none);
    ++calls;
  } while (!cursor.empty());
  CHECK(calls >= 1);
  CHECK(resealed == 1 + 1 + 230 + 450);
  CHECK(rotated->reseal(host)->resealed == 0);
  CHECK(rotated->reseal(host)->kept == 1 + 1 + 230 + 450);
  report = rotated->check(host).value();
  CHECK(report.problem_count == 0);
  REQUIRE(report.keys.size() == 2);
  CHECK(report.keys[0].seals == 0);
  CHECK(report.keys[0].living_tokens == 449);
  for (const auto& token : tokens) {
    REQUIRE(World::ask(*rotated, token) == (&token == &tokens[7] ? Reason::revoked : Reason::none));
  }
  CHECK(rotated->reseal(host, "x").status() == Status::invalid_argument);
  CHECK(rotated->reseal(Actor::user("alice")).status() == Status::permission_denied);
}

TEST_CASE("an owner whose record was removed is born anew without their old tokens") {
  TwoHosts hosts;
  const auto token = hosts.warm();
  REQUIRE(hosts.one->suspend(host, "alice").ok());
  run(hosts.path, "DELETE FROM owner WHERE owner = 'alice'");
  const auto fresh = World::issue(*hosts.two, {.owner = "alice", .scopes = {"read"}});
  for (const auto* store : {&hosts.one, &hosts.two}) {
    CHECK(World::ask(**store, token) != Reason::none);
    CHECK(World::ask(**store, fresh) == Reason::none);
  }
  CHECK(hosts.without_cache(token) == Reason::tampered);
  CHECK(hosts.one->check(host)->problem_count == 1);
}

TEST_CASE("a workspace whose rows were hidden for a moment is another workspace") {
  TwoHosts hosts;
  const auto token = hosts.warm();
  REQUIRE(hosts.one->suspend(host, "alice").ok());
  const std::string aside = "ATTACH '" + hosts.directory.file("aside.db") + "' AS aside;";
  run(hosts.path, aside +
                      "CREATE TABLE aside.token AS SELECT * FROM token; DELETE FROM main.token;"
                      "DELETE FROM main.owner; DELETE FROM main.workspace;");
  const auto born_again = hosts.open(test::one_key());
  const auto fresh = World::issue(*born_again, {.owner = "alice", .scopes = {"read"}});
  run(hosts.path, aside + "INSERT INTO main.token SELECT * FROM aside.token;");
  REQUIRE(born_again->suspend(host, "bob").ok());  // so that everybody looks
  CHECK(World::ask(*born_again, fresh) == Reason::none);
  CHECK(World::ask(*born_again, token) == Reason::tampered);
  CHECK(World::ask(*hosts.one, token) != Reason::none);
  CHECK(World::ask(*hosts.two, token) != Reason::none);
}

TEST_CASE("a row of another store under the same keyring is not one of this store") {
  TwoHosts production;
  TwoHosts staging;
  const auto foreign = World::issue(*staging.one, {.owner = "alice", .scopes = {"read"}});
  REQUIRE(World::issue(*production.one, {.owner = "alice", .scopes = {"read"}}).id != foreign.id);
  run(production.path, "ATTACH '" + staging.path + "' AS staging; INSERT INTO token SELECT * FROM staging.token;");
  CHECK(production.without_cache(foreign) == Reason::tampered);
  CHECK(World::ask(*production.two, foreign) == Reason::tampered);
  run(production.path, "ATTACH '" + staging.path +
                           "' AS staging; INSERT OR REPLACE INTO owner SELECT * FROM staging.owner;"
                           "INSERT OR REPLACE INTO workspace SELECT * FROM staging.workspace;");
  CHECK(TokenStore::open(sqlite_backend({.path = production.path}).value(), test::one_key()).status() ==
        Status::wrong_key);
}

TEST_CASE("a change feed that was changed is not believed") {
  const std::string newest = "(SELECT revision FROM feed)";
  const std::vector<std::string> attacks = {
      "DELETE FROM change WHERE revision = " + newest,
      "UPDATE change SET entry = (SELECT entry FROM change ORDER BY revision LIMIT 1) WHERE revision = " + newest,
      "UPDATE change SET entry = substr(entry, 1, 2) WHERE revision = " + newest,
      "UPDATE change SET link = randomblob(32) WHERE revision = " + newest,
      "UPDATE feed SET link = randomblob(32)",
      "UPDATE feed SET feed_from = revision",
      "UPDATE feed SET revision = revision - 3",
      "UPDATE feed SET revision = revision + 1",
      "UPDATE change SET revision = revision + 1 WHERE revision = " + newest +
          "; UPDATE feed SET revision = revision + 1",
      "DELETE FROM feed",
  };
  for (const std::string& attack : attacks) {
    CAPTURE(attack);
    TwoHosts hosts;
    const auto token = hosts.warm();
    const auto other = hosts.warm("bob");
    REQUIRE(hosts.one->revoke(host, token.id).ok());
    run(hosts.path, attack);
    CHECK(World::ask(*hosts.two, token) == Reason::revoked);
    CHECK(World::ask(*hosts.two, other) == Reason::none);
  }
  // The control: an honest feed makes nobody forget, and fits.
  TwoHosts hosts;
  const auto token = hosts.warm();
  hosts.warm("bob");
  REQUIRE(hosts.one->revoke(host, token.id).ok());
  CHECK(World::ask(*hosts.two, token) == Reason::revoked);
  CHECK(hosts.two->statistics().dropped_all == 0);
  CHECK(hosts.two->statistics().feed_mismatches == 0);
  CHECK(hosts.one->check(host)->problem_count == 0);
}

TEST_CASE("a feed that was lowered and has grown again is not taken for the one before") {
  TwoHosts hosts;
  const auto token = hosts.warm();
  const auto third = hosts.open(test::one_key());
  run(hosts.path,
      "UPDATE feed SET revision = revision - 1, link = (SELECT link FROM change WHERE change.revision = "
      "feed.revision - 1); DELETE FROM change WHERE revision > (SELECT revision FROM feed)");
  REQUIRE(hosts.one->revoke(host, token.id).ok());  // takes the number that the other has read already
  CHECK(World::ask(*hosts.two, token) == Reason::revoked);
  CHECK(hosts.two->statistics().feed_mismatches == 1);
}

TEST_CASE("the check names a change feed that does not fit") {
  TwoHosts hosts;
  for (int number = 0; number < 5; ++number) hosts.warm("owner" + std::to_string(number));
  REQUIRE(hosts.one->check(host)->problem_count == 0);
  run(hosts.path, "DELETE FROM change WHERE revision = 3");
  CHECK(hosts.one->check(host)->problem_count == 1);
}

TEST_CASE("a schema with anything that is not ours is neither written to nor opened nor believed") {
  const std::vector<std::string> additions = {
      "CREATE UNIQUE INDEX swallow ON change (workspace)",
      "CREATE INDEX swallow ON token (owner)",
      "CREATE TRIGGER swallow BEFORE INSERT ON change BEGIN SELECT RAISE(IGNORE); END",
      "CREATE VIEW swallow AS SELECT * FROM token",
      "CREATE TABLE swallow (a)",
      "ALTER TABLE token ADD COLUMN swallow TEXT",
      "DROP INDEX token_revoked",
  };
  for (const std::string& addition : additions) {
    CAPTURE(addition);
    TwoHosts hosts;
    const auto token = hosts.warm();
    run(hosts.path, "DELETE FROM change");
    run(hosts.path, addition);
    CHECK(hosts.one->revoke(host, token.id).status() == Status::not_a_store);
    CHECK(World::ask(*hosts.one, token) == Reason::revoked);  // here at once; storage could not be told
    const auto problems = hosts.one->check(host);
    CHECK((!problems.ok() || problems->problem_count >= 1));
    CHECK(sqlite_backend({.path = hosts.path}).status() == Status::not_a_store);
  }
  TwoHosts hosts;
  run(hosts.path, "ANALYZE");  // gathers statistics, and is let be
  CHECK(hosts.one->check(host)->problem_count == 0);
  CHECK(sqlite_backend({.path = hosts.path}).ok());
}

TEST_CASE("a cached token whose row was changed or removed can still be ended everywhere") {
  using End = std::function<Status(TokenStore&, const std::string&)>;
  const std::vector<End> ends = {
      [](TokenStore& store, const std::string& id) { return store.revoke(host, id).status(); },
      [](TokenStore& store, const std::string& id) { return store.expire(host, id).status(); },
      [](TokenStore& store, const std::string& id) { return store.remove(host, id).status(); },
      [](TokenStore& store, const std::string&) { return store.revoke_all(host, "alice").status(); },
      [](TokenStore& store, const std::string&) { return store.suspend(host, "alice").status(); },
  };
  const std::vector<std::string> harms = {"DELETE FROM token", "UPDATE token SET scopes = 'admin'",
                                          "UPDATE token SET owner = 'bob'", "DELETE FROM owner",
                                          "DELETE FROM owner; DELETE FROM token"};
  for (const std::string& harm : harms) {
    for (std::size_t at = 0; at < ends.size(); ++at) {
      CAPTURE(harm, at);
      TwoHosts hosts;
      const auto token = hosts.warm();
      run(hosts.path, harm);
      CHECK(World::ask(*hosts.two, token) == Reason::none);  // remembered from when it was genuine
      ends[at](*hosts.one, token.id);
      CHECK(World::ask(*hosts.one, token) != Reason::none);
      CHECK(World::ask(*hosts.two, token) != Reason::none);
    }
  }
}

TEST_CASE("no ending depends on whose clock is right") {
  const std::int64_t ahead = 3'600'000;
  TwoHosts hosts;
  const auto early = hosts.open(test::one_key(), StoreOptions{}.cache_bytes, ahead);
  const auto expired = hosts.warm();
  REQUIRE(early->expire(host, expired.id)->state == TokenState::expired);
  CHECK(World::ask(*hosts.two, expired) == Reason::expired);
  CHECK(hosts.two->get(host, expired.id)->state == TokenState::expired);

  // Over by the clock that is ahead, and ended there.
  const auto shorter =
      World::issue(*hosts.one, {.owner = "alice", .scopes = {"read"}, .lifetime = Lifetime::millis(ahead / 2)});
  REQUIRE(World::ask(*hosts.two, shorter) == Reason::none);
  REQUIRE(early->expire(host, shorter.id).ok());
  CHECK(World::ask(*hosts.two, shorter) == Reason::expired);

  const auto another =
      World::issue(*hosts.one, {.owner = "bob", .scopes = {"read"}, .lifetime = Lifetime::millis(ahead / 2)});
  REQUIRE(World::ask(*hosts.two, another) == Reason::none);
  REQUIRE(early->revoke_all(host, "bob").ok());
  CHECK(World::ask(*hosts.two, another) == Reason::revoked);
  CHECK(hosts.two->get(host, another.id)->state == TokenState::revoked);
}

TEST_CASE("a row that was hidden while everything was revoked has ended with the rest") {
  TwoHosts hosts;
  const auto token = hosts.warm();
  const std::string aside = "ATTACH '" + hosts.directory.file("aside.db") + "' AS aside;";
  run(hosts.path, aside + "CREATE TABLE aside.token AS SELECT * FROM token; DELETE FROM main.token;");
  REQUIRE(hosts.one->revoke_all(host, "alice").ok());
  run(hosts.path, aside + "INSERT INTO main.token SELECT * FROM aside.token;");
  CHECK(World::ask(*hosts.one, token) == Reason::revoked);
  CHECK(World::ask(*hosts.two, token) == Reason::revoked);
  CHECK(hosts.without_cache(token) == Reason::revoked);
}
