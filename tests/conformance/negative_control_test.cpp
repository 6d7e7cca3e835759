// The suite must be able to fail: it reports every backend that breaks a clause of the contract.
#include <algorithm>
#include <catch2/catch.hpp>

#include "broken_backends.hpp"
#include "conformance.hpp"

namespace tokenstore::conformance {
namespace {

BackendTraits memory_like() {
  BackendTraits traits;
  traits.name = "broken";
  traits.feed_bound = 10'000;
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
