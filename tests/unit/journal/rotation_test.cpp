// When a store begins a new segment of its journal: by how much it has grown, and by how old it is.
#include <filesystem>

#include "support/fake_clock.hpp"
#include "tokenstore/backends/memory.hpp"
#include "tokenstore/journal.hpp"
#include "tokenstore/store.hpp"
#include "unit/journal/journal_world.hpp"

namespace tokenstore::journal {
namespace {

using tokenstore::test::FakeClock;

constexpr std::chrono::milliseconds day{millis_per_day};

Keyring keyring() {
  std::array<std::uint8_t, master_key_size> master{};
  master.fill(0x41);
  return std::move(Keyring::from_bytes(master)).value();
}

struct Place {
  tokenstore::test::TempDirectory directory;
  const std::string journal = directory.file("tokens.journal");
  std::shared_ptr<FakeClock> clock = std::make_shared<FakeClock>();
  std::shared_ptr<Backend> backend = memory_backend();

  std::unique_ptr<TokenStore> open(std::uint64_t bytes, std::chrono::milliseconds age) const {
    StoreOptions options;
    options.journal = journal;
    options.journal_segment_bytes = bytes;
    options.journal_segment_age = age;
    options.clock = clock;
    auto store = TokenStore::open(backend, keyring(), options);
    if (!store.ok()) FAIL(store.error().message());
    return std::move(*store);
  }
  std::uint64_t segments() const {
    const auto report = verify_journal(journal, keyring());
    if (!report.ok()) FAIL(report.error().message());
    CHECK(report->problems.empty());
    return report->segments;
  }
};

void issue_and_keep_up(TokenStore& store, int count = 1) {
  for (int i = 0; i < count; ++i) REQUIRE(store.issue(Actor::host(), {.owner = "alice", .scopes = {"read"}}).ok());
  for (int i = 0; i < 3; ++i) REQUIRE(store.maintain().ok());
}

TEST_CASE("a segment that is old enough and holds anything is followed by a new one, and kept") {
  const Place place;
  auto store = place.open(0, day);
  issue_and_keep_up(*store);
  place.clock->advance(millis_per_day - 1000);
  issue_and_keep_up(*store);
  CHECK(place.segments() == 1);
  place.clock->advance(1000);
  issue_and_keep_up(*store);
  CHECK(place.segments() == 2);
  CHECK(std::filesystem::exists(Log::path_of_segment(place.journal, 1)));
  // One in which nothing was written is as good as new.
  const std::uint64_t before = place.segments();
  place.clock->advance(10 * millis_per_day);
  for (int i = 0; i < 5; ++i) REQUIRE(store->maintain().ok());
  const std::uint64_t after = place.segments();
  CHECK(after <= before + 1);  // what upkeep itself has noted
  place.clock->advance(10 * millis_per_day);
  for (int i = 0; i < 5; ++i) REQUIRE(store->maintain().ok());
  CHECK(place.segments() == after);
  place.clock->advance(10 * millis_per_day);
  issue_and_keep_up(*store);
  CHECK(place.segments() == after + 1);
}

TEST_CASE("without an age a segment lasts, however old it is, until it has grown") {
  const Place place;
  auto store = place.open(0, std::chrono::milliseconds(0));
  issue_and_keep_up(*store);
  place.clock->advance(1000 * millis_per_day);
  issue_and_keep_up(*store);
  CHECK(place.segments() == 1);
  store.reset();
  store = place.open(2000, std::chrono::milliseconds(0));
  issue_and_keep_up(*store, 100);
  CHECK(place.segments() == 2);
}

TEST_CASE("a clock that was ahead when a segment was made delays the next, and an age below zero is refused") {
  const Place place;
  {
    auto ahead = place.open(0, day);
    issue_and_keep_up(*ahead);
  }
  place.clock->set_wall(place.clock->wall() - 100 * millis_per_day);
  auto store = place.open(0, day);
  issue_and_keep_up(*store);
  CHECK(place.segments() == 1);
  StoreOptions options;
  options.journal = place.journal;
  options.journal_segment_age = std::chrono::milliseconds(-1);
  CHECK(TokenStore::open(place.backend, keyring(), options).status() == Status::invalid_argument);
}

}  // namespace
}  // namespace tokenstore::journal
