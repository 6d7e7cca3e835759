/// The conformance suite: what every Backend must do, as a list of named cases.
///
/// Depends on the C++ API alone, so that it can judge any backend, one behind the C vtable included,
/// from any test program. Thread use: run() may be called from several threads, each with a factory of
/// its own. Ownership: a case closes every backend that it opened before it returns.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenstore/backend.hpp"

namespace tokenstore::conformance {

/// How a backend differs from the strictest one. A case that does not apply is not in cases_for().
struct BackendTraits {
  std::string name;
  bool persistent = false;     ///< what was committed is there after every handle was closed
  bool many_handles = false;   ///< `reopen` works while another handle is open, as another process would
  bool has_feed = true;        ///< false: changes() may always answer "everything"
  bool exact_pulse = true;     ///< the pulse stays while nothing is committed
  std::size_t feed_bound = 0;  ///< after so many announcements the feed has forgotten the first; 0: never
};

/// How a case gets at the storage. A null result, or a call that throws, fails the case.
struct BackendFactory {
  std::function<std::shared_ptr<Backend>()> open_fresh;      ///< empty storage
  std::function<std::shared_ptr<Backend>()> reopen;          ///< what open_fresh made last; null: cannot
  std::function<std::shared_ptr<Backend>()> open_read_only;  ///< the same, for reading only; null: cannot
};

/// How hard to try. The same seed and effort ask for the same things in the same order, threads aside.
struct Effort {
  std::uint64_t seed = 1;
  std::size_t factor = 1;  ///< multiplies the steps of every random case
};

struct Failure {
  std::string file;
  int line = 0;
  std::string text;
};

class Trial;

struct Case {
  std::string name;  ///< a sentence that states the requirement
  void (*body)(Trial&) = nullptr;
  bool needs_many_handles = false;
  bool needs_persistence = false;
  bool needs_feed = false;
  bool needs_exact_pulse = false;
  bool needs_feed_bound = false;
  bool needs_read_only = false;
};

/// Every case, in a fixed order.
std::vector<Case> all_cases();
/// Those that apply to such a backend.
std::vector<Case> cases_for(const BackendTraits& traits, const BackendFactory& factory);

/// Runs one case. Empty: it passed. At most 20 failures are kept.
std::vector<Failure> run(const Case& which, const BackendFactory& factory, const BackendTraits& traits,
                         const Effort& effort = {});

/// "commit_cases.cpp:12: text" for each.
std::string describe(const std::vector<Failure>& failures);

}  // namespace tokenstore::conformance
