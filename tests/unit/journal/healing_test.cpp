// What went back behind the journal is put forward again, and then the database is right without the journal.
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <future>
#include <set>
#include <thread>

#include "support/canary.hpp"
#include "support/forwarding_backend.hpp"
#include "tokenstore/backends/memory.hpp"
#include "unit/journal/put_back_site.hpp"

namespace tokenstore::journal {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

constexpr std::size_t no_cache = 0;

/// Denied by the database alone, as a process without the journal and with nothing remembered sees it.
bool denied_by_database(const Site& site, const Kept& token) {
  return !valid_in(*site.open({}, no_cache), token);
}
Reason reason_by_database(const Site& site, const Kept& token) {
  return reason_in(*site.open({}, no_cache), token);
}

bool nothing_to_do(const Result<HealReport>& report) {
  return report.ok() && report->ended + report->removed + report->settings + report->refused == 0;
}

/// A token of an owner of its own for every ending that does not concern the whole workspace.
struct Several {
  std::vector<Kept> ended;
  std::vector<Kept> living;
  Kept sooner;  ///< which ends sooner than it was to
  UnixMillis end_of_sooner = 0;

  static std::string owner_of(std::size_t number) { return "owner" + std::to_string(number); }

  explicit Several(TokenStore& store) {
    for (std::size_t i = 0; i < 7; ++i) {
      ended.push_back(issue(store, owner_of(i)));
      living.push_back(issue(store, i < 4 ? owner_of(i) : "another" + std::to_string(i)));
    }
    sooner = issue(store, "sooner");
    living.push_back(sooner);
  }
  void end(TokenStore& store) {
    REQUIRE(store.revoke(Actor::administrator("root"), ended[0].id, "the laptop was lost").ok());
    REQUIRE(store.expire(host, ended[1].id).ok());
    REQUIRE(store.expire(host, ended[2].id, store.now() + 20).ok());
    REQUIRE(store.remove(host, ended[3].id).ok());
    REQUIRE(store.revoke_all(host, owner_of(4)).ok());
    REQUIRE(store.suspend(host, owner_of(5), "left").ok());
    REQUIRE(store.set_owner(host, owner_of(6), {true, false}).ok());
    Policy policy = store.policy(host).value();
    policy.users_may_issue = false;
    REQUIRE(store.set_policy(host, policy).ok());
    end_of_sooner = store.now() + 3'600'000;
    REQUIRE(store.expire(host, sooner.id, end_of_sooner).ok());
    ::usleep(30'000);
  }
  /// By a store without the journal.
  void check_database(const Site& site) const {
    auto store = site.open({}, no_cache);
    const Reason reasons[] = {Reason::revoked, Reason::expired,         Reason::expired,          Reason::unknown,
                              Reason::revoked, Reason::owner_suspended, Reason::owner_may_not_use};
    for (std::size_t i = 0; i < ended.size(); ++i) {
      INFO(i);
      CHECK(reason_in(*store, ended[i]) == reasons[i]);
    }
    for (const Kept& token : living) CHECK(valid_in(*store, token));
    CHECK_FALSE(store->policy(host).value().users_may_issue);
    CHECK(store->get(host, sooner.id).value().expires_at == end_of_sooner);
    CHECK(store->check(host).value().problem_count == 0);
  }
};

TEST_CASE("a database from before every kind of ending is right again once it was opened with its journal") {
  const Site site;
  std::unique_ptr<Several> several;
  {
    auto store = site.open(site.journal);
    several = std::make_unique<Several>(*store);
    site.keep();
    several->end(*store);
  }
  site.put_back_file();
  {
    auto control = site.open({}, no_cache);
    for (const Kept& token : several->ended) REQUIRE(valid_in(*control, token));
  }
  {
    auto store = site.open(site.journal);
    // Two of "revoke all", and the token that ends sooner.
    CHECK(store->statistics().healed == 10);
    CHECK(store->statistics().rolled_back == 0);
    const auto again = store->heal(host);
    CHECK(nothing_to_do(again));
    CHECK(again->looked_at == 10);
    for (const Kept& token : several->ended) {
      CHECK_FALSE(valid_in(*store, token));
      CHECK(reason_in(*store, token) != Reason::rolled_back);
    }
    const auto shown = store->get(host, several->ended[0].id);
    CHECK(shown.value().revoked_by == "administrator:root");
    CHECK(shown.value().revoke_reason == "the laptop was lost");
  }
  several->check_database(site);
  // Whoever opens it next finds nothing to do.
  CHECK(site.open(site.journal)->statistics().healed == 0);
}

TEST_CASE("a workspace whose tokens were switched off is switched off again") {
  const Site site;
  Kept token;
  {
    auto store = site.open(site.journal);
    token = issue(*store);
    site.keep();
    Policy policy = store->policy(host).value();
    policy.tokens_enabled = false;
    REQUIRE(store->set_policy(host, policy).ok());
  }
  site.put_back_file();
  REQUIRE(valid_in(*site.open({}), token));
  CHECK(site.open(site.journal)->statistics().healed == 1);
  CHECK(reason_by_database(site, token) == Reason::tokens_disabled);
}

TEST_CASE("a running process heals in upkeep what was put back under it, and goes on") {
  const Site site;
  auto store = site.open(site.journal);
  auto other = site.open(site.journal);
  Several several(*store);
  REQUIRE(store->maintain().ok());
  REQUIRE(other->maintain().ok());
  site.keep();
  several.end(*store);
  REQUIRE(store->maintain().ok());
  site.put_back();
  for (TokenStore* each : {store.get(), other.get()}) {
    for (const Kept& token : several.ended) CHECK(reason_in(*each, token) == Reason::rolled_back);
    CHECK(each->statistics().rolled_back == several.ended.size());
  }
  REQUIRE(other->maintain().ok());
  CHECK(other->statistics().healed == 10);
  several.check_database(site);
  for (int turn = 0; turn < 3; ++turn) {
    for (TokenStore* each : {store.get(), other.get()}) REQUIRE(each->maintain().ok());
  }
  CHECK(store->statistics().healed + other->statistics().healed == 10);
  // The next ending, and the next older database.
  const Kept late = issue(*other, "late");
  site.keep();
  REQUIRE(store->revoke(host, late.id).ok());
  site.put_back();
  REQUIRE(other->maintain().ok());
  CHECK(reason_by_database(site, late) == Reason::revoked);
}

TEST_CASE("a single row that is put back is healed as soon as somebody has met it") {
  const Site site;
  auto store = site.open(site.journal);
  const Kept revoked = issue(*store);
  const Kept removed = issue(*store);
  const Kept suspended = issue(*store, "bob");
  site.keep();
  REQUIRE(store->revoke(host, revoked.id).ok());
  REQUIRE(store->remove(host, removed.id).ok());
  REQUIRE(store->suspend(host, "bob").ok());
  for (int turn = 0; turn < 3; ++turn) REQUIRE(store->maintain().ok());
  const auto put_row_back = [&](const std::string& table, const std::string& where) {
    run_sql(site.database, "ATTACH '" + site.earlier + "' AS earlier; BEGIN; DELETE FROM main." + table + " WHERE " +
                               where + "; INSERT INTO main." + table + " SELECT * FROM earlier." + table + " WHERE " +
                               where + "; COMMIT;");
  };
  for (const Kept& token : {revoked, removed, suspended}) {
    if (token.id == suspended.id) {
      put_row_back("owner", "owner = 'bob'");
    } else {
      put_row_back("token", "id = '" + token.id + "'");
    }
    REQUIRE(valid_in(*site.open({}), token));  // the control
    CHECK(reason_in(*store, token) == Reason::rolled_back);
    REQUIRE(store->maintain().ok());
    CHECK(denied_by_database(site, token));
    CHECK(reason_in(*store, token) != Reason::rolled_back);
  }
  CHECK(store->statistics().healed == 3);
  CHECK(store->statistics().rolled_back == 3);
}

TEST_CASE("an owner, and a workspace, whose record is missing comes back as it was") {
  const Site site;
  auto store = site.open(site.journal);
  const Kept token = issue(*store);
  REQUIRE(store->set_owner(host, "alice", {false, true}).ok());
  Policy policy = store->policy(host).value();
  policy.users_may_issue = false;
  REQUIRE(store->set_policy(host, policy).ok());
  run_sql(site.database, "DELETE FROM owner; DELETE FROM workspace;");
  REQUIRE_FALSE(valid_in(*store, token));
  const auto report = store->heal(Actor::administrator("root"));
  REQUIRE(report.ok());
  CHECK(report->settings == 2);
  CHECK(valid_in(*store, token));
  CHECK_FALSE(store->owner(host, "alice").value().settings.may_issue);
  CHECK_FALSE(store->policy(host).value().users_may_issue);
}

TEST_CASE("a stored record that is not genuine is left, and counted") {
  const Site site;
  auto store = site.open(site.journal);
  const Kept token = issue(*store);
  const Kept owners = issue(*store, "bob");
  const Kept healed = issue(*store, "carol");
  site.keep();
  REQUIRE(store->revoke(host, token.id).ok());
  REQUIRE(store->suspend(host, "bob").ok());
  REQUIRE(store->revoke(host, healed.id).ok());
  site.put_back();
  run_sql(site.database, "UPDATE token SET scopes = 'read write' WHERE id = '" + token.id +
                             "';"
                             "UPDATE owner SET may_issue = 0 WHERE owner = 'bob';");
  const auto report = store->heal(host);
  REQUIRE(report.ok());
  CHECK(report->refused == 2);
  CHECK(report->ended == 1);
  for (const Kept& one : {token, owners, healed}) CHECK(denied_by_database(site, one));
  CHECK(reason_by_database(site, token) == Reason::tampered);
  CHECK(store->heal(host)->refused == 2);
}

TEST_CASE("what a new segment carries over is enough to heal from") {
  const Site site;
  std::unique_ptr<Several> several;
  Bytes16 id{};
  {
    auto store = site.open(site.journal);
    several = std::make_unique<Several>(*store);
    REQUIRE(store->maintain().ok());
    site.keep();
    several->end(*store);
    id = sqlite_backend({.path = site.database}).value()->load_store().value()->id;
  }
  {
    Told told;
    const auto sealer = sealer_of(0x31);
    auto log = std::move(Log::open({site.journal}, *sealer, id, test::now, told)).value();
    REQUIRE(log->begin_segment(system_clock()->wall(), told).ok());
  }
  site.put_back_file();
  {
    auto store = site.open(site.journal);
    CHECK(store->statistics().healed == 10);
    // Who ended it and why stands in the segment before.
    CHECK(store->get(host, several->ended[0].id).value().revoked_by == "host");
    CHECK(store->get(host, several->ended[0].id).value().revoke_reason == "put forward again from the journal");
    CHECK(nothing_to_do(store->heal(host)));
  }
  auto store = site.open({}, no_cache);
  for (const Kept& token : several->ended) CHECK_FALSE(valid_in(*store, token));
  for (const Kept& token : several->living) CHECK(valid_in(*store, token));
  CHECK(store->get(host, several->sooner.id).value().expires_at == several->end_of_sooner);
}

TEST_CASE("what one host heals does not hide what another host knows of a later state") {
  const Site site;
  const std::string second = site.directory.file("second.journal");
  auto here = site.open(site.journal);
  auto there = site.open(second);
  const Kept token = issue(*here);
  const Kept owners = issue(*here, "bob");
  REQUIRE(here->maintain().ok());
  REQUIRE(there->maintain().ok());
  site.keep();
  // Each knows its own, and has learned nothing yet.
  REQUIRE(here->expire(host, token.id, here->now() + 3'600'000).ok());
  REQUIRE(there->revoke(host, token.id).ok());
  REQUIRE(here->set_owner(host, "bob", {false, true}).ok());
  REQUIRE(there->suspend(host, "bob").ok());
  site.put_back();
  REQUIRE(here->heal(host)->ended == 1);
  CHECK(valid_in(*site.open({}), token));
  CHECK(reason_in(*there, token) == Reason::rolled_back);
  CHECK(reason_in(*there, owners) == Reason::rolled_back);
  REQUIRE(there->heal(host)->ended == 1);
  CHECK(reason_by_database(site, token) == Reason::revoked);
  CHECK(reason_by_database(site, owners) == Reason::owner_suspended);
  REQUIRE(here->maintain().ok());
  CHECK(nothing_to_do(here->heal(host)));
  CHECK(reason_in(*here, token) == Reason::revoked);
}

TEST_CASE("what was built on an older record by a process without the journal is put right as well") {
  const Site site;
  auto store = site.open(site.journal);
  const Kept token = issue(*store);
  const Kept owners = issue(*store, "bob");
  site.keep();
  REQUIRE(store->revoke(host, token.id).ok());
  REQUIRE(store->suspend(host, "bob").ok());
  site.put_back();
  {
    // The revisions that the journal knows, and further.
    auto ignorant = site.open({});
    REQUIRE(ignorant->expire(host, token.id, ignorant->now() + 3'600'000).ok());
    REQUIRE(ignorant->expire(host, token.id, ignorant->now() + 1'800'000).ok());
    REQUIRE(ignorant->set_owner(host, "bob", {false, true}).ok());
  }
  const auto report = store->heal(host);
  CHECK(report->ended == 1);
  CHECK(report->settings == 1);
  CHECK(reason_by_database(site, token) == Reason::revoked);
  CHECK(reason_by_database(site, owners) == Reason::owner_suspended);
  CHECK_FALSE(store->owner(host, "bob").value().settings.may_issue);
  CHECK(nothing_to_do(store->heal(host)));
}

TEST_CASE("healing ends nothing that lives, while eight threads issue, revoke and validate") {
  const Site site;
  auto store = site.open(site.journal);
  std::vector<Kept> ended;
  ended.reserve(300);
  for (int i = 0; i < 300; ++i) ended.push_back(issue(*store, "owner" + std::to_string(i % 7)));
  REQUIRE(store->maintain().ok());
  site.keep();
  for (const Kept& token : ended) REQUIRE(store->revoke(host, token.id).ok());
  site.put_back();
  std::atomic<int> revived{0};
  std::atomic<int> refused{0};
  std::atomic<bool> stop{false};
  std::vector<std::vector<Kept>> living(8);
  std::vector<std::vector<Kept>> revoked(8);
  std::vector<std::thread> threads;
  for (std::size_t thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::size_t i = thread; !stop || i < thread + 30; ++i) {
        auto issued = store->issue(host, {.owner = "owner" + std::to_string(i % 7), .scopes = {"read"}});
        if (!issued.ok()) {
          ++refused;
          continue;
        }
        Kept token{std::string(issued->text.reveal()), issued->info.id};
        if (!valid_in(*store, token)) ++refused;
        if (i % 3 == 0 && store->revoke(host, token.id).ok()) {
          revoked[thread].push_back(token);
        } else {
          living[thread].push_back(token);
        }
        if (valid_in(*store, ended[i % ended.size()])) ++revived;
      }
    });
  }
  const auto report = store->heal(host);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  REQUIRE(report.ok());
  CHECK(report->ended == ended.size());
  CHECK(report->refused == 0);
  CHECK(revived == 0);
  CHECK(refused == 0);
  auto database = site.open({}, no_cache);
  for (const Kept& token : ended) CHECK(reason_in(*database, token) == Reason::revoked);
  for (const auto& some : living) {
    for (const Kept& token : some) CHECK(valid_in(*database, token));
  }
  for (const auto& some : revoked) {
    for (const Kept& token : some) CHECK_FALSE(valid_in(*database, token));
  }
}

