// Every conformance case against every backend of the library, each as a test of its own.
//
// TOKENSTORE_CONFORMANCE_FACTOR multiplies the steps of the random cases, TOKENSTORE_CONFORMANCE_SEED
// sets their seed.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "conformance.hpp"
#include "conformance_backends.hpp"

namespace tokenstore::conformance {
namespace {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class RunCase final : public Catch::ITestInvoker {
 public:
  RunCase(Case which, BackendUnderTest (*backend)()) : which_(std::move(which)), backend_(backend) {}

  void invoke() const override {
    const BackendUnderTest under_test = backend_();
    Effort effort;
    effort.seed = setting("TOKENSTORE_CONFORMANCE_SEED", 1);
    effort.factor = static_cast<std::size_t>(setting("TOKENSTORE_CONFORMANCE_FACTOR", 1));
    INFO("seed " << effort.seed << ", factor " << effort.factor);
    const std::vector<Failure> failures = run(which_, under_test.factory, under_test.traits, effort);
    INFO(describe(failures));
    REQUIRE(failures.empty());
  }

 private:
  Case which_;
  BackendUnderTest (*backend_)();
};

/// Registered before main() runs, as TEST_CASE does it.
struct Registration {
  Registration() {
    for (BackendUnderTest (*backend)() :
         {under_test_memory, under_test_sqlite, under_test_memory_through_c, under_test_sqlite_through_c}) {
      const BackendUnderTest under_test = backend();
      for (const Case& one : cases_for(under_test.traits, under_test.factory)) {
        const std::string name = under_test.traits.name + ": " + one.name;
        Catch::AutoReg(new RunCase(one, backend), CATCH_INTERNAL_LINEINFO, Catch::StringRef(),
                       Catch::NameAndTags(name, "[conformance]"));
      }
    }
  }
};

const Registration registration;

}  // namespace
}  // namespace tokenstore::conformance
