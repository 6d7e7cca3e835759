/// Making a new database file.
#pragma once

#include "backends/sqlite/connection.hpp"
#include "backends/sqlite/location.hpp"

namespace tokenstore::sqlite {

/// Makes a complete database, mode 0600 from its first moment, and puts it at the path in one step: at
/// no time is there half a database. If somebody else was faster, theirs stays and this is success.
Result<void> create_database(const Location& location, const Target& target);

}  // namespace tokenstore::sqlite