/// Keeps the first of its process that asks for changes once it is `armed`.
class Waiting final : public tokenstore::test::ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  Result<Changes> changes(std::string_view workspace, std::uint64_t after) override {
    if (::getpid() == of_ && armed.exchange(false)) {
      entered.set_value();
      release.get_future().wait();
    }
    return ForwardingBackend::changes(workspace, after);
  }
  std::atomic<bool> armed{false};
  std::promise<void> entered, release;

 private:
  const pid_t of_ = ::getpid();
};

TEST_CASE("a child that was forked while upkeep was at work heals and learns by itself") {
  const Site site;
  const auto storage = std::make_shared<Waiting>(memory_backend());
  std::array<std::uint8_t, master_key_size> master{};
  master.fill(0x31);
  StoreOptions options;
  options.journal = site.journal;
  const auto store = TokenStore::open(storage, Keyring::from_bytes(master).value(), options).value();
  const Kept token = issue(*store);
  REQUIRE(store->revoke(host, token.id).ok());
  storage->armed = true;
  std::thread upkeep([&] { static_cast<void>(store->maintain().ok()); });
  storage->entered.get_future().wait();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);
    ::_exit(store->maintain().ok() && nothing_to_do(store->heal(host)) ? 0 : 1);
  }
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  storage->release.set_value();
  upkeep.join();
  CHECK(nothing_to_do(store->heal(host)));
}

