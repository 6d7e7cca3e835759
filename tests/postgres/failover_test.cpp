// Primaries that die, standbys that take over or stand still.
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <set>

#include "postgres_support.hpp"

namespace tokenstore::test {
namespace {

using Cluster = std::unique_ptr<PostgresCluster>;

/// Both servers, in the order in which libpq asks them; it takes the one that accepts writes.
PostgresOptions options_for_both(const PostgresCluster& one, const PostgresCluster& two) {
  PostgresOptions options =
      options_for("host=" + one.directory() + "," + two.directory() + " dbname=postgres user=postgres");
  options.max_staleness = std::chrono::milliseconds(500);
  options.deadline = std::chrono::milliseconds(2'000);
  return options;
}

void wait_until(const PostgresCluster& cluster, const std::string& condition) {
  for (int attempt = 0; attempt < 400; ++attempt) {
    if (cluster.sql(condition) == "t") return;
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
  }
  throw std::runtime_error("never true: " + condition);
}

Cluster standby_of(PostgresCluster& primary) {
  auto standby = std::make_unique<PostgresCluster>(primary, "standby");
  wait_until(primary, "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'");
  return standby;
}

void require_standby(const PostgresCluster& primary) {
  primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
  primary.sql("SELECT pg_reload_conf()");
  wait_until(primary, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'");
}

/// A host that issues and revokes, and another that validates what the first was told is revoked.
class Hosts {
 public:
  Hosts(const PostgresOptions& options)
      : bound_(options.max_staleness.count()),
        store_(open_store(open_backend(options))),
        other_(open_store(open_backend(options))) {}

  void run(std::atomic<bool>& stop) {
    std::thread validator([&] { validate_until(stop); });
    int failures_in_a_row = 0;
    while (!stop.load()) {
      auto request = IssueRequest{};
      request.owner = "alice";
      request.scopes = {"read"};
      auto issued = store_->issue(Actor::host(), request);
      if (!issued.ok()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(++failures_in_a_row > 3 ? 50 : 5));
        continue;
      }
      failures_in_a_row = 0;
      const std::string id = issued->info.id;
      (void)other_->validate(issued->text.reveal(), Demand("read"));
      {
        const std::lock_guard lock(mutex_);
        issued_.insert(id);
      }
      if (store_->revoke(Actor::host(), id).ok()) {
        const std::lock_guard lock(mutex_);
        revoked_.push_back({id, std::string(issued->text.reveal()), Steady::now()});
        ++acknowledged_;
      }
    }
    validator.join();
  }

  int acknowledged() const noexcept { return acknowledged_.load(); }
  int stale() const noexcept { return stale_.load(); }

  /// What was acknowledged and is not there.
  int lost() {
    int lost = 0;
    std::set<std::string> revoked;
    for (const Revoked& one : revoked_) revoked.insert(one.id);
    for (const std::string& id : issued_) {
      const auto token = store_->get(Actor::host(), id);
      if (!token.ok() || (revoked.contains(id) && token->state != TokenState::revoked)) ++lost;
    }
    return lost;
  }

 private:
  struct Revoked {
    std::string id;
    std::string text;
    Steady::time_point acknowledged;
  };

  void validate_until(std::atomic<bool>& stop) {
    std::mt19937_64 random(1);
    while (!stop.load()) {
      Revoked one;
      {
        const std::lock_guard lock(mutex_);
        if (revoked_.empty()) continue;
        // Mostly the newest ones: the others are long known to be revoked.
        const std::size_t back = std::min<std::size_t>(revoked_.size(), 1 + random() % 5);
        one = revoked_[revoked_.size() - back];
      }
      const auto began = millis_since(one.acknowledged);
      if (other_->validate(one.text, Demand("read")).valid() && began > bound_) ++stale_;
    }
  }

  const std::int64_t bound_;
  std::unique_ptr<TokenStore> store_;
  std::unique_ptr<TokenStore> other_;
  std::mutex mutex_;
  std::set<std::string> issued_;
  std::vector<Revoked> revoked_;
  std::atomic<int> acknowledged_{0};
  std::atomic<int> stale_{0};
};

TEST_CASE("with a synchronous standby a failover loses nothing that was acknowledged") {
  auto primary = std::make_unique<PostgresCluster>();
  std::mt19937_64 random(7);
  const int failovers = rounds("TOKENSTORE_FAILOVERS", 5);
  for (int round = 0; round < failovers; ++round) {
    Cluster standby = standby_of(*primary);
    require_standby(*primary);
    Hosts hosts(options_for_both(*primary, *standby));
    std::atomic<bool> stop{false};
    std::thread work([&] { hosts.run(stop); });
    std::this_thread::sleep_for(std::chrono::milliseconds(300 + random() % 400));
    primary->kill();
    const int before = hosts.acknowledged();
    standby->promote();
    const auto promoted = Steady::now();
    while (hosts.acknowledged() <= before + 5 && millis_since(promoted) < 15'000) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    stop = true;
    work.join();
    INFO("round " << round << ": " << before << " before, " << hosts.acknowledged() - before << " after");
    CHECK(before > 0);
    CHECK(hosts.acknowledged() > before + 5);
    CHECK(hosts.lost() == 0);
    CHECK(hosts.stale() == 0);
    primary = std::move(standby);
  }
}

TEST_CASE("with an asynchronous standby a failover can lose what was acknowledged, and no cache keeps it") {
  PostgresCluster primary;
  Cluster standby = standby_of(primary);
  const PostgresOptions options = options_for_both(primary, *standby);
  const auto backend = open_backend(options);
  const auto store = open_store(backend);
  const Issued kept = issue_one(*store);
  wait_until(primary, "SELECT bool_and(replay_lsn = pg_current_wal_lsn()) FROM pg_stat_replication");
  standby->stop();
  const Issued lost = issue_one(*store);  // acknowledged
  REQUIRE(store->validate(lost.text.reveal(), Demand("read")).valid());
  REQUIRE(store->suspend(Actor::host(), "bob").ok());  // announced, as a new token is not
  const std::uint64_t seen = backend->changes("default", 0)->revision;
  primary.kill();
  standby->start();
  standby->promote();

  std::this_thread::sleep_for(std::chrono::milliseconds(1'500));  // past the lease; the listener has moved over
  const Verdict verdict = store->validate(lost.text.reveal(), Demand("read"));
  CHECK_FALSE(verdict.valid());
  CHECK(verdict.reason() == Reason::unknown);
  CHECK(store->validate(kept.text.reveal(), Demand("read")).valid());
  CHECK(store->get(Actor::host(), lost.info.id).status() == Status::not_found);

  // The new history counts on over the lost revisions; whoever saw those must forget everything.
  for (int more = 0; more < 5; ++more) {
    REQUIRE(store->suspend(Actor::host(), "carol").ok());
    REQUIRE(store->resume(Actor::host(), "carol").ok());
  }
  const auto changes = backend->changes("default", seen);
  REQUIRE(changes.ok());
  CHECK(changes->revision > seen);
  CHECK(changes->everything);
  CHECK_FALSE(backend->changes("default", changes->revision)->everything);
}

TEST_CASE("a commit that waits for a frozen standby ends unknown, and what is read then is the truth") {
  PostgresCluster primary;
  Cluster standby = standby_of(primary);
  PostgresOptions options = options_for(primary.conninfo());
  options.deadline = std::chrono::milliseconds(1'000);
  const auto backend = open_backend(options);
  REQUIRE(put(*backend, sample_workspace()).outcome == CommitOutcome::committed);
  REQUIRE(put(*backend, sample_token("t")).outcome == CommitOutcome::committed);
  REQUIRE(put(*backend, sample_token("other")).outcome == CommitOutcome::committed);
  require_standby(primary);
  REQUIRE(put(*backend, sample_token("warm")).outcome == CommitOutcome::committed);

  standby->freeze();
  TokenRecord revoked = sample_token("t", 2);
  revoked.revoked_at = 5;
  auto start = Steady::now();
  const CommitResult result = put(*backend, revoked, 1);
  CHECK(millis_since(start) >= 950);
  CHECK(millis_since(start) <= 1'100);
  CHECK(result.outcome == CommitOutcome::unknown);

  // Still open: the old state would be a guess.
  start = Steady::now();
  CHECK(backend->load_token("default", revoked.id).status() == Status::unavailable);
  CHECK(backend->list_tokens("default", {}).status() == Status::unavailable);
  CHECK(millis_since(start) <= 2'200);
  // What it did not touch can be read.
  CHECK(backend->load_token("default", sample_token("other").id).ok());

  standby->thaw();
  const auto truth = backend->load_token("default", revoked.id);
  REQUIRE(truth.ok());
  REQUIRE(truth->has_value());
  const RecordRevision read = (*truth)->revision;
  for (int later = 0; later < 10; ++later) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    CHECK((*backend->load_token("default", revoked.id))->revision == read);
  }
  CHECK(read == 2);
}

TEST_CASE("a commit that is local only is reported as unknown") {
  PostgresCluster primary;
  Cluster standby = standby_of(primary);
  PostgresOptions options = options_for(primary.conninfo() + " application_name=committing");
  const auto backend = open_backend(options);
  REQUIRE(put(*backend, sample_workspace()).outcome == CommitOutcome::committed);
  require_standby(primary);
  standby->freeze();
  std::thread canceller([&] {
    wait_until(primary, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    primary.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
  });
  const CommitResult result = put(*backend, sample_token("t"));
  canceller.join();
  CHECK(result.outcome == CommitOutcome::unknown);
  REQUIRE(result.error);
  CHECK(result.error->message().find("standby") != std::string::npos);
  standby->thaw();
}

}  // namespace
}  // namespace tokenstore::test
