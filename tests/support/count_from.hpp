/// How often a test repeats itself: a number from the environment, for the slow tier.
#pragma once

#include <cstdlib>

namespace tokenstore::test {

inline int count_from(const char* variable, int otherwise) {
  const char* value = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): read before any thread starts
  return value == nullptr ? otherwise : std::atoi(value);
}

}  // namespace tokenstore::test
