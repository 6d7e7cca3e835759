/// Where a store is, as `--db`, `--from` and `--to` say: the path of a file, or the URI of a PostgreSQL.
#pragma once

#include <string>
#include <string_view>

namespace tokenstore::cli {

/// Whether it is a PostgreSQL URI.
bool is_postgres(std::string_view place);

/// Whether it looks like a connection string of another form: `host=db password=...`, or the URI of something else.
/// A path of that look is written `./PATH`.
bool is_other_conninfo(std::string_view place);

/// What may be shown of a place: a URI may hold a password.
std::string shown_place(const std::string& place);

}  // namespace tokenstore::cli
