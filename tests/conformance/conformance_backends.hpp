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

}  // namespace tokenstore::conformance
