/// Errors as problem documents (RFC 9457), the only form in which this server says no.
///
/// Pure functions; any thread. A detail never holds what the client sent, a secret or a token.
#pragma once

#include <string>
#include <string_view>

#include <httplib.h>
#include <tokenstore/status.hpp>

namespace access_page {

/// `kind` names the problem for programs, as in "missing-csrf-token"; `detail` is a sentence for people.
struct Problem {
  int status = 500;
  std::string_view kind;
  std::string detail{};
  std::string_view oauth_error{};  ///< for OAuth clients: one of the words of RFC 6749 section 5.2
};

void send_problem(httplib::Response& response, const Problem& problem);

/// What a failure of the library is over HTTP. A store that cannot be asked is 503, never "no".
Problem problem_of(const tokenstore::Error& error);
void send_problem(httplib::Response& response, const tokenstore::Error& error);

/// Gives a problem document to the answers that cpp-httplib makes itself: 404, 413, ...
void send_problem_without_kind(httplib::Response& response);

}  // namespace access_page
