// The disk fails under a warm cache: what has ended stays ended, whatever cannot be read.
#include <optional>

#include "sqlite_faults/fault_vfs.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

/// Lets everything through until it is told to fail.
class FailLater final : public FaultPlan {
 public:
  void fail(std::int64_t nth, bool for_ever) { failing_.emplace(nth, for_ever); }
  bool fired() const { return failing_ && failing_->fired(); }
  void relent() { failing_->relent(); }
  int before(const FileEvent& event) override { return failing_ ? failing_->before(event) : SQLITE_OK; }

 private:
  std::optional<FailNth> failing_;
};

std::unique_ptr<TokenStore> open_store(const std::string& path, const std::string& vfs = "") {
  SqliteOptions options;
  options.path = path;
  options.vfs = vfs;
  options.busy_timeout = std::chrono::milliseconds(20);
  auto backend = sqlite_backend(options);
  REQUIRE(backend.ok());
  auto store = TokenStore::open(*backend, one_key());
  REQUIRE(store.ok());
  return std::move(*store);
}

Outcome outcome(TokenStore& store, const Kept& token) {
  return store.validate(token.text, Demand("read")).outcome();
}

/// True if the n-th call was reached. Counts verdicts that storage's failure decided.
bool fail_nth(std::int64_t nth, bool for_ever, int& unavailable) {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  FailLater plan;
  const FaultVfs vfs(plan);
  const Actor host = Actor::host();
  const auto other = open_store(path);
  const auto store = open_store(path, vfs.name());
  const auto issue = [&](const char* owner) { return World::issue(*other, {.owner = owner, .scopes = {"read"}}); };
  const Kept revoked = issue("alice"), expired = issue("alice"), removed = issue("alice"), suspended = issue("bob"),
             own = issue("carol"), alive = issue("carol");
  for (const Kept* token : {&revoked, &expired, &removed, &suspended, &own, &alive}) {
    REQUIRE(outcome(*store, *token) == Outcome::valid);
  }

  plan.fail(nth, for_ever);
  const auto look = [&](const Kept& token) {
    const Outcome seen = outcome(*store, token);
    unavailable += seen == Outcome::unavailable ? 1 : 0;
    return seen;
  };
  REQUIRE(other->revoke(host, revoked.id).ok());
  CHECK(look(revoked) != Outcome::valid);
  REQUIRE(other->expire(host, expired.id).ok());
  CHECK(look(expired) != Outcome::valid);
  REQUIRE(other->remove(host, removed.id).ok());
  CHECK(look(removed) != Outcome::valid);
  REQUIRE(other->suspend(host, "bob").ok());
  CHECK(look(suspended) != Outcome::valid);
  CHECK(look(alive) != Outcome::invalid);
  const bool own_ended = store->revoke(host, own.id).ok();
  if (own_ended) CHECK(look(own) != Outcome::valid);
  if (own_ended) CHECK(outcome(*other, own) == Outcome::invalid);
  const bool fired = plan.fired();

  plan.relent();
  static_cast<void>(store->maintain().ok());
  for (const Kept* token : {&revoked, &expired, &removed, &suspended}) {
    CHECK(outcome(*store, *token) == Outcome::invalid);
  }
  CHECK(outcome(*store, alive) == Outcome::valid);
  // Asked to end, it denies here, whether storage took it or not.
  CHECK(outcome(*store, own) == Outcome::invalid);
  return fired;
}

}  // namespace

TEST_CASE("whichever call to the file system fails under a warm cache, what another handle ended is not valid") {
  for (const bool for_ever : {false, true}) {
    int unavailable = 0;
    std::int64_t nth = 1;
    for (bool fired = true; fired; ++nth) {
      CAPTURE(nth, for_ever);
      fired = fail_nth(nth, for_ever, unavailable);
    }
    // Enough was tried, and some of it was felt.
    CHECK(nth > 10);
    CHECK(unavailable > 0);
  }
}
