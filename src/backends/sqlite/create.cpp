#include "backends/sqlite/create.hpp"

#include <cerrno>

#include "backends/sqlite/acting_owner.hpp"
#include "backends/sqlite/errors.hpp"
#include "backends/sqlite/schema.hpp"
#include "base/new_file.hpp"
#include "base/temporary_file.hpp"

namespace tokenstore::sqlite {
Result<void> create_database(const Location& location, const Target& target) {
  // Made by root in somebody's directory, it is theirs: they could replace it, and could not use it otherwise.
  const ActingOwner owner(location.directory);
  const base::TemporaryFile temporary(location.path);
  if (const int code = temporary.create(); code != 0) return creation_error(location.path, code);
  {
    Target building = target;
    building.path = temporary.path();
    building.read_only = false;
    building.immutable = false;
    Result<std::unique_ptr<Connection>> connection = Connection::open(building);
    if (!connection) return connection.error();
    if (const int code = create_schema(**connection); code != SQLITE_OK) return error_of(code, "creating its tables");
  }
  const int placed = base::put_in_place(temporary.path(), location.path);
  if (placed != 0 && placed != EEXIST) return creation_error(location.path, placed);
  if (const int code = base::sync_directory_of(location.path); code != 0) return creation_error(location.path, code);
  return {};
}

}  // namespace tokenstore::sqlite
