#pragma once

// In front of every source that the mutation tool compiles: which fault is switched on, and which were come to.

#include <type_traits>

namespace tokenstore_mutation {

extern int chosen;              // the number of the fault that is switched on, or -1
extern unsigned char* reached;  // by number

constexpr bool chosen_is(int number) noexcept {
  if (std::is_constant_evaluated()) return false;
  // The same value from whichever thread: what counts is that somebody came here.
  __atomic_store_n(&reached[number], static_cast<unsigned char>(1), __ATOMIC_RELAXED);
  return chosen == number;
}

}  // namespace tokenstore_mutation

#define TOKENSTORE_MUTANT(number) ::tokenstore_mutation::chosen_is(number)
