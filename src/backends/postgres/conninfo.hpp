/// What has to be known of a connection string before libpq uses it. Functions only; any thread.
#pragma once

#include <string>

namespace tokenstore::postgres {

struct ConninfoFacts {
  /// False: libpq would refuse it, or would take a piece of the password for something that its errors repeat (in a URI
  /// the @ or the / of a password has to be percent-encoded).
  bool well_formed = false;
  bool says_session_attrs = false;  ///< target_session_attrs is given
};

ConninfoFacts facts_of(const std::string& conninfo);

}  // namespace tokenstore::postgres
