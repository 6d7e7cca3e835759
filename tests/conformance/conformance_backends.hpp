/// The library's own backends, as the conformance suite wants them.
#pragma once

#include "conformance.hpp"

namespace tokenstore::conformance {

struct BackendUnderTest {
  BackendTraits traits;
  BackendFactory factory;  ///< owns what the storage needs, a directory for instance
};

BackendUnderTest under_test_memory();
BackendUnderTest under_test_sqlite();
/// The same two, handed over through the functions of tokenstore_backend.h.
BackendUnderTest under_test_memory_through_c();
BackendUnderTest under_test_sqlite_through_c();

}  // namespace tokenstore::conformance