/// Is killed before or behind its n-th commit.
class Killed final : public tokenstore::test::ForwardingBackend {
 public:
  Killed(std::shared_ptr<Backend> inner, int nth, bool behind)
      : ForwardingBackend(std::move(inner)), left_(nth), behind_(behind) {}
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    const bool now = --left_ == 0;
    if (now && !behind_) static_cast<void>(::raise(SIGKILL));
    const CommitResult done = ForwardingBackend::commit(workspace, batch, announcement);
    if (now) static_cast<void>(::raise(SIGKILL));
    return done;
  }

 private:
  int left_;
  const bool behind_;
};

TEST_CASE("a healing that is killed at any of its commits goes on when the store is opened next") {
  const Site site;
  std::vector<Kept> tokens;
  {
    auto store = site.open(site.journal);
    for (int i = 0; i < 250; ++i) tokens.push_back(issue(*store));
    site.keep();
    for (const Kept& token : tokens) REQUIRE(store->revoke(host, token.id).ok());
  }
  const std::string whole = site.directory.file("whole.journal");
  std::filesystem::copy_file(site.journal, whole);
  int killed = 0;
  std::set<std::uint64_t> left;
  for (const bool behind : {false, true}) {
    for (int nth = 1;; ++nth) {
      INFO("commit " << nth << (behind ? ", behind it" : ", before it"));
      site.put_back_file();
      write_content(site.journal, tokenstore::test::file_content(whole));
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        auto backend = sqlite_backend({.path = site.database});
        std::array<std::uint8_t, master_key_size> master{};
        master.fill(0x31);
        StoreOptions options;
        options.journal = site.journal;
        const auto opened = TokenStore::open(std::make_shared<Killed>(std::move(*backend), nth, behind),
                                             std::move(Keyring::from_bytes(master)).value(), options);
        ::_exit(opened.ok() ? 0 : 1);
      }
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      if (WIFEXITED(status)) {
        CHECK(WEXITSTATUS(status) == 0);
        break;
      }
      ++killed;
      REQUIRE(WTERMSIG(status) == SIGKILL);
      left.insert(site.open(site.journal)->statistics().healed);
      auto database = site.open({}, no_cache);
      for (const Kept& token : tokens) CHECK(reason_in(*database, token) == Reason::revoked);
    }
  }
  CHECK(killed == 6);
  CHECK(left.size() == 4);  // from all of them to none
}

