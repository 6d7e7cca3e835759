#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "tokenstore/model.hpp"
#include "tokenstore/status.hpp"
#include "tokenstore/verdict.hpp"

namespace tokenstore {
namespace {

/// Asks for the names of 0..255 and counts those that are known, which have to differ.
template <typename Enumeration, typename Name>
std::size_t known_names(Name name) {
  std::set<std::string> names;
  std::size_t known = 0;
  for (int number = 0; number < 256; ++number) {
    const std::string text(name(static_cast<Enumeration>(number)));
    REQUIRE_FALSE(text.empty());
    if (text == "unrecognised") continue;
    names.insert(text);
    ++known;
  }
  REQUIRE(names.size() == known);
  return known;
}

TEST_CASE("every status, state, outcome and reason has a name of its own") {
  REQUIRE(known_names<Status>(status_name) == 21);
  REQUIRE(known_names<TokenState>(state_name) == 5);
  REQUIRE(known_names<Outcome>(outcome_name) == 3);
  REQUIRE(known_names<Reason>(reason_name) == 16);
}

TEST_CASE("a name is that of the field") {
  REQUIRE(status_name(Status::wrong_key) == "wrong_key");
  REQUIRE(state_name(TokenState::pending) == "pending");
  REQUIRE(outcome_name(Outcome::unavailable) == "unavailable");
  REQUIRE(reason_name(Reason::insufficient_scope) == "insufficient_scope");
}

}  // namespace
}  // namespace tokenstore
