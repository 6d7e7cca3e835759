/// The way of every look-up: enter, check the files, borrow a connection, ask, and check that the
/// answer can be trusted.
#pragma once

#include "backends/sqlite/errors.hpp"
#include "backends/sqlite/sqlite_backend.hpp"

namespace tokenstore::sqlite {

/// `action(Connection&, T& answer)` returns a SQLite code: SQLITE_OK or what went wrong.
template <typename T, typename Action>
Result<T> SqliteBackend::look_up_in(Engine& engine, bool always_check_files, std::string_view doing, Action action) {
  if (std::optional<Error> error = engine.check_files(always_check_files)) return std::move(*error);
  Result<ReadPool::Lease> lease = engine.readers.take();
  if (!lease) return lease.error();
  T answer{};
  const int code = action(**lease, answer);
  if (code != SQLITE_OK) {
    if (spoils_connection(code)) lease->discard();
    return error_of(code, doing);
  }
  // Without locks, only the files can tell that nobody wrote while we read.
  if (engine.target.immutable) {
    if (std::optional<Error> error = engine.check_files(true)) return std::move(*error);
  }
  return answer;
}

template <typename T, typename Action>
Result<T> SqliteBackend::look_up(bool always_check_files, std::string_view doing, Action action) {
  const Visit visit = enter();
  if (visit.error()) return *visit.error();
  return look_up_in<T>(*visit, always_check_files, doing, std::move(action));
}

}  // namespace tokenstore::sqlite
