// A store with a journal: whatever ended comes back in no process that has it, however the database was put back.
//
// Each case has its control beside it: the same without a journal, which lets the token through.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "support/canary.hpp"
#include "support/count_from.hpp"
#include "support/puppet_backend.hpp"
#include "unit/journal/put_back_site.hpp"

namespace tokenstore::journal {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

TEST_CASE("no ending is undone by putting the rows back, in any process that has the journal, warm or cold") {
  const int rounds = tokenstore::test::count_from("TOKENSTORE_ROLLBACK_ROUNDS", 3);
  int controls = 0;
  for (int round = 0; round < rounds; ++round) {
    for (const Ending& ending : endings()) {
      INFO(ending.name);
      const Site site;
      auto ender = site.open(site.journal);
      auto other = site.open(site.journal);
      auto cold = site.open(site.journal, 0);
      auto control = site.open({});
      const Kept token = issue(*ender);
      for (TokenStore* store : {ender.get(), other.get(), cold.get(), control.get()}) {
        REQUIRE(valid_in(*store, token));
        REQUIRE(valid_in(*store, token));
      }
      site.keep();
      REQUIRE(ending.end(*ender, token));
      site.put_back();
      CHECK(reason_in(*ender, token) == Reason::rolled_back);
      CHECK(reason_in(*other, token) == Reason::rolled_back);
      CHECK(reason_in(*cold, token) == Reason::rolled_back);
      if (valid_in(*control, token)) ++controls;
      // Nor in one that is opened only now, for reading, or for writing, which heals.
      auto reader = site.open(site.journal, 0, true);
      CHECK(reason_in(*reader, token) == Reason::rolled_back);
      auto fresh = site.open(site.journal);
      CHECK_FALSE(valid_in(*fresh, token));
      CHECK(reason_in(*fresh, token) != Reason::rolled_back);
    }
  }
  CHECK(controls == rounds * static_cast<int>(endings().size()));
}

TEST_CASE("a database file from before the endings is harmless to whoever opens it with the journal") {
  const Site site;
  Kept token;
  {
    auto store = site.open(site.journal);
    token = issue(*store);
    site.keep();
    REQUIRE(store->revoke(host, token.id).ok());
  }
  site.put_back_file();
  CHECK(valid_in(*site.open({}), token));  // the control
  CHECK(reason_in(*site.open(site.journal, 0, true), token) == Reason::rolled_back);
  auto store = site.open(site.journal);
  CHECK(reason_in(*store, token) == Reason::revoked);
  // What the database still is: a store. New tokens work, and the ending can be repeated.
  CHECK(valid_in(*store, issue(*store)));
  REQUIRE(store->revoke(host, token.id).ok());
  CHECK(reason_in(*store, token) == Reason::revoked);
}

TEST_CASE("a deleted token's row, inserted again, is denied, and so is one that another host deleted") {
  const Site site;
  auto here = site.open(site.journal);
  auto there = site.open(site.directory.file("other.journal"));
  const Kept token = issue(*here);
  REQUIRE(valid_in(*there, token));
  site.keep();
  REQUIRE(here->maintain().ok());
  REQUIRE(there->maintain().ok());
  REQUIRE(here->remove(host, token.id).ok());
  REQUIRE(there->maintain().ok());
  site.put_back();
  CHECK(reason_in(*here, token) == Reason::rolled_back);
  CHECK(reason_in(*there, token) == Reason::rolled_back);
}

TEST_CASE("a host testifies to what it learned of others' endings, and to nothing that it did not hear of") {
  for (const Ending& ending : endings()) {
    INFO(ending.name);
    const Site site;
    const std::string second = site.directory.file("second.journal");
    const std::string third = site.directory.file("third.journal");
    auto ender = site.open(site.journal);
    const Kept token = issue(*ender);
    {
      auto knows = site.open(second);
      auto deaf = site.open(third);
      for (TokenStore* store : {knows.get(), deaf.get()}) REQUIRE(store->maintain().ok());
      site.keep();
      REQUIRE(ending.end(*ender, token));
      REQUIRE(knows->maintain().ok());
    }
    ender.reset();
    site.put_back();
    CHECK(valid_in(*site.open(third), token));  // the control
    CHECK_FALSE(valid_in(*site.open(second), token));
  }
}

TEST_CASE("what had ended before there was a journal is in it after upkeep") {
  const Site site;
  std::vector<Kept> tokens;
  {
    auto store = site.open({});
    for (int i = 0; i < 3; ++i) tokens.push_back(issue(*store));
    tokens.push_back(issue(*store, "bob"));
    site.keep();
    REQUIRE(store->revoke(host, tokens[0].id).ok());
    REQUIRE(store->expire(host, tokens[1].id).ok());
    REQUIRE(store->suspend(host, "bob").ok());
  }
  {
    auto store = site.open(site.journal);
    for (int turn = 0; turn < 5; ++turn) REQUIRE(store->maintain().ok());
  }
  site.put_back();
  auto store = site.open(site.journal);
  CHECK(reason_in(*store, tokens[0]) == Reason::revoked);
  CHECK(reason_in(*store, tokens[1]) == Reason::expired);
  CHECK(valid_in(*store, tokens[2]));
  CHECK(reason_in(*store, tokens[3]) == Reason::owner_suspended);
}

TEST_CASE("an ending that cannot be written into the journal holds, says so, and is written when it can be") {
  const Site site;
  auto store = site.open(site.journal);
  const Kept token = issue(*store);
  const Kept another = issue(*store);
  REQUIRE(store->maintain().ok());
  site.keep();
  const std::string away = site.directory.file("away");
  std::filesystem::rename(site.journal, away);
  const auto refused = store->revoke(host, token.id);
  REQUIRE(refused.status() == Status::not_journaled);
  CHECK(refused.error().message().find("the change holds, but is not in the journal: the journal ") == 0);
  CHECK(refused.error().message().find("is missing; put it back") != std::string::npos);
  CHECK(reason_in(*store, token) == Reason::revoked);
  CHECK(reason_in(*site.open({}), token) == Reason::revoked);
  // Repeated, it is no better: it would be wrong to say OK.
  CHECK(store->revoke(host, token.id).status() == Status::not_journaled);
  // What nobody waits for goes on.
  CHECK(store->issue(host, {.owner = "alice", .scopes = {"read"}}).ok());
  // And here it holds even if the database is put back now.
  site.put_back();
  CHECK(reason_in(*store, token) == Reason::rolled_back);
  std::filesystem::rename(away, site.journal);
  REQUIRE(store->maintain().ok());
  CHECK(reason_in(*site.open(site.journal), token) == Reason::revoked);
  CHECK(valid_in(*store, another));
}

TEST_CASE("an ending that was not written is written by the one who repeats it") {
  const Site site;
  auto store = site.open(site.journal);
  const Kept token = issue(*store);
  site.keep();
  const std::string away = site.directory.file("away");
  std::filesystem::rename(site.journal, away);
  REQUIRE(store->revoke(host, token.id).status() == Status::not_journaled);
  std::filesystem::rename(away, site.journal);
  REQUIRE(store->revoke(host, token.id).ok());
  site.put_back();
  CHECK(reason_in(*site.open(site.journal), token) == Reason::revoked);
}

TEST_CASE("nothing is built on a record that was put back") {
  const Site site;
  auto store = site.open(site.journal);
  const Kept token = issue(*store);
  const Kept bobs = issue(*store, "bob");
  site.keep();
  // A seal anew would be a revision more.
  std::array<std::uint8_t, master_key_size> old_master{};
  old_master.fill(0x31);
  std::array<std::uint8_t, master_key_size> new_master{};
  new_master.fill(0x32);
  Keyring both;
  REQUIRE(both.add("0A", KeyUse::verify_only, old_master).ok());
  REQUIRE(both.add("0B", KeyUse::active, new_master).ok());
  OpenSqlite options;
  options.sqlite.path = site.database;
  options.keyring = std::move(both);
  options.store.journal = site.journal;
  auto resealing = std::move(open_sqlite(std::move(options)).value().store);
  REQUIRE(store->suspend(host, "alice").ok());
  REQUIRE(store->revoke(host, bobs.id).ok());
  site.put_back();
  CHECK(store->issue(host, {.owner = "alice", .scopes = {"read"}}).status() == Status::tampered);
  CHECK(store->set_owner(host, "alice", {true, true}).status() == Status::tampered);
  CHECK(store->resume(host, "alice").status() == Status::tampered);
  CHECK(store->expire(host, bobs.id, store->now() + 1'000'000).status() == Status::tampered);
  CHECK(store->statistics().rolled_back == 4);
  CHECK(reason_in(*resealing, token) == Reason::rolled_back);
  const auto resealed = resealing->reseal(host);
  REQUIRE(resealed.ok());
  CHECK(resealed->refused == 2);
  CHECK(reason_in(*resealing, token) == Reason::rolled_back);
  CHECK(reason_in(*resealing, bobs) == Reason::rolled_back);
}

TEST_CASE("a key is retired when the journal, too, is under another one") {
  const Site site;
  const auto open = [&](KeyUse use_of_old) {
    std::array<std::uint8_t, master_key_size> old_master{};
    old_master.fill(0x31);
    std::array<std::uint8_t, master_key_size> new_master{};
    new_master.fill(0x32);
    Keyring keyring;
    REQUIRE(keyring.add("0A", use_of_old, old_master).ok());
    REQUIRE(keyring.add("0B", KeyUse::active, new_master).ok());
    OpenSqlite options;
    options.sqlite.path = site.database;
    options.keyring = std::move(keyring);
    options.store.journal = site.journal;
    return open_sqlite(std::move(options));
  };
  Kept token;
  {
    auto store = site.open(site.journal);
    token = issue(*store);
    REQUIRE(store->revoke(host, token.id).ok());
  }
  {
    auto store = std::move(open(KeyUse::verify_only).value().store);
    REQUIRE(store->reseal(host).ok());
  }
  CHECK(open(KeyUse::retired).status() == Status::wrong_key);  // the control: the journal is still under the old one
  Kept fresh;
  {
    auto store = std::move(open(KeyUse::verify_only).value().store);
    REQUIRE(store->maintain().ok());
    fresh = issue(*store);
    site.keep();
    REQUIRE(store->revoke(host, fresh.id).ok());
  }
  site.put_back();
  auto store = std::move(open(KeyUse::retired).value().store);
  CHECK(reason_in(*store, fresh) == Reason::revoked);
  CHECK(std::filesystem::exists(Log::path_of_segment(site.journal, 1)));
}

TEST_CASE("settings that are loosened again, and changed under load, deny nobody by mistake") {
  const Site site;
  auto store = site.open(site.journal);
  auto other = site.open(site.journal);
  auto cold = site.open(site.journal, 0);
  const Kept token = issue(*store);
  REQUIRE(store->suspend(host, "alice").ok());
  REQUIRE(store->resume(host, "alice").ok());
  for (TokenStore* each : {store.get(), other.get(), cold.get()}) CHECK(valid_in(*each, token));
  std::atomic<bool> stop{false};
  std::atomic<int> denied{0};
  std::vector<std::thread> threads;
  for (TokenStore* each : {store.get(), other.get(), cold.get()}) {
    threads.emplace_back([&, each] {
      while (!stop) denied += valid_in(*each, token) ? 0 : 1;
    });
  }
  // Neither has to do with using a token.
  for (int i = 0; i < 50; ++i) {
    REQUIRE(store->set_owner(host, "alice", {i % 2 == 0, true}).ok());
    Policy policy = store->policy(host).value();
    policy.most_active_per_owner = static_cast<std::uint32_t>(10 + i % 2);
    REQUIRE(store->set_policy(host, policy).ok());
    REQUIRE(store->issue(host, {.owner = "bob" + std::to_string(i), .scopes = {"read"}}).ok());
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(denied == 0);
}

TEST_CASE("what is changed between the reading of a record and its judgement denies nobody") {
  const Site site;
  std::array<std::uint8_t, master_key_size> master{};
  master.fill(0x31);
  auto puppet = std::make_shared<tokenstore::test::PuppetBackend>(sqlite_backend({.path = site.database}).value());
  StoreOptions options;
  options.journal = site.journal;
  options.cache_bytes = 0;
  const auto store = TokenStore::open(puppet, Keyring::from_bytes(master).value(), options).value();
  const Kept token = issue(*store);
  const UnixMillis ends_at = store->now() + 1'000'000;
  // Whenever a record has been read, all three are changed twice, and are in the journal.
  bool changing = false;
  int changes = 0;
  const auto change = [&](auto& record) {
    if (changing || !record) return;
    changing = true;
    for (int i = 0; i < 2; ++i) {
      ++changes;
      CHECK(store->set_owner(host, "alice", {changes % 2 == 0, true}).ok());
      Policy policy = store->policy(host).value();
      policy.most_active_per_owner = static_cast<std::uint32_t>(10 + changes % 2);
      CHECK(store->set_policy(host, policy).ok());
      const auto expired = store->expire(host, token.id, ends_at - changes);
      if (!expired.ok()) FAIL_CHECK(expired.error().message());
    }
    changing = false;
  };
  puppet->alter_token = [&](std::optional<TokenRecord>& record) { change(record); };
  puppet->alter_owner = [&](std::optional<OwnerRecord>& record) { change(record); };
  puppet->alter_workspace = [&](std::optional<WorkspaceRecord>& record) { change(record); };
  CHECK(valid_in(*store, token));
  CHECK(changes > 4);
  puppet->alter_token = nullptr;
  puppet->alter_owner = nullptr;
  puppet->alter_workspace = nullptr;
  CHECK(valid_in(*store, token));
}

TEST_CASE("a forked child knows what its parent's journal knew, and what was written since") {
  const Site site;
  auto store = site.open(site.journal);
  const Kept before = issue(*store);
  const Kept after = issue(*store);
  REQUIRE(valid_in(*store, before));
  REQUIRE(valid_in(*store, after));
  site.keep();
  REQUIRE(store->revoke(host, before.id).ok());
  int go[2];
  REQUIRE(::pipe(go) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    char byte = 0;
    if (::read(go[0], &byte, 1) != 1) ::_exit(3);
    const bool well =
        reason_in(*store, before) == Reason::rolled_back && reason_in(*store, after) == Reason::rolled_back;
    // And it writes into the same chain.
    const auto issued = store->issue(host, {.owner = "carol", .scopes = {"read"}});
    const bool wrote = issued.ok() && store->revoke(host, issued->info.id).ok();
    ::_exit(well ? (wrote ? 0 : 2) : 1);
  }
  REQUIRE(store->revoke(host, after.id).ok());
  site.put_back();
  REQUIRE(::write(go[1], "g", 1) == 1);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(site.try_open(site.journal).ok());
}

/// Collects the whole journal.
class Whole final : public Listener {
 public:
  void entry(std::uint64_t, const Entry& entry) override {
    deeds.push_back(std::string(deed_name(entry.deed)));
    if (entry.deed == Deed::revoked) {
      by = entry.actor;
      why = entry.reason;
      whose = entry.owner;
    }
  }
  void ended(std::string_view, const EndedToken&) override {}
  std::vector<std::string> deeds;
  std::string by, why, whose;
};

TEST_CASE("the journal holds every change, who made it and why, and no secret of any token") {
  const Site site;
  std::vector<Kept> tokens;
  std::vector<Bytes32> living;
  {
    auto store = site.open(site.journal);
    for (int i = 0; i < 4; ++i) tokens.push_back(issue(*store));
    REQUIRE(store->revoke(Actor::administrator("root"), tokens[0].id, "the laptop was lost").ok());
    REQUIRE(store->expire(host, tokens[1].id).ok());
    REQUIRE(store->expire(host, tokens[2].id, store->now() + 1'000'000).ok());
    REQUIRE(store->remove(host, tokens[3].id).ok());
    REQUIRE(store->suspend(host, "alice").ok());
    REQUIRE(store->resume(host, "alice").ok());
    REQUIRE(store->set_owner(host, "alice", {false, true}).ok());
    REQUIRE(store->set_policy(host, Policy{}).ok());
    REQUIRE(store->purge(host, store->now()).ok());
    REQUIRE(store->revoke_all(host, "alice").ok());
  }
  Whole whole;
  {
    auto backend = sqlite_backend({.path = site.database}).value();
    const Bytes16 id = backend->load_store().value()->id;
    REQUIRE(Log::open({site.journal}, *test::sealer_of(0x31), id, test::now, whole).ok());
    living.push_back(backend->load_token("default", tokens[2].id).value()->verifier);
  }
  const auto has = [&](const std::string& deed) { return std::count(whole.deeds.begin(), whole.deeds.end(), deed); };
  CHECK(has("issued") == 4);
  CHECK(has("revoked") == 2);  // and the one that "revoke all" marked
  CHECK(has("expired") == 2);
  CHECK(has("removed") == 1);
  CHECK(has("suspended") == 1);
  CHECK(has("resumed") == 1);
  CHECK(has("owner_set") == 1);
  CHECK(has("policy_set") == 1);
  CHECK(has("purged") == 2);
  CHECK(has("all_revoked") == 1);
  CHECK(whole.deeds.front() == "issued");
  CHECK(whole.whose == "alice");
  const std::string content = tokenstore::test::file_content(site.journal);
  for (const Kept& token : tokens) {
    CHECK_FALSE(tokenstore::test::leaks(content, tokenstore::test::secret_of(token.text)));
    CHECK(content.find(token.id) != std::string::npos);  // the control: the search finds what is there
  }
  CHECK(content.find("the laptop was lost") != std::string::npos);
  CHECK(content.find("administrator:root") != std::string::npos);
}

TEST_CASE("keys change with a journal: what was ended stays so without the old one, and each step is in it") {
  const Site site;
  const auto open = [&] {
    OpenSqlite options;
    options.sqlite.path = site.database;
    options.store.journal = site.journal;
    return std::move(open_sqlite(std::move(options)).value().store);
  };
  Bytes16 id{};
  Kept token;
  {
    auto store = open();
    token = issue(*store);
    site.keep();
    REQUIRE(store->revoke(host, token.id).ok());
    REQUIRE(store->add_key(host).value() == "0B");
    REQUIRE(store->activate_key(host, "0B").ok());
    REQUIRE(store->reseal(host).ok());
    REQUIRE(store->retire_key(host, "0A").ok());
    REQUIRE(store->remove_key(host, "0A").ok());
    id = sqlite_backend({.path = site.database}).value()->load_store().value()->id;
  }
  auto store = open();
  REQUIRE(store->add_key(host).ok());
  store.reset();
  Whole whole;
  seal::LiveSealer keys(seal::Sealer::create(Keyring::from_file(site.database + ".key").value()).value());
  REQUIRE(Log::open({site.journal}, keys, id, test::now, whole).ok());
  const auto has = [&](const std::string& deed) { return std::count(whole.deeds.begin(), whole.deeds.end(), deed); };
  CHECK(has("key_retired") == 1);
  CHECK(has("key_removed") == 1);
  CHECK(has("key_added") == 1);  // the first one is in the segment before
}

TEST_CASE("the verifier of a token that still lives is not in the journal") {
  const Site site;
  auto store = site.open(site.journal);
  const Kept token = issue(*store);
  const Kept ended = issue(*store);
  REQUIRE(store->expire(host, token.id, store->now() + 1'000'000).ok());
  REQUIRE(store->revoke(host, ended.id).ok());
  auto backend = sqlite_backend({.path = site.database}).value();
  const auto verifier_of = [&](const Kept& of) {
    const Bytes32 verifier = backend->load_token("default", of.id).value()->verifier;
    return std::string(verifier.begin(), verifier.end());
  };
  const std::string content = tokenstore::test::file_content(site.journal);
  CHECK(content.find(verifier_of(token)) == std::string::npos);
  CHECK(content.find(verifier_of(ended)) != std::string::npos);  // the control
}

TEST_CASE("a journal of another store is refused, and so is a damaged one, with nothing changed") {
  const Site site;
  const Site another;
  { issue(*another.open(another.journal)); }
  CHECK(site.try_open(another.journal).status() == Status::not_a_store);
  std::string content = tokenstore::test::file_content(another.journal);
  content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
  test::write_content(another.journal, content);
  CHECK(another.try_open(another.journal).status() == Status::journal_damaged);
  CHECK(tokenstore::test::file_content(another.journal) == content);
}

TEST_CASE("threads that end tokens share the journal's syncs, and each ending is in it") {
  const Site site;
  std::vector<Kept> tokens;
  {
    auto store = site.open(site.journal);
    for (int i = 0; i < 64; ++i) tokens.push_back(issue(*store));
    site.keep();
    std::atomic<int> failed{0};
    std::vector<std::thread> threads;
    for (std::size_t thread = 0; thread < 8; ++thread) {
      threads.emplace_back([&, thread] {
        for (std::size_t i = thread; i < tokens.size(); i += 8)
          failed += store->revoke(host, tokens[i].id).ok() ? 0 : 1;
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(failed == 0);
  }
  site.put_back();
  auto store = site.open(site.journal, 0, true);
  for (const Kept& token : tokens) CHECK(reason_in(*store, token) == Reason::rolled_back);
}

}  // namespace
}  // namespace tokenstore::journal
