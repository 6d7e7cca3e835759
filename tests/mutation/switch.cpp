// The switch of the faults, and a report of the faults that each test comes to. Linked into a program of tests.

#include "switch.hpp"

#include <sys/mman.h>

#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace tokenstore_mutation {
namespace {

constexpr std::size_t most = 8192;
unsigned char before_main[most];

double seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Ahead of what is initialised before main(). Shared, so that forked children report too.
__attribute__((constructor(101))) void choose() {
  void* const shared = mmap(nullptr, most, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared != MAP_FAILED) reached = static_cast<unsigned char*>(shared);
  if (const char* number = std::getenv("TOKENSTORE_MUTATION_CHOSEN")) chosen = std::atoi(number);
}

// A line a test: seconds, seconds of the processor, name, and the faults.
class Report : public Catch::TestEventListenerBase {
 public:
  using TestEventListenerBase::TestEventListenerBase;

  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    TestEventListenerBase::testCaseStarting(info);
    std::memset(reached, 0, most);
    began_ = seconds(CLOCK_MONOTONIC);
    worked_ = seconds(CLOCK_PROCESS_CPUTIME_ID);
  }

  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    TestEventListenerBase::testCaseEnded(stats);
    const char* const name = std::getenv("TOKENSTORE_MUTATION_REPORT");
    std::FILE* const file = name == nullptr ? nullptr : std::fopen(name, "a");
    if (file == nullptr) return;
    std::fprintf(file, "%.6f\t%.6f\t%s\t", seconds(CLOCK_MONOTONIC) - began_,
                 seconds(CLOCK_PROCESS_CPUTIME_ID) - worked_, stats.testInfo.name.c_str());
    for (std::size_t number = 0; number < most; ++number) {
      if (reached[number] != 0) std::fprintf(file, "%zu ", number);
    }
    std::fputc('\n', file);
    std::fclose(file);
  }

 private:
  double began_ = 0;
  double worked_ = 0;
};

CATCH_REGISTER_LISTENER(Report)

}  // namespace

int chosen = -1;
unsigned char* reached = before_main;

}  // namespace tokenstore_mutation
