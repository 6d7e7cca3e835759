/// Who asks: a signed-in browser, a user and password, or a token. One place decides for every route.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <httplib.h>
#include <tokenstore/verdict.hpp>

#include "accounts.hpp"
#include "host.hpp"

namespace access_page {

struct Caller {
  enum class Means { session, password, token };

  std::string user;
  Role role = Role::user;
  Means means = Means::session;
  std::string token_scopes{};  ///< of the token, separated by spaces, if that is the means

  bool holds(std::string_view scope) const;  ///< may this caller give that scope to a new token?
};

/// How a user and password stand in Basic credentials.
enum class Passwords {
  plain,             ///< as they are (RFC 7617)
  of_oauth_clients,  ///< percent-encoded (RFC 6749 section 2.3.1), or as they are: many clients do not know of it
};

/// The caller, or nothing when the request has been answered with 400, 401, 403, 429 or 503. A token must
/// hold `scope`. A change made with a session must bring the session's X-CSRF-Token.
std::optional<Caller> identify(Host& host, const httplib::Request& request, httplib::Response& response,
                               std::string_view scope, Passwords passwords = Passwords::plain);

/// As above, for administrators alone.
std::optional<Caller> identify_administrator(Host& host, const httplib::Request& request, httplib::Response& response);

/// Demands a bearer token in WWW-Authenticate (RFC 6750 section 3); `parameters` go on after the realm.
void demand_token(httplib::Response& response, std::string_view parameters);
/// Answers a request whose token does not do for `scope`: 401, 403 or 503.
void refuse_token(httplib::Response& response, const tokenstore::Verdict& verdict, std::string_view scope);

/// Tries a password within the limit per address. Answers what is not right; true: go on.
bool check_password(Host& host, const httplib::Request& request, httplib::Response& response, const std::string& name,
                    std::string_view password);

}  // namespace access_page
