/// Everything at once on the stores of one workspace, in threads.
#include "support/mixed_load.hpp"

#include "support/forwarding_backend.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::MixedLoad;
using test::MixedLoadReport;

namespace {

using Backends = std::vector<std::shared_ptr<Backend>>;

/// Says at every look that nothing has changed since the first.
class StandingPulse final : public test::ForwardingBackend {
 public:
  explicit StandingPulse(std::shared_ptr<Backend> inner)
      : ForwardingBackend(std::move(inner)), first_(ForwardingBackend::pulse()) {}
  Pulse pulse() noexcept override { return first_; }

 private:
  Pulse first_;
};

/// One store on each backend, with a cache that the tokens do not fit into and uses that are soon due.
MixedLoadReport run(const Backends& backends, std::size_t tokens, std::size_t cache_bytes = 1,
                    bool upkeep_thread = true) {
  std::vector<std::unique_ptr<TokenStore>> stores;
  MixedLoad load;
  load.tokens = tokens;
  for (const auto& backend : backends) {
    StoreOptions options;
    options.cache_bytes = cache_bytes;
    options.use_interval = std::chrono::milliseconds{5};
    options.upkeep_thread = upkeep_thread;
    auto opened = TokenStore::open(backend, test::one_key(), std::move(options));
    REQUIRE(opened.ok());
    stores.push_back(std::move(*opened));
    load.stores.push_back(stores.back().get());
  }
  const MixedLoadReport report = test::MixedLoadRun(load).run();
  std::uint64_t evictions = 0;
  for (const auto& store : stores) evictions += store->statistics().evictions;
  CHECK((evictions > 0) == (cache_bytes == 1));
  return report;
}

void check(const MixedLoadReport& report) {
  INFO(report.first_error);
  CHECK(report.stale == 0);
  CHECK(report.wrongly_denied == 0);
  CHECK(report.mixed_up == 0);
  CHECK(report.lost == 0);
  CHECK(report.unavailable == 0);
  CHECK(report.failed_calls == 0);
  CHECK(report.valid > 0);
  CHECK(report.invalid > 0);
}

Backends handles_on(const std::string& path, int count) {
  Backends backends;
  for (int i = 0; i < count; ++i) {
    SqliteOptions options;
    options.path = path;
    options.busy_timeout = std::chrono::milliseconds{60'000};
    backends.push_back(sqlite_backend(options).value());
  }
  return backends;
}

}  // namespace

TEST_CASE("everything at once on three stores that share memory: no verdict is wrong and no call fails") {
  const auto backend = memory_backend();
  check(run({backend, backend, backend}, 200));
}

TEST_CASE("everything at once on two stores of one handle of a file: no verdict is wrong and no call fails") {
  const test::TempDirectory directory;
  const Backends one = handles_on(directory.file("store.db"), 1);
  check(run({one[0], one[0]}, 60));
}

TEST_CASE("everything at once on three handles of one file: no verdict is wrong and no call fails") {
  const test::TempDirectory directory;
  check(run(handles_on(directory.file("store.db"), 3), 40));
}

TEST_CASE("everything at once on a store whose pulse stands still is seen to be stale") {
  const auto backend = memory_backend();
  const auto standing = std::make_shared<StandingPulse>(backend);
  // Without the upkeep thread, which reads what has changed from time to time: the tokens that one store ends when
  // all else is at rest (20 in 200 for each store) are then stale for certain, and any under the load besides.
  CHECK(run({backend, standing}, 200, std::size_t{4} << 20, false).stale >= 40);
}