TEST_CASE("a storage that nobody uses yet is healed from its journal in every workspace") {
  const Site site;
  const auto keys = [](std::uint8_t octet) -> std::function<Result<Keyring>()> {
    return [octet] {
      std::array<std::uint8_t, master_key_size> master{};
      master.fill(octet);
      return Keyring::from_bytes(master);
    };
  };
  const auto open = [&](const std::string& workspace, const std::string& journal) {
    StoreOptions options;
    options.workspace = workspace;
    options.journal = journal;
    return std::move(TokenStore::open(sqlite_backend({.path = site.database}).value(), keys(0x31)().value(), options))
        .value();
  };
  const std::vector<std::string> workspaces{"default", "other", "third"};
  std::vector<Kept> tokens;
  tokens.reserve(workspaces.size());
  for (const std::string& workspace : workspaces) tokens.push_back(issue(*open(workspace, site.journal)));
  site.keep();
  for (std::size_t i = 0; i < 2; ++i) REQUIRE(open(workspaces[i], site.journal)->revoke(host, tokens[i].id).ok());
  site.put_back_file();
  {
    const auto storage = sqlite_backend({.path = site.database}).value();
    CHECK(heal_from_journal(*storage, keys(0x31), {}).status() == Status::invalid_argument);
    StoreOptions options;
    options.journal = site.journal;
    CHECK(heal_from_journal(*storage, keys(0x32), options).status() == Status::wrong_key);
    CHECK(heal_from_journal(*storage, keys(0x31), options).value() == 2);
    CHECK(heal_from_journal(*storage, keys(0x31), options).value() == 0);
  }
  CHECK(reason_in(*open(workspaces[0], {}), tokens[0]) == Reason::revoked);
  CHECK(reason_in(*open(workspaces[1], {}), tokens[1]) == Reason::revoked);
  CHECK(valid_in(*open(workspaces[2], {}), tokens[2]));
}

