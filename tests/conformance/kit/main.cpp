// tokenstore-conformance: judges a storage backend in a shared object.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "module.hpp"
#include "run_apart.hpp"
#include "support/temp_directory.hpp"

namespace tokenstore::conformance {
namespace {

enum Exit { passed = 0, failed = 1, not_judged = 2 };

struct Wanted {
  std::string module;
  std::string part;
  Effort effort;
  std::chrono::seconds::rep limit = 120;
  bool list = false;
  bool in_one_process = false;
};

struct Tally {
  int passed = 0;
  int failed = 0;
  int exempt = 0;
};

/// Line by line; one that is repeated, once.
std::string indented(const std::string& text) {
  std::string out;
  std::string last;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    if (line != last) out += "      " + line + "\n";
    last = line;
    at = end + 1;
  }
  return out;
}

std::string run_one(const Module& module, const Case& one, const Wanted& wanted) {
  const test::TempDirectory root;
  const auto body = [&] { return describe(run(one, module.factory(root.path()), module.traits(), wanted.effort)); };
  const std::string faults = wanted.in_one_process ? body() : run_apart(body, std::chrono::seconds(wanted.limit));
  module.discard(root.path());
  return faults;
}

void judge(const Module& module, const Case& one, const Wanted& wanted, Tally& tally) {
  if (const std::string exemption = module.exemption(one); !exemption.empty()) {
    std::printf("n/a   %s (%s)\n", one.name.c_str(), exemption.c_str());
    ++tally.exempt;
    return;
  }
  const std::string faults = run_one(module, one, wanted);
  if (faults.empty()) {
    std::printf("ok    %s\n", one.name.c_str());
    ++tally.passed;
  } else {
    std::printf("FAIL  %s\n%s", one.name.c_str(), indented(faults).c_str());
    ++tally.failed;
  }
  std::fflush(stdout);
}

int judge_all(const Wanted& wanted) {
  const Module module(wanted.module);
  Tally tally;
  for (const Case& one : all_cases()) {
    if (one.name.find(wanted.part) == std::string::npos) continue;
    if (wanted.list) {
      std::printf("%s\n", one.name.c_str());
      ++tally.passed;
    } else {
      judge(module, one, wanted, tally);
    }
  }
  if (tally.passed + tally.failed + tally.exempt == 0) throw std::runtime_error("no case has that in its name");
  if (wanted.list) return passed;
  std::printf("%d passed, %d failed, %d do not apply\n", tally.passed, tally.failed, tally.exempt);
  return tally.failed == 0 && tally.passed > 0 ? passed : failed;
}

int main_of(int count, const char* const* arguments) {
  Wanted wanted;
  CLI::App app("Judges a storage backend for tokenstore: runs the library's own suite on it.");
  app.add_option("MODULE", wanted.module, "a shared object as tokenstore_conformance.h describes it")->required();
  app.add_option("PART", wanted.part, "only cases with this in their names");
  app.add_flag("--list", wanted.list, "show the names of the cases and run none");
  app.add_option("--seed", wanted.effort.seed, "another run of the random cases");
  app.add_option("--factor", wanted.effort.factor, "multiplies the steps of the random cases")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--limit", wanted.limit, "seconds that a case may take")->check(CLI::Range(1, 1'000'000));
  app.add_flag("--in-one-process", wanted.in_one_process, "for debuggers: a crash ends the run");
  app.footer("Ends with 0 if every case passed, 1 if one failed, 2 if there was nothing to judge.");
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? passed : not_judged;
  }
  try {
    return judge_all(wanted);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tokenstore-conformance: %s\n", error.what());
    return not_judged;
  }
}

}  // namespace
}  // namespace tokenstore::conformance

int main(int count, char** arguments) {
  return tokenstore::conformance::main_of(count, arguments);
}
