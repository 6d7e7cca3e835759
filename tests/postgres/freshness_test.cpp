// How long one host may answer from what it knows after another has changed it.
#include <algorithm>
#include <limits>

#include "backends/postgres/sql.hpp"
#include "postgres_support.hpp"
#include "support/forwarding_backend.hpp"

namespace tokenstore::test {
namespace {

constexpr std::int64_t never_trusted = std::numeric_limits<std::int64_t>::min();

/// Would a cache that was filled under `before` still be used now? The rule of DESIGN.md section 8.
bool still_trusts(Backend& backend, const Pulse& before, Clock& clock) {
  const Pulse now = backend.pulse();
  return now.counter == before.counter && clock.monotonic() <= now.trusted_until;
}

/// Milliseconds from the acknowledgement to the last question that the old state could still answer. When a question
/// began counts, not when its answer was noticed: a busy machine may hold this thread up in between.
std::int64_t lag_of(Backend& host, const Pulse& before, Clock& clock, Steady::time_point acknowledged) {
  std::int64_t last = 0;
  for (std::int64_t began = millis_since(acknowledged); still_trusts(host, before, clock);
       began = millis_since(acknowledged)) {
    last = began;
    if (began > 10'000) break;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return last;
}

/// A pulse once the lease holds, so that there is something to be taken away.
Pulse trusted_pulse(Backend& host, Clock& clock) {
  const auto start = Steady::now();
  for (;;) {
    const Pulse pulse = host.pulse();
    if (clock.monotonic() <= pulse.trusted_until) return pulse;
    if (millis_since(start) > 10'000) throw std::runtime_error("the lease is not renewed");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST_CASE("another host's change moves the pulse at once") {
  const PostgresCluster cluster;
  const auto writer = open_backend(options_for(cluster.conninfo()));
  const auto host = open_backend(options_for(cluster.conninfo()));
  const auto clock = system_clock();
  REQUIRE(put(*writer, sample_workspace()).outcome == CommitOutcome::committed);
  std::vector<std::int64_t> lags;
  TokenRecord token = sample_token("t");
  for (int round = 0; round < 100; ++round) {
    const Pulse before = trusted_pulse(*host, *clock);
    REQUIRE(put(*writer, token, token.revision - 1).outcome == CommitOutcome::committed);
    lags.push_back(lag_of(*host, before, *clock, Steady::now()));
    ++token.revision;
  }
  std::sort(lags.begin(), lags.end());
  INFO("median " << lags[lags.size() / 2] << " ms, worst " << lags.back() << " ms");
  CHECK(lags[lags.size() / 2] < 100);
  CHECK(lags.back() <= 1'000);
}

TEST_CASE("a revocation in the gap of a terminated listener is effective within the bound") {
  const PostgresCluster cluster;
  PostgresOptions options = options_for(cluster.conninfo());
  const auto writer = open_backend(options);
  options.conninfo += " application_name=listening_host";
  options.max_staleness = std::chrono::milliseconds(300);
  const auto host = open_backend(options);
  const auto store = open_store(writer);
  const auto validating = open_store(host);
  const auto clock = system_clock();
  const std::string watch = postgres::sql_text(postgres::Sql::watch);
  const Demand demand("read");

  const int count = rounds("TOKENSTORE_LISTENER_ROUNDS", 100);
  std::int64_t worst = 0;
  for (int round = 0; round < count; ++round) {
    const Issued issued = issue_one(*store);
    const Pulse before = trusted_pulse(*host, *clock);
    const auto text = issued.text.reveal();
    REQUIRE(validating->validate(text, demand).valid());
    // It may be about to connect again after the round before.
    while (cluster.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = "
                       "'listening_host' AND query = '" +
                       watch + "'") == "0") {
    }
    REQUIRE(store->revoke(Actor::host(), issued.info.id).ok());
    const auto acknowledged = Steady::now();
    // The verdict may be the old one for as long as the bound, and not a moment longer.
    std::int64_t lag = 0;
    for (std::int64_t began = 0; validating->validate(text, demand).valid(); began = millis_since(acknowledged)) {
      lag = began;
      REQUIRE(lag <= options.max_staleness.count());
    }
    lag = std::max(lag, lag_of(*host, before, *clock, acknowledged));
    worst = std::max(worst, lag);
    REQUIRE(lag <= options.max_staleness.count());
  }
  INFO("worst " << worst << " ms");
  CHECK(worst < 1'000);
}

TEST_CASE("a frozen server ends the lease, and then every call by its deadline") {
  PostgresCluster cluster;
  PostgresOptions options = options_for(cluster.conninfo());
  options.max_staleness = std::chrono::milliseconds(300);
  options.deadline = std::chrono::milliseconds(700);
  const auto backend = open_backend(options);
  const auto clock = system_clock();
  REQUIRE(put(*backend, sample_workspace()).outcome == CommitOutcome::committed);
  trusted_pulse(*backend, *clock);
  cluster.freeze();
  const auto frozen = Steady::now();
  while (clock->monotonic() <= backend->pulse().trusted_until) {
    REQUIRE(millis_since(frozen) <= 350);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (int call = 0; call < 3; ++call) {
    const auto start = Steady::now();
    CHECK(backend->load_workspace("default").status() == Status::unavailable);
    CHECK(millis_since(start) >= 600);
    CHECK(millis_since(start) <= 800);
  }
  cluster.thaw();
  CHECK(backend->load_workspace("default").ok());
  trusted_pulse(*backend, *clock);
}

TEST_CASE("without a listener's thread maintain renews the lease, and with no staleness there is none") {
  const PostgresCluster cluster;
  PostgresOptions options = options_for(cluster.conninfo());
  options.listener_thread = false;
  options.max_staleness = std::chrono::milliseconds(500);
  const auto backend = open_backend(options);
  const auto other = open_backend(options);
  const auto clock = system_clock();
  CHECK(backend->pulse().trusted_until == never_trusted);
  REQUIRE(put(*other, sample_workspace()).outcome == CommitOutcome::committed);
  REQUIRE(backend->maintain(std::chrono::milliseconds(10)).ok());
  const Pulse before = backend->pulse();
  CHECK(clock->monotonic() <= before.trusted_until);
  REQUIRE(put(*other, sample_token("t")).outcome == CommitOutcome::committed);
  REQUIRE(backend->maintain(std::chrono::milliseconds(10)).ok());
  CHECK(backend->pulse().counter != before.counter);
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  CHECK(clock->monotonic() > backend->pulse().trusted_until);

  options.max_staleness = std::chrono::milliseconds(0);
  options.listener_thread = true;
  const auto asking = open_backend(options);
  REQUIRE(asking->maintain(std::chrono::milliseconds(10)).ok());
  CHECK(asking->pulse().trusted_until == never_trusted);
}

TEST_CASE("a server that lacks notifications is still followed by asking") {
  const PostgresCluster cluster;
  PostgresOptions options = options_for(cluster.conninfo());
  options.max_staleness = std::chrono::milliseconds(300);
  const auto host = open_backend(options);
  const auto clock = system_clock();
  REQUIRE(put(*host, sample_workspace()).outcome == CommitOutcome::committed);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const Pulse before = trusted_pulse(*host, *clock);
    // As a commit is, but without the announcement.
    cluster.sql("UPDATE tokenstore.feed SET revision = revision + 1");
    CHECK(lag_of(*host, before, *clock, Steady::now()) <= 320);
  }
}

/// A host that believes its first pulse for ever.
class StandingPulse final : public ForwardingBackend {
 public:
  explicit StandingPulse(std::shared_ptr<Backend> inner)
      : ForwardingBackend(std::move(inner)),
        first_{inner_->pulse().counter, std::numeric_limits<std::int64_t>::max()} {}
  Pulse pulse() noexcept override { return first_; }

 private:
  const Pulse first_;
};

/// The detector itself: the tests above would find such a host out.
TEST_CASE("a pulse that stands still is seen to be stale") {
  const PostgresCluster cluster;
  const auto writer = open_backend(options_for(cluster.conninfo()));
  const auto host = std::make_shared<StandingPulse>(open_backend(options_for(cluster.conninfo())));
  const auto store = open_store(writer);
  const auto validating = open_store(host);
  const auto clock = system_clock();
  const Issued issued = issue_one(*store);
  const auto text = issued.text.reveal();
  const Pulse before = host->pulse();
  REQUIRE(validating->validate(text, Demand("read")).valid());
  REQUIRE(store->revoke(Actor::host(), issued.info.id).ok());
  // Longer than the bound that the other tests hold a host to.
  std::this_thread::sleep_for(std::chrono::milliseconds(1'500));
  CHECK(validating->validate(text, Demand("read")).valid());
  CHECK(still_trusts(*host, before, *clock));
}

}  // namespace
}  // namespace tokenstore::test