TEST_CASE("who may heal, and from what") {
  const Site site;
  auto store = site.open(site.journal);
  CHECK(store->heal(Actor::user("alice")).status() == Status::permission_denied);
  CHECK(store->heal(Actor::administrator("root")).ok());
  CHECK(site.open({})->heal(host).status() == Status::unsupported);
  CHECK(site.open(site.journal, no_cache, true)->heal(host).status() == Status::read_only);
  const Kept token = issue(*store);
  REQUIRE(store->revoke(host, token.id).ok());
  CHECK(store->heal(host, [](std::uint64_t, std::uint64_t) { return false; }).status() == Status::conflict);
}

TEST_CASE("a healing is in the journal, and the database that was healed may be put back again") {
  const Site site;
  std::vector<Kept> tokens;
  for (int round = 0; round < 3; ++round) {
    auto store = site.open(site.journal);
    for (const Kept& token : tokens) CHECK(reason_in(*store, token) == Reason::revoked);
    tokens.push_back(issue(*store, "owner" + std::to_string(round)));
    site.keep();
    REQUIRE(store->revoke(host, tokens.back().id).ok());
    REQUIRE(store->maintain().ok());
    store.reset();
    site.put_back_file();
  }
  CHECK(site.open(site.journal)->statistics().healed == 1);
  for (const Kept& token : tokens) CHECK(denied_by_database(site, token));
  CHECK(tokenstore::test::file_content(site.journal).find("put forward again from the journal") != std::string::npos);
}

}  // namespace
}  // namespace tokenstore::journal
