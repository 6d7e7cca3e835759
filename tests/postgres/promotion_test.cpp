/// An asynchronous standby that lacks the last endings is promoted, and one of two hosts is killed together with the
/// primary: what a host's journal knew to be ended is denied by that host, before and after it was killed; and by
/// everybody, when both are back and have put it forward again.
#include <cstring>
#include <functional>

#include "postgres_support.hpp"
#include "support/child_process.hpp"
#include "support/endings.hpp"
#include "support/seeded_random.hpp"
#include "support/temp_directory.hpp"

namespace tokenstore::test {
namespace {

constexpr std::size_t hosts = 2;
constexpr std::size_t survivor = 0;
constexpr std::size_t killed = 1;
constexpr std::size_t stranger = hosts;  ///< a host that comes later, and has no journal
constexpr std::size_t tokens = 300;      ///< of a round, each of an owner of its own; each host ends every second one
constexpr std::size_t before_the_cut = 40;  ///< of them, those that the standby hears of
constexpr std::size_t after_the_cut = 20;   ///< at least, of each host
constexpr std::size_t passes = 2;           ///< of the survivor over all tokens, after the promotion

std::string owner_of(std::size_t token) {
  return "owner-" + std::to_string(token);
}
std::size_t ender_of(std::size_t token) {
  return token % hosts;
}
Ending ending_of(std::size_t token) {
  return endings_of_one[token / hosts % endings_of_one.size()];
}

/// What the test and the hosts see.
struct Shared {
  std::array<std::array<char, 104>, tokens> texts;
  std::array<std::array<char, token_id_size + 1>, tokens> ids;
  /// When its ending was acknowledged, counted in acknowledgements; 0: it was not.
  std::array<std::atomic<std::uint64_t>, tokens> acknowledged;
  std::atomic<std::uint64_t> acknowledgements;
  /// Each host's journal has what was acknowledged up to here, whoever did it.
  std::array<std::atomic<std::uint64_t>, hosts + 1> learned;
  std::array<std::atomic<std::size_t>, hosts> ended;  ///< by each host
  std::atomic<std::size_t> ready, allowed, passed;
  std::atomic<bool> issued, killing, promoted, done;
  /// Valid verdicts about what the host that was asked knew to be ended, and about what it could not know of.
  std::atomic<std::size_t> accepted, accepted_unknown, failed;

