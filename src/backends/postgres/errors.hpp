/// What the server and libpq say, as the library's errors.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "tokenstore/status.hpp"

namespace tokenstore::postgres {

/// What became of a call on a connection that did not succeed.
struct Failure {
  enum class Kind : std::uint8_t {
    refused,      ///< the server said no: the transaction is over and changed nothing
    lost,         ///< the connection ended or was ended: nobody knows what the server did last
    timed_out,    ///< the deadline passed; the connection has been given up
    interrupted,  ///< the owner of the connection wants to stop
  };
  Kind kind = Kind::lost;
  std::string state{};  ///< SQLSTATE, if the server gave one
  std::string text{};   ///< one line; never holds a parameter's value

  bool connection_is_usable() const noexcept { return kind == Kind::refused; }
  /// Deadlock or serialisation failure: the same again may succeed.
  bool is_retryable() const noexcept { return state == "40P01" || state == "40001"; }
  /// The server is not the primary any more.
  bool is_read_only_server() const noexcept { return state == "25006"; }
  /// A table, column or function that should be there is not.
  bool is_missing_object() const noexcept;
};

Failure failure_of(const PGresult* result);
/// For a connection that broke.
Failure lost_connection(PGconn* connection);
Failure timed_out();

/// `doing` completes "<doing> failed".
Error error_of(const Failure& failure, std::string_view doing);
/// For a connection that could not be made.
Error connecting_error(const Failure& failure);

/// The first line, without what follows it.
std::string one_line(std::string_view text);

}  // namespace tokenstore::postgres
