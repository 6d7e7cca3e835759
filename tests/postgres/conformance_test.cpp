// The conformance suite on a PostgreSQL server. One server for all cases; each case in a schema of its own.
#include "conformance.hpp"

#include "postgres_support.hpp"

namespace tokenstore::conformance {
namespace {

/// Runs every case that applies. TOKENSTORE_CONFORMANCE_ONLY names a single one.
void run_all(const test::PostgresCluster& cluster, std::chrono::milliseconds max_staleness, bool strict) {
  BackendTraits traits;
  traits.name = "postgres";
  traits.persistent = true;
  traits.many_handles = strict;
  // A host's own notifications come back to it, and move its pulse once more.
  traits.exact_pulse = false;
  traits.feed_bound = 4'500;

  int schemas = 0;
  PostgresOptions options = test::options_for(cluster.conninfo());
  options.max_staleness = max_staleness;
  options.deadline = std::chrono::seconds(20);
  options.pool_size = 4;
  const auto open = [&options] { return test::open_backend(options); };
  BackendFactory factory;
  factory.open_fresh = [&] {
    options.schema = (strict ? "strict_" : "leased_") + std::to_string(++schemas);
    return open();
  };
  factory.reopen = open;
  factory.open_read_only = [&] {
    PostgresOptions reading = options;
    reading.read_only = true;
    return test::open_backend(reading);
  };

  const char* only = std::getenv("TOKENSTORE_CONFORMANCE_ONLY");
  int ran = 0;
  for (const Case& one : cases_for(traits, factory)) {
    if (only != nullptr && one.name != only) continue;
    ++ran;
    INFO(one.name);
    const auto failures = run(one, factory, traits);
    INFO(describe(failures));
    CHECK(failures.empty());
    cluster.sql("DROP SCHEMA IF EXISTS " + options.schema + " CASCADE");
  }
  CHECK((only != nullptr || ran > 30));
}

TEST_CASE("PostgreSQL passes the conformance suite when the server is asked on every call") {
  const test::PostgresCluster cluster;
  run_all(cluster, std::chrono::milliseconds(0), true);
}

TEST_CASE("PostgreSQL passes the conformance suite with a lease") {
  const test::PostgresCluster cluster;
  run_all(cluster, std::chrono::milliseconds(1'000), false);
}

}  // namespace
}  // namespace tokenstore::conformance
