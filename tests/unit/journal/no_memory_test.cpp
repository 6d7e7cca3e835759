// The n-th allocation fails, for every n, in a store with a journal: an ending is acknowledged and in the journal, or
// it is not acknowledged and can be repeated.
//
// A program of its own, because it replaces operator new; and fdatasync, which would take most of the time.
#include "support/scarce_memory.hpp"
#include "tokenstore/backends/memory.hpp"
#include "tokenstore/store.hpp"
#include "unit/journal/journal_world.hpp"

extern "C" int fdatasync(int) {
  return 0;
}

namespace tokenstore::journal {
namespace {

const Actor host = Actor::host();

struct Scene {
  explicit Scene(std::size_t cache) : cache_bytes(cache) {
    store = open();
    other = open();
    auto issued = store->issue(host, {.owner = "alice", .scopes = {"read"}});
    text = std::string(issued->text.reveal());
    id = issued->info.id;
    REQUIRE(other->validate(text, Demand("read")).valid());
  }

  std::unique_ptr<TokenStore> open() const {
    std::array<std::uint8_t, master_key_size> master{};
    master.fill(0x31);
    StoreOptions options;
    options.journal = path;
    options.cache_bytes = cache_bytes;
    return std::move(TokenStore::open(backend, std::move(Keyring::from_bytes(master)).value(), options)).value();
  }
  bool journal_knows(const std::string& key) const {
    test::Told told;
    const Bytes16 in = backend->load_store().value()->id;
    REQUIRE(Log::open({path}, *test::sealer_of(0x31), in, test::now, told).ok());
    return told.knows(key);
  }

  std::size_t cache_bytes;
  tokenstore::test::TempDirectory directory;
  const std::string path = directory.file("store.journal");
  std::shared_ptr<Backend> backend = memory_backend();
  std::unique_ptr<TokenStore> store;
  std::unique_ptr<TokenStore> other;
  std::string text;
  std::string id;
};

struct Ending {
  const char* name;
  Status (*end)(TokenStore& store, const std::string& id);
  bool of_owner;
  Status again;  ///< once it has happened
};
constexpr Ending endings[] = {
    {"revoke", [](TokenStore& store, const std::string& id) { return store.revoke(host, id, "lost").status(); }, false,
     Status::ok},
    {"remove", [](TokenStore& store, const std::string& id) { return store.remove(host, id).status(); }, false,
     Status::not_found},
    {"suspend", [](TokenStore& store, const std::string&) { return store.suspend(host, "alice").status(); }, true,
     Status::ok},
};

TEST_CASE("without memory an ending is acknowledged and in the journal, or can be repeated") {
  int faults = 0;
  int unwritten = 0;
  for (const Ending& ending : endings) {
    for (const bool onwards : {false, true}) {
      for (long nth = 1;; ++nth) {
        Scene scene(nth % 2 == 0 ? 0 : std::size_t{1} << 20);
        Status status = Status::out_of_memory;
        const bool struck = tokenstore::test::with_fault(nth, onwards, [&] {
          try {
            status = ending.end(*scene.store, scene.id);
          } catch (const std::bad_alloc&) {
          }
        });
        INFO(ending.name << ", allocation " << nth << (onwards ? " and all after it" : ""));
        const std::string key = ending.of_owner ? "alice" : scene.id;
        if (status == Status::ok) CHECK(scene.journal_knows(key));
        if (!struck) {
          CHECK(status == Status::ok);
          break;
        }
        ++faults;
        CHECK((status == Status::ok || status == Status::out_of_memory || status == Status::not_journaled));
        // Whoever is told that it holds finds that it does, here and elsewhere.
        if (status != Status::out_of_memory) {
          CHECK_FALSE(scene.store->validate(scene.text, Demand("read")).valid());
          CHECK_FALSE(scene.other->validate(scene.text, Demand("read")).valid());
        }
        if (status == Status::not_journaled) ++unwritten;
        const Status again = ending.end(*scene.store, scene.id);
        CHECK((again == Status::ok || again == ending.again));
        CHECK_FALSE(scene.store->validate(scene.text, Demand("read")).valid());
        CHECK_FALSE(scene.other->validate(scene.text, Demand("read")).valid());
        if (again == Status::ok) CHECK(scene.journal_knows(key));
      }
    }
  }
  CHECK(faults > 100);    // a fault that never strikes would prove nothing
  CHECK(unwritten > 10);  // nor one that strikes only before the commit
}

TEST_CASE("without memory a healing comes to its end, or goes on when it is asked for again") {
  int faults = 0;
  for (const bool onwards : {false, true}) {
    for (long nth = 1;; ++nth) {
      Scene scene(nth % 2 == 0 ? 0 : std::size_t{1} << 20);
      const auto token = scene.backend->load_token("default", scene.id).value().value();
      const auto owner = scene.backend->load_owner("default", "alice").value().value();
      REQUIRE(scene.store->revoke(host, scene.id).ok());
      REQUIRE(scene.store->suspend(host, "alice").ok());
      // As they were, which no revision forbids where nobody looks at them.
      const Mutation back[] = {Mutation::put(token, token.revision + 1), Mutation::put(owner, owner.revision + 1)};
      REQUIRE(scene.backend->commit("default", back, nullptr).outcome == CommitOutcome::committed);
      std::optional<Result<HealReport>> report;
      const bool struck = tokenstore::test::with_fault(nth, onwards, [&] {
        try {
          report.emplace(scene.store->heal(host));
        } catch (const std::bad_alloc&) {
        }
      });
      INFO("allocation " << nth << (onwards ? " and all after it" : ""));
      CHECK_FALSE(scene.store->validate(scene.text, Demand("read")).valid());
      const auto again = scene.store->heal(host);
      REQUIRE(again.ok());
      CHECK(scene.store->statistics().healed == 2);
      CHECK(again->refused == 0);
      CHECK(scene.backend->load_token("default", scene.id).value()->revoked_at != never);
      CHECK(scene.backend->load_owner("default", "alice").value()->suspended_at != never);
      CHECK(scene.other->validate(scene.text, Demand("read")).reason() == Reason::owner_suspended);
      if (!struck) {
        CHECK((report && report->ok() && (*report)->ended == 1 && (*report)->settings == 1));
        break;
      }
      ++faults;
    }
  }
  CHECK(faults > 50);
}

TEST_CASE("without memory a validation that reads on in the journal is right or unavailable, now and afterwards") {
  for (const std::size_t cache : {std::size_t{0}, std::size_t{1} << 20}) {
    for (long nth = 1;; ++nth) {
      Scene scene(cache);
      REQUIRE(scene.store->revoke(host, scene.id).ok());
      Outcome outcome = Outcome::valid;
      const bool struck = tokenstore::test::with_fault(
          nth, false, [&] { outcome = scene.other->validate(scene.text, Demand("read")).outcome(); });
      INFO("cache " << cache << ", allocation " << nth);
      CHECK(outcome != Outcome::valid);
      CHECK(scene.other->validate(scene.text, Demand("read")).outcome() == Outcome::invalid);
      if (!struck) break;
    }
  }
}

}  // namespace
}  // namespace tokenstore::journal
