// Every call to the file system fails in turn, once or from then on.
#include "sqlite_faults/fault_vfs.hpp"
#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

enum class Fate : std::uint8_t { untouched, done, failed, unknown };

Fate fate_of(const CommitResult& result) {
  switch (result.outcome) {
    case CommitOutcome::committed:
      return Fate::done;
    case CommitOutcome::unknown:
      return Fate::unknown;
    case CommitOutcome::failed:
      return Fate::failed;
    case CommitOutcome::conflict:
      break;
  }
  FAIL("a conflict where there can be none");
  return Fate::failed;
}

struct Fates {
  Fate issue = Fate::untouched;
  Fate revoke = Fate::untouched;
  Fate remove = Fate::untouched;
};

/// The workload. Token 1 is revoked, 2 removed, 3 issued.
Fates run(const SqliteOptions& options) {
  Fates fates;
  const auto opened = sqlite_backend(options);
  if (!opened.ok()) return fates;
  Backend& backend = **opened;
  fates.issue = fate_of(issue(backend, 3));
  // What is read is right or an error: token 1 is there from the start.
  const auto read = backend.load_token(workspace, token_id(1));
  if (read.ok()) CHECK(read->has_value());
  fates.revoke = fate_of(revoke(backend, 1));
  if (fates.revoke == Fate::done) {
    const auto revoked = backend.load_token(workspace, token_id(1));
    if (revoked.ok()) CHECK((revoked->has_value() && is_revoked(**revoked)));
    const auto changes = backend.changes(workspace, 2);
    if (changes.ok()) CHECK(changes->revision >= 3);
  }
  fates.remove = fate_of(commit_one(backend, Mutation::remove_token(token_id(2), 1)));
  const auto list = backend.list_tokens(workspace, {});
  if (list.ok()) CHECK(list->tokens.size() >= 1);
  const Use use{token_id(1), 99, "::1"};
  (void)backend.record_uses(workspace, std::span(&use, 1)).ok();
  (void)backend.maintain(std::chrono::milliseconds(10)).ok();
  return fates;
}

void check_state(Backend& backend, const Fates& fates) {
  const auto token = [&](std::uint64_t number) {
    const auto loaded = backend.load_token(workspace, token_id(number));
    REQUIRE(loaded.ok());
    return *loaded;
  };
  if (fates.issue == Fate::done) CHECK(token(3).has_value());
  if (fates.issue == Fate::failed || fates.issue == Fate::untouched) CHECK_FALSE(token(3).has_value());
  REQUIRE(token(1).has_value());
  if (fates.revoke == Fate::done) CHECK(is_revoked(*token(1)));
  if (fates.revoke == Fate::failed || fates.revoke == Fate::untouched) CHECK_FALSE(is_revoked(*token(1)));
  if (fates.remove == Fate::done) CHECK_FALSE(token(2).has_value());
  if (fates.remove == Fate::failed || fates.remove == Fate::untouched) CHECK(token(2).has_value());
  CHECK(backend.check_integrity(10, {}).value().empty());
}

void fail_each_call(bool for_ever) {
  std::int64_t runs = 0;
  for (std::int64_t nth = 1;; ++nth) {
    const TempDirectory directory;
    const std::string path = directory.file("store.db");
    {
      const auto backend = open_or_fail(options_for(path));
      REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
      REQUIRE(issue(*backend, 2).outcome == CommitOutcome::committed);
    }
    FailNth plan(nth, for_ever);
    Fates fates;
    {
      const FaultVfs vfs(plan);
      SqliteOptions options = options_for(path);
      options.vfs = vfs.name();
      options.busy_timeout = std::chrono::milliseconds(20);
      fates = run(options);
    }
    INFO("call " << nth << (for_ever ? " and all after it" : "") << " failed");
    const auto backend = open_or_fail(options_for(path));
    check_state(*backend, fates);
    // The next one goes through.
    CHECK(issue(*backend, 4).outcome == CommitOutcome::committed);
    ++runs;
    if (!plan.fired()) break;
  }
  CHECK(runs > 50);
}

}  // namespace

TEST_CASE("Whichever call to the file system fails once, the answer is an error or the truth") {
  fail_each_call(false);
}

TEST_CASE("Whichever call to the file system fails from then on, the answer is an error or the truth") {
  fail_each_call(true);
}

TEST_CASE("A call that fails while creating a database leaves none, or a whole one") {
  for (std::int64_t nth = 1;; ++nth) {
    const TempDirectory directory;
    const std::string path = directory.file("store.db");
    FailNth plan(nth, false);
    {
      const FaultVfs vfs(plan);
      SqliteOptions options = options_for(path);
      options.vfs = vfs.name();
      options.busy_timeout = std::chrono::milliseconds(20);
      (void)sqlite_backend(options).ok();
    }
    INFO("call " << nth << " failed");
    CHECK(issue(*open_or_fail(options_for(path)), 1).outcome == CommitOutcome::committed);
    if (!plan.fired()) break;
  }
}

TEST_CASE("A commit whose sync failed is settled before anything is said about it") {
  // The sync of a commit fails and the disk works again: the answer must be a sure "failed", and must
  // still be true after recovery from the files as they are.
  class FailSync final : public FaultPlan {
   public:
    int before(const FileEvent& event) override {
      return event.call == FileCall::sync && armed.exchange(false) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
    }
    std::atomic<bool> armed{false};
  };
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  FailSync plan;
  const FaultVfs vfs(plan);
  SqliteOptions options = options_for(path);
  options.vfs = vfs.name();
  const auto backend = open_or_fail(options);
  REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
  plan.armed = true;
  const CommitResult result = issue(*backend, 2);
  CHECK_FALSE(plan.armed);
  CHECK(result.outcome == CommitOutcome::failed);
  CHECK(result.error->status() == Status::unavailable);
  CHECK_FALSE(backend->load_token(workspace, token_id(2)).value().has_value());
  // A crash now: the files are copied as they lie there.
  std::filesystem::copy_file(path, directory.file("crashed.db"));
  std::filesystem::copy_file(path + "-wal", directory.file("crashed.db-wal"));
  const auto recovered = open_or_fail(options_for(directory.file("crashed.db")));
  CHECK(recovered->load_token(workspace, token_id(1)).value().has_value());
  CHECK_FALSE(recovered->load_token(workspace, token_id(2)).value().has_value());
  CHECK(issue(*backend, 2).outcome == CommitOutcome::committed);
}

TEST_CASE("A connection that cannot be made again is storage that is unavailable, not a path that cannot be opened") {
  // Every call fails for a while: the connections are spoiled, and new ones cannot be opened.
  class Outage final : public FaultPlan {
   public:
    int before(const FileEvent& event) override {
      if (!under_way) return SQLITE_OK;
      return event.call == FileCall::open ? SQLITE_CANTOPEN : SQLITE_IOERR_READ;
    }
    std::atomic<bool> under_way{false};
  };
  const TempDirectory directory;
  Outage plan;
  const FaultVfs vfs(plan);
  SqliteOptions options = options_for(directory.file("store.db"));
  options.vfs = vfs.name();
  const auto backend = open_or_fail(options);
  REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
  plan.under_way = true;
  for (int again = 0; again < 3; ++again) {
    const CommitResult result = revoke(*backend, 1);
    CHECK(result.outcome == CommitOutcome::failed);
    CHECK(result.error->status() == Status::unavailable);
    CHECK(backend->load_token(workspace, token_id(1)).status() == Status::unavailable);
  }
  plan.under_way = false;
  CHECK(revoke(*backend, 1).outcome == CommitOutcome::committed);
}
