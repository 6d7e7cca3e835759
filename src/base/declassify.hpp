/// Where a finding about a secret becomes public, as "malformed" or "wrong": nowhere else may the flow
/// of control or an address depend on a secret.
///
/// Nothing happens here in the library. The test of constant time compiles the same sources with
/// TOKENSTORE_MEMCHECK, runs them under valgrind with the secrets marked undefined, and these are the
/// only places where it is told to look away.
#pragma once

#ifdef TOKENSTORE_MEMCHECK
#include <valgrind/memcheck.h>
#endif

namespace tokenstore::base {

inline bool declassify(bool finding) noexcept {
#ifdef TOKENSTORE_MEMCHECK
  (void)VALGRIND_MAKE_MEM_DEFINED(&finding, sizeof(finding));
#endif
  return finding;
}

}  // namespace tokenstore::base
