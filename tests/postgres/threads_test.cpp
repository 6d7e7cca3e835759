// What threads share: the pool, the listener, and everything above them. ThreadSanitizer watches it.
#include <atomic>
#include <memory>
#include <set>
#include <thread>

#include "conformance.hpp"
#include "postgres_support.hpp"
#include "support/mixed_load.hpp"

namespace tokenstore::test {
namespace {

/// Patient enough for a slow machine under a sanitizer.
PostgresOptions patient(const PostgresCluster& cluster) {
  PostgresOptions options = options_for(cluster.conninfo());
  options.deadline = std::chrono::seconds(60);
  return options;
}

/// Two hosts, one with a pool that its threads have to share.
struct Hosts {
  explicit Hosts(const PostgresCluster& cluster) {
    PostgresOptions options = patient(cluster);
    options.conninfo += " application_name=host";
    StoreOptions store;
    store.use_interval = std::chrono::milliseconds(20);
    store.upkeep_thread = true;
    for (const std::size_t pool : {std::size_t{8}, std::size_t{2}}) {
      options.pool_size = pool;
      stores.push_back(open_store(open_backend(options), store));
      load.stores.push_back(stores.back().get());
    }
    load.tokens = 40;
    load.staleness = options.max_staleness;
  }
  std::vector<std::unique_ptr<TokenStore>> stores;
  MixedLoad load;
};

void check_verdicts(const MixedLoadReport& report) {
  INFO(report.first_error);
  CHECK(report.stale == 0);
  CHECK(report.wrongly_denied == 0);
  CHECK(report.mixed_up == 0);
  CHECK(report.valid > 0);
  CHECK(report.invalid > 0);
}

TEST_CASE("everything at once on two hosts of one database: no verdict is wrong and no call fails") {
  const PostgresCluster cluster;
  Hosts hosts(cluster);
  const MixedLoadReport report = MixedLoadRun(hosts.load).run();
  check_verdicts(report);
  INFO(report.first_error);
  CHECK(report.lost == 0);
  CHECK(report.unavailable == 0);
  CHECK(report.failed_calls == 0);
}

TEST_CASE("everything at once while the server ends connections: no verdict is wrong and nothing is lost") {
  const PostgresCluster cluster;
  Hosts hosts(cluster);
  std::atomic<int> ended{0};
  hosts.load.trouble = [&] {
    ended += std::stoi(
        cluster.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'host'"));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  };
  const MixedLoadReport report = MixedLoadRun(hosts.load).run();
  check_verdicts(report);
  CHECK(report.lost == 0);
  CHECK(ended > 0);
}

TEST_CASE("the conformance suite's cases of threads hold on PostgreSQL") {
  const PostgresCluster cluster;
  std::set<std::string> wanted = {"of sixteen threads exactly one wins each revision of a record",
                                  "a race for the last places under a cap has no more winners than places",
                                  "readers see whole batches",
                                  "every call may run beside every other",
                                  "another thread sees a commit once it has returned",
                                  "the pulse has moved when a commit returns",
                                  "a mirror that follows the feed while others write ends up equal"};
  conformance::BackendTraits traits;
  traits.name = "postgres";
  traits.persistent = true;
  traits.many_handles = false;
  traits.exact_pulse = false;
  traits.feed_bound = 10'000;
  PostgresOptions options = patient(cluster);
  options.pool_size = 4;
  int schemas = 0;
  conformance::BackendFactory factory;
  factory.open_fresh = [&] {
    options.schema = "threads_" + std::to_string(++schemas);
    return open_backend(options);
  };
  for (const conformance::Case& one : conformance::cases_for(traits, factory)) {
    if (wanted.erase(one.name) == 0) continue;
    INFO(one.name);
    const auto failures = conformance::run(one, factory, traits);
    INFO(conformance::describe(failures));
    CHECK(failures.empty());
  }
  CHECK(wanted.empty());
}

TEST_CASE("hosts that open at the same time make one schema") {
  const PostgresCluster cluster;
  std::vector<std::thread> hosts;
  std::atomic<int> opened{0};
  for (int host = 0; host < 8; ++host) {
    hosts.emplace_back([&] {
      if (postgres_backend(options_for(cluster.conninfo())).ok()) ++opened;
    });
  }
  for (std::thread& host : hosts) host.join();
  CHECK(opened == 8);
}

TEST_CASE("a server without a free connection is waited for, and named when there is none") {
  const PostgresCluster cluster({"max_connections=6", "superuser_reserved_connections=0"});
  PostgresOptions options = options_for(cluster.conninfo());
  options.listener_thread = false;
  options.deadline = std::chrono::seconds(10);
  const auto backend = open_backend(options);
  REQUIRE(put(*backend, sample_workspace()).outcome == CommitOutcome::committed);
  std::vector<std::unique_ptr<PGconn, decltype(&PQfinish)>> others;
  for (int other = 0; other < 4; ++other) {
    others.emplace_back(PQconnectdb(cluster.conninfo().c_str()), &PQfinish);
  }
  // Eight threads on the one or two connections that are left.
  std::vector<std::thread> threads;
  std::atomic<int> failed{0};
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&] {
      for (int call = 0; call < 20; ++call) {
        if (!backend->load_workspace("default").ok()) ++failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failed == 0);
  others.emplace_back(PQconnectdb(cluster.conninfo().c_str()), &PQfinish);
  const auto full = postgres_backend(options);
  REQUIRE_FALSE(full.ok());
  INFO(full.error().message());
  CHECK(full.error().message().find("too many clients") != std::string::npos);
}

}  // namespace
}  // namespace tokenstore::test
