#include "backends/postgres/errors.hpp"

#include <fmt/format.h>

namespace tokenstore::postgres {
namespace {

std::string field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string() : std::string(text);
}

bool in_class(const std::string& state, std::string_view code_class) noexcept {
  return state.size() == 5 && std::string_view(state).substr(0, 2) == code_class;
}

}  // namespace

bool Failure::is_missing_object() const noexcept {
  return state == "42P01" || state == "42703" || state == "42883" || state == "3F000" || state == "42804";
}

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == '\t') {
      if (!line.empty() && line.back() != ' ') line += ' ';
    } else {
      line += c;
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  constexpr std::size_t longest = 300;
  if (line.size() > longest) line.resize(longest);
  return line;
}

Failure failure_of(const PGresult* result) {
  Failure failure;
  failure.state = field(result, PG_DIAG_SQLSTATE);
  // The primary message alone: the detail may quote values.
  failure.text = one_line(field(result, PG_DIAG_MESSAGE_PRIMARY));
  const std::string severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  failure.kind = severity == "ERROR" ? Failure::Kind::refused : Failure::Kind::lost;
  if (failure.text.empty()) failure.text = "the connection was lost";
  return failure;
}

Failure lost_connection(PGconn* connection) {
  Failure failure;
  failure.text = connection != nullptr ? one_line(PQerrorMessage(connection)) : std::string();
  if (failure.text.empty()) failure.text = "the connection was lost";
  return failure;
}

Failure timed_out() {
  return {Failure::Kind::timed_out, {}, "the server did not answer before the deadline"};
}

Error error_of(const Failure& failure, std::string_view doing) {
  const std::string text = fmt::format("{} failed: {}", doing, failure.text);
  if (failure.kind == Failure::Kind::refused) {
    if (failure.state == "53100") return Error(Status::storage_full, text);
    if (failure.is_read_only_server()) return Error(Status::read_only, text);
    if (failure.state == "42501") {
      return Error(Status::unavailable, text + "; grant the role its rights on the schema");
    }
    if (failure.is_missing_object()) return Error(Status::not_a_store, text + "; the schema is damaged");
  }
  return Error(Status::unavailable, text);
}

Error connecting_error(const Failure& failure) {
  if (failure.kind == Failure::Kind::timed_out || failure.kind == Failure::Kind::interrupted ||
      in_class(failure.state, "57") || in_class(failure.state, "53") || in_class(failure.state, "08")) {
    return Error(Status::unavailable, fmt::format("cannot connect to PostgreSQL: {}", failure.text));
  }
  return Error(
      Status::cannot_open,
      fmt::format("cannot connect to PostgreSQL: {}; check the connection string and the server", failure.text));
}

}  // namespace tokenstore::postgres
