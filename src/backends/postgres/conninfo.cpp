#include "backends/postgres/conninfo.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <string_view>

namespace tokenstore::postgres {
namespace {

struct FreeConninfo {
  void operator()(PQconninfoOption* options) const noexcept { PQconninfoFree(options); }
};

/// Empty if it is not given.
std::string_view value_of(const PQconninfoOption* options, std::string_view keyword) {
  for (const auto* option = options; option->keyword != nullptr; ++option) {
    if (option->keyword == keyword) return option->val != nullptr ? option->val : "";
  }
  return {};
}

/// libpq ends user and password at the first @ or /. A second @ before the parameters means that this one was a part of
/// the password, and the rest of it has become the host, the port or the database.
bool may_split_a_password(std::string_view conninfo) {
  constexpr std::string_view schemes[] = {"postgresql://", "postgres://"};
  const auto* scheme =
      std::find_if(std::begin(schemes), std::end(schemes), [&](auto each) { return conninfo.starts_with(each); });
  if (scheme == std::end(schemes)) return false;
  const std::string_view rest = conninfo.substr(scheme->size());
  const std::size_t first = rest.find_first_of("@/");
  if (first == std::string_view::npos) return false;
  const std::string_view behind = rest.substr(first + 1);
  return behind.substr(0, behind.find('?')).find('@') != std::string_view::npos;
}

/// One for each host, separated by commas; an empty one is the usual one.
bool are_ports(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || c == ',' || c == ' '; });
}

}  // namespace

ConninfoFacts facts_of(const std::string& conninfo) {
  char* complaint = nullptr;
  const std::unique_ptr<PQconninfoOption, FreeConninfo> given(PQconninfoParse(conninfo.c_str(), &complaint));
  PQfreemem(complaint);  // it would quote a piece of the string
  ConninfoFacts facts;
  if (!given) return facts;
  facts.well_formed = are_ports(value_of(given.get(), "port")) && !may_split_a_password(conninfo);
  facts.says_session_attrs = !value_of(given.get(), "target_session_attrs").empty();
  return facts;
}

}  // namespace tokenstore::postgres