  bool knows(std::size_t host, std::size_t token) const {
    const std::uint64_t when = acknowledged[token];
    return when != 0 && (ender_of(token) == host || when <= learned[host]);
  }
};

enum class With { journals, journals_and_no_upkeep, nothing };

/// Waits until it is so; for long, but not for ever.
bool comes_true(const std::function<bool()>& holds) {
  for (const auto start = Steady::now(); !holds();) {
    if (millis_since(start) > 30'000) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// One of the machines that share the server.
class Host {
 public:
  Host(std::size_t which, With with, const PostgresOptions& postgres, StoreOptions options, Shared& shared)
      : which_(which), with_(with), shared_(shared), store_(open_store(open_backend(postgres), std::move(options))) {}

  void issue_all() {
    std::vector<IssueRequest> requests;
    for (std::size_t i = 0; i < tokens; ++i) requests.push_back({.owner = owner_of(i), .scopes = {"read"}});
    const auto issued = store_->issue_many(Actor::host(), requests);
    if (!issued.ok()) throw std::runtime_error(issued.error().message());
    for (std::size_t i = 0; i < tokens; ++i) {
      const std::string_view text = (*issued)[i].text.reveal();
      std::memcpy(shared_.texts[i].data(), text.data(), text.size());
      std::memcpy(shared_.ids[i].data(), (*issued)[i].info.id.data(), token_id_size);
    }
    shared_.issued = true;
  }

  /// Everything is in the cache, and what others end is learned from now on.
  bool warm_up() {
    for (std::size_t i = 0; i < 2 * tokens; ++i) {
      if (!verdict_on(i % tokens).valid()) return false;
    }
    learn();
    ++shared_.ready;
    return true;
  }

  void end_until_killed() {
    for (std::size_t token = which_; token < tokens && !shared_.killing;) {
      if (token / hosts >= shared_.allowed) {
        learn();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        continue;
      }
      if (end(*store_, ending_of(token), shared_.ids[token].data(), owner_of(token))) {
        shared_.acknowledged[token] = ++shared_.acknowledgements;
        ++shared_.ended[which_];
      } else if (!shared_.killing) {
        ++shared_.failed;
      }
      token += hosts;
      if (token / hosts % 8 == 0) learn();
    }
  }

  /// While nobody answers, and on the server that was promoted.
  void ask_until_done() {
    while (!shared_.done) {
      const bool promoted = shared_.promoted;
      if (ask_once() && promoted) ++shared_.passed;
    }
  }
  /// False: storage was not to be had.
  bool ask_once() {
    bool answered = true;
    for (std::size_t token = 0; token < tokens; ++token) {
      const Verdict verdict = verdict_on(token);
      if (verdict.outcome() == Outcome::unavailable) answered = false;
      if (!verdict.valid() || shared_.acknowledged[token] == 0) continue;
      ++(shared_.knows(which_, token) ? shared_.accepted : shared_.accepted_unknown);
    }
    return answered;
  }

 private:
  Verdict verdict_on(std::size_t token) { return store_->validate(shared_.texts[token].data(), Demand("read")); }

  void learn() {
    const std::uint64_t upto = shared_.acknowledgements;
    const bool learned = with_ == With::journals_and_no_upkeep || store_->maintain().ok();
    // A server that lives until then has told it.
    if (learned && !shared_.killing) shared_.learned[which_] = upto;
  }

  const std::size_t which_;
  const With with_;
  Shared& shared_;
  const std::unique_ptr<TokenStore> store_;
};

/// What was counted in some rounds.
struct Counted {
  std::size_t acknowledged = 0;
  std::size_t accepted_by_survivor = 0;  ///< valid verdicts on what it knew to be ended, since the primary had died
  std::size_t accepted_at_return = 0;    ///< the same of both hosts, started again with their journals
  std::size_t lost = 0;                  ///< the same of a host without one, when both are back
  std::size_t not_to_be_known = 0;       ///< valid verdicts of the survivor on what the other alone could know
};

/// Two servers, of which one is the primary and the other its standby, in turn.
class Site {
 public:
  explicit Site(With with) : with_(with), second_server_(first_server_, "standby", settings()) {}

  Counted run(int rounds) {
    Counted counted;
    SeededRandom random(17);
    for (int number = 0; number < rounds; ++number) {
      INFO("round " << number);
      workspace_ = "round-" + std::to_string(number);
      round(counted, random);
      primary_->follow(*standby_, "standby");
      std::swap(primary_, standby_);
    }
    return counted;
  }

 private:
  // Nothing here is about power cuts.
  static PostgresCluster::Settings settings() {
    return {"fsync=off", "autovacuum=off", "shared_buffers=16MB", "max_wal_size=256MB"};
  }

  void round(Counted& counted, SeededRandom& random) const {
    const SharedMemory<Shared> memory;
    Shared& shared = *memory;
    Child survives = start(survivor, shared);
    Child dies = start(killed, shared);
    end_and_promote(shared, dies, random);
    shared.done = true;
    CHECK(survives.status() == 0);
    CHECK(dies.status() == 1000 + SIGKILL);
    CHECK(shared.failed == 0);
    counted.acknowledged += shared.acknowledgements;
    counted.accepted_by_survivor += shared.accepted.exchange(0);
    counted.not_to_be_known += shared.accepted_unknown;
    for (const std::size_t which : {killed, survivor}) CHECK(start_again(which, shared).status() == 0);
    counted.accepted_at_return += shared.accepted;
    shared.accepted_unknown = 0;
    CHECK(start_again(stranger, shared).status() == 0);
    counted.lost += shared.accepted_unknown;
  }

  std::unique_ptr<Host> host(std::size_t which, Shared& shared) const {
    PostgresOptions postgres = options_for("host=" + first_server_.directory() + "," + second_server_.directory() +
                                           " dbname=postgres user=postgres");
    postgres.max_staleness = std::chrono::milliseconds(200);
    StoreOptions options;
    options.workspace = workspace_;
    if (with_ != With::nothing && which != stranger)
      options.journal = directory_.file("journal-" + std::to_string(which));
    return std::make_unique<Host>(which, with_, postgres, std::move(options), shared);
  }

  Child start(std::size_t which, Shared& shared) const {
    return Child([&] {
      if (which == killed && !comes_true([&] { return shared.issued.load(); })) return 1;
      const auto here = host(which, shared);
      if (which == survivor) here->issue_all();
      if (!here->warm_up()) return 2;
      here->end_until_killed();
      here->ask_until_done();
      return 0;
    });
  }
  Child start_again(std::size_t which, Shared& shared) const {
    return Child([&] { return host(which, shared)->ask_once() ? 0 : 1; });
  }

  void end_and_promote(Shared& shared, const Child& dies, SeededRandom& random) const {
    const auto each_ended = [&](std::size_t at_least) {
      return comes_true([&] { return shared.ended[survivor] >= at_least && shared.ended[killed] >= at_least; });
    };
    REQUIRE(comes_true([&] { return shared.ready == hosts; }));
    shared.allowed = before_the_cut;
    REQUIRE(each_ended(before_the_cut));
    cut();
    constexpr std::size_t stand = tokens - hosts * before_the_cut;
    CHECK(standing() == stand);
    shared.allowed = tokens;
    REQUIRE(each_ended(before_the_cut + after_the_cut));
    std::this_thread::sleep_for(std::chrono::milliseconds(random.below(30)));

    const bool host_first = random.below(2) == 0;
    shared.killing = true;
    if (host_first) dies.kill();
    primary_->kill();
    if (!host_first) dies.kill();
    CHECK(standing() == stand);
    standby_->promote();
    shared.promoted = true;
    CHECK(comes_true([&] { return shared.passed >= passes; }));
    if (with_ == With::nothing) CHECK(standing() == stand);
  }

  /// The standby is sent nothing more. If it only waited to show what it has, a promotion would still take that in.
  void cut() const {
    const std::string upto = primary_->sql("SELECT pg_current_wal_lsn()");
    REQUIRE(comes_true([&] { return standby_->sql("SELECT pg_last_wal_replay_lsn() >= '" + upto + "'") == "t"; }));
    standby_->sql("ALTER SYSTEM SET primary_conninfo = ''");
    standby_->sql("SELECT pg_reload_conf()");
    REQUIRE(comes_true([&] { return primary_->sql("SELECT count(*) FROM pg_stat_replication") == "0"; }));
  }

  /// Tokens that nothing has ended, as the standby knows them.
  std::size_t standing() const {
    return std::stoul(
        standby_->sql("SELECT count(*) FROM tokenstore.token t JOIN tokenstore.owner o USING (workspace, owner) WHERE "
                      "t.workspace = '" +
                      workspace_ + "' AND t.revision = 1 AND o.revision = 1"));
  }

  const With with_;
  const TempDirectory directory_;
  std::string workspace_;
  PostgresCluster first_server_{settings()};
  PostgresCluster second_server_;
  PostgresCluster* primary_ = &first_server_;
  PostgresCluster* standby_ = &second_server_;
};

void show(const Counted& counted) {
  UNSCOPED_INFO(counted.acknowledged << " acknowledged; accepted by the survivor " << counted.accepted_by_survivor
                                     << ", at return " << counted.accepted_at_return << "; lost " << counted.lost
                                     << "; not to be known " << counted.not_to_be_known);
}

TEST_CASE("with journals the promotion of a standby that lags loses no acknowledged ending, though a host dies too") {
  const int promotions = rounds("TOKENSTORE_PROMOTIONS", 20);
  const Counted counted = Site(With::journals).run(promotions);
  show(counted);
  CHECK(counted.acknowledged >= static_cast<std::size_t>(promotions) * hosts * (before_the_cut + after_the_cut));
  CHECK(counted.accepted_by_survivor == 0);
  CHECK(counted.accepted_at_return == 0);
  CHECK(counted.lost == 0);
}

TEST_CASE("without journals such a promotion loses acknowledged endings: the control") {
  const Counted counted = Site(With::nothing).run(2);
  show(counted);
  CHECK(counted.accepted_by_survivor >= 2 * after_the_cut);
  CHECK(counted.accepted_at_return >= 2 * hosts * after_the_cut);
  CHECK(counted.lost >= 2 * hosts * after_the_cut);
}

TEST_CASE("a survivor that did not learn of the other's endings accepts them: the control of upkeep") {
  const Counted counted = Site(With::journals_and_no_upkeep).run(1);
  show(counted);
  CHECK(counted.accepted_by_survivor > 0);
}

}  // namespace
}  // namespace tokenstore::test
