// The suite must be able to fail: it reports every backend that breaks a clause of the contract.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <deque>

#include "broken_backends.hpp"
#include "conformance.hpp"
#include "support/forwarding_backend.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

BackendTraits memory_like() {
  BackendTraits traits;
  traits.name = "broken";
  traits.feed_bound = 4'000;
  return traits;
}

TEST_CASE("the suite reports every backend that breaks a clause", "[conformance]") {
  const std::vector<Case> cases = all_cases();
  for (const BrokenBackend& broken : broken_backends()) {
    INFO("a backend that " << broken.name << " must fail: " << broken.caught_by);
    const auto which =
        std::find_if(cases.begin(), cases.end(), [&](const Case& one) { return one.name == broken.caught_by; });
    REQUIRE(which != cases.end());
    BackendFactory factory;
    factory.open_fresh = broken.open_fresh;
    // Races are given several chances to show.
    std::vector<Failure> failures;
    for (std::uint64_t seed = 1; seed <= 5 && failures.empty(); ++seed) {
      Effort effort;
      effort.seed = seed;
      failures = run(*which, factory, memory_like(), effort);
    }
    CHECK_FALSE(failures.empty());
  }
}

/// SQLite in a directory of the case's own, wrapped into what breaks it.
template <typename Broken>
BackendFactory broken_sqlite(test::TempDirectory& directory) {
  const auto open = [&directory] {
    SqliteOptions options;
    options.path = directory.file("tokens.db");
    return std::make_shared<Broken>(sqlite_backend(options).value());
  };
  BackendFactory factory;
  factory.open_fresh = open;
  factory.reopen = open;
  return factory;
}

/// Says that a batch is committed, and commits it when it is called the time after the next. Not the next time: whoever
/// is killed then has most likely written it already and is waiting for the disk, which only a power cut undoes.
struct AcknowledgesTooEarly : test::ForwardingBackend {
  using ForwardingBackend::ForwardingBackend;
  ~AcknowledgesTooEarly() override {
    while (!pending_.empty()) commit_first();
  }
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch, const Announcement*) override {
    if (pending_.size() == 2) commit_first();
    pending_.push_back({std::string(workspace), {batch.begin(), batch.end()}});
    return {CommitOutcome::committed, ++revision_, {}};
  }
  void commit_first() {
    const Batch& batch = pending_.front();
    const Names names(batch.steps);
    inner_->commit(batch.workspace, batch.steps, &names);
    pending_.pop_front();
  }
  struct Batch {
    std::string workspace;
    std::vector<Mutation> steps;
  };
  std::deque<Batch> pending_;
  std::uint64_t revision_ = 0;
};

/// Its pulse counts what this handle commits.
struct HearsNobodyElse : test::ForwardingBackend {
  using ForwardingBackend::ForwardingBackend;
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    ++own_;
    return inner_->commit(workspace, batch, announcement);
  }
  Pulse pulse() noexcept override { return {own_.load(), std::numeric_limits<std::int64_t>::max()}; }
  std::atomic<std::uint64_t> own_{1};
};

template <typename Broken>
std::vector<Failure> failures_of(const std::string& name) {
  const std::vector<Case> cases = all_cases();
  const auto which = std::find_if(cases.begin(), cases.end(), [&](const Case& one) { return one.name == name; });
  REQUIRE(which != cases.end());
  BackendTraits traits;
  traits.persistent = true;
  traits.many_handles = true;
  test::TempDirectory directory;
  return run(*which, broken_sqlite<Broken>(directory), traits);
}

TEST_CASE("the suite reports a backend that loses acknowledged batches when it is killed", "[conformance]") {
  CHECK_FALSE(failures_of<AcknowledgesTooEarly>("nothing acknowledged is lost when a process is killed").empty());
  CHECK(failures_of<test::ForwardingBackend>("nothing acknowledged is lost when a process is killed").empty());
}

TEST_CASE("the suite reports a backend whose pulse knows nothing of other processes", "[conformance]") {
  const std::string name = "a commit of another process is seen at once, and moves the pulse";
  CHECK_FALSE(failures_of<HearsNobodyElse>(name).empty());
  CHECK(failures_of<test::ForwardingBackend>(name).empty());
}

TEST_CASE("the suite reports a store that does not hear what another one has ended", "[conformance]") {
  const std::string name = "a store refuses at once what another one on the same storage has ended";
  CHECK_FALSE(failures_of<HearsNobodyElse>(name).empty());
  CHECK(failures_of<test::ForwardingBackend>(name).empty());
}

TEST_CASE("the wrapper that the broken backends are made from is sound itself", "[conformance]") {
  BackendFactory factory;
  factory.open_fresh = forwarding_backend;
  for (const Case& one : cases_for(memory_like(), factory)) {
    const auto failures = run(one, factory, memory_like());
    INFO(one.name << "\n" << describe(failures));
    CHECK(failures.empty());
  }
}

TEST_CASE("a factory that gives nothing or throws fails a case", "[conformance]") {
  const Case one = all_cases().front();
  BackendFactory factory;
  CHECK_FALSE(run(one, factory, memory_like()).empty());
  factory.open_fresh = []() -> std::shared_ptr<Backend> { throw std::runtime_error("cannot open"); };
  CHECK_FALSE(run(one, factory, memory_like()).empty());
}

TEST_CASE("every case has a name of its own", "[conformance]") {
  std::vector<std::string> names;
  for (const Case& one : all_cases()) names.push_back(one.name);
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
  CHECK(names.size() > 40);
}

}  // namespace
}  // namespace tokenstore::conformance
