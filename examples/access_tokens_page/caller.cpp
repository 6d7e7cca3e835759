#include "caller.hpp"

#include <algorithm>

#include <sodium.h>
#include <tokenstore/verdict.hpp>

#include "common/authorization.hpp"
#include "common/form.hpp"
#include "problem.hpp"

namespace access_page {
namespace {

using tokenstore::Demand;
using tokenstore::Verdict;

constexpr const char* realm = R"(realm="access tokens")";

// A browser would put its own password window over the page; browsers send Sec-Fetch-Site, others do not.
void offer_password(const httplib::Request& request, httplib::Response& response) {
  if (request.has_header("Sec-Fetch-Site")) return;
  response.set_header("WWW-Authenticate", std::string("Basic ") + realm + R"(, charset="UTF-8")");
}

void challenge(const httplib::Request& request, httplib::Response& response, std::string_view bearer_parameters) {
  demand_token(response, bearer_parameters);
  offer_password(request, response);
}

void say_invalid_token(httplib::Response& response) {
  demand_token(response, R"(, error="invalid_token")");
  send_problem(response, {401, "invalid-token", "The token is not valid."});
}

/// RFC 6749 section 3.3. Nothing else may stand between the quotes of a challenge.
bool is_scope(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\\'; });
}

std::optional<Caller> known(Host& host, std::string_view name, Caller::Means means, std::string_view scopes = {}) {
  const std::optional<Account> account = host.accounts.find(name);
  if (!account) return std::nullopt;
  return Caller{account->name, account->role, means, std::string(scopes)};
}

/// May this address try a password now? If not, that has been answered.
bool may_try(Host& host, const httplib::Request& request, httplib::Response& response) {
  const int wait = host.sign_in_limit.take(host.client_address(request));
  if (wait == 0) return true;
  response.set_header("Retry-After", std::to_string(wait));
  send_problem(response, {429, "too-many-attempts",
                          "Too many attempts to sign in. Try again in " + std::to_string(wait) +
                              (wait == 1 ? " second." : " seconds.")});
  return false;
}

bool answer_check(const httplib::Request& request, httplib::Response& response, PasswordCheck check) {
  switch (check) {
    case PasswordCheck::right:
      return true;
    case PasswordCheck::busy:
      send_problem(response, {503, "busy", "Too many people are signing in at once. Try again soon."});
      return false;
    default:
      challenge(request, response, "");
      send_problem(response, {401, "wrong-password", "The user name or the password is wrong."});
      return false;
  }
}

/// The credentials as an OAuth client encodes them; nothing if they mean the same as they are.
std::optional<hosting::NameAndPassword> decoded(const hosting::NameAndPassword& sent) {
  auto name = hosting::decode_form_text(sent.name);
  auto password = hosting::decode_form_text(sent.password);
  if (!name || !password || (*name == sent.name && *password == sent.password)) return std::nullopt;
  return hosting::NameAndPassword{*std::move(name), *std::move(password)};
}

std::optional<Caller> by_password(Host& host, const httplib::Request& request, httplib::Response& response,
                                  std::string_view credentials, Passwords passwords) {
  auto sent = hosting::read_basic(credentials);
  if (!sent) {
    send_problem(response, {400, "malformed-credentials", "The Authorization header is malformed."});
    return std::nullopt;
  }
  if (!may_try(host, request, response)) return std::nullopt;
  PasswordCheck check = PasswordCheck::wrong;
  std::string name;
  if (auto plain = passwords == Passwords::of_oauth_clients ? decoded(*sent) : std::nullopt) {
    check = host.accounts.check(plain->name, plain->password);
    name = plain->name;
    sodium_memzero(plain->password.data(), plain->password.size());
  }
  if (check == PasswordCheck::wrong) {
    check = host.accounts.check(sent->name, sent->password);
    name = sent->name;
  }
  sodium_memzero(sent->password.data(), sent->password.size());
  if (!answer_check(request, response, check)) return std::nullopt;
  return known(host, name, Caller::Means::password);
}

std::optional<Caller> by_token(Host& host, const httplib::Request& request, httplib::Response& response,
                               std::string_view text, std::string_view scope) {
  const Verdict verdict = host.store.validate(text, Demand(scope, host.client_address(request)));
  if (verdict.valid()) {
    auto caller = known(host, verdict.owner(), Caller::Means::token, verdict.scopes());
    if (caller) return caller;
    say_invalid_token(response);
  } else {
    refuse_token(response, verdict, scope);
  }
  if (response.status == 401) offer_password(request, response);
  return std::nullopt;
}

std::optional<Caller> by_session(Host& host, const httplib::Request& request, httplib::Response& response) {
  const auto session = host.sessions.find(request);
  if (!session) {
    challenge(request, response, "");
    if (host.sessions.brought_cookie(request)) {
      send_problem(response, {401, "session-ended", "Your session has ended. Sign in again."});
    } else {
      send_problem(response, {401, "not-signed-in", "Sign in, or send a user and password or a token."});
    }
    return std::nullopt;
  }
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (!reads && !Sessions::is_csrf_token(*session, request.get_header_value("X-CSRF-Token"))) {
    send_problem(response, {403, "missing-csrf-token",
                            "The change did not come from this page: the X-CSRF-Token header is missing or wrong."});
    return std::nullopt;
  }
  auto caller = known(host, session->user, Caller::Means::session);
  if (!caller) send_problem(response, {401, "session-ended", "Your session has ended. Sign in again."});
  return caller;
}

}  // namespace

bool Caller::holds(std::string_view scope) const {
  if (means != Means::token) return true;
  std::string_view rest = token_scopes;
  while (!rest.empty()) {
    const std::size_t end = rest.find(' ');
    if (rest.substr(0, end) == scope) return true;
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  }
  return false;
}

void demand_token(httplib::Response& response, std::string_view parameters) {
  response.set_header("WWW-Authenticate", std::string("Bearer ").append(realm).append(parameters));
}

void refuse_token(httplib::Response& response, const Verdict& verdict, std::string_view scope) {
  switch (verdict.http_status()) {
    case 503:
      return send_problem(response,
                          {503, "unavailable", "The token store cannot be reached at the moment. Try again soon."});
    case 403:
      if (!is_scope(scope)) {  // the library grants such a scope to no token
        demand_token(response, R"(, error="insufficient_scope")");
        return send_problem(response, {403, "no-scope", "The request names no scope, so no token grants it."});
      }
      demand_token(response, std::string(R"(, error="insufficient_scope", scope=")").append(scope).append("\""));
      return send_problem(response, {403, "insufficient-scope",
                                     std::string("The token does not grant the scope ").append(scope) + "."});
    default:  // one answer for unknown, expired, revoked and forged
      return say_invalid_token(response);
  }
}

bool check_password(Host& host, const httplib::Request& request, httplib::Response& response, const std::string& name,
                    std::string_view password) {
  return may_try(host, request, response) && answer_check(request, response, host.accounts.check(name, password));
}

std::optional<Caller> identify(Host& host, const httplib::Request& request, httplib::Response& response,
                               std::string_view scope, Passwords passwords) {
  hosting::Authorization authorization = hosting::read_authorization(request);
  std::optional<Caller> caller;
  switch (authorization.scheme) {
    case hosting::Scheme::ambiguous:
      challenge(request, response, R"(, error="invalid_request")");
      send_problem(response,
                   {400, "malformed-credentials", "Send one Authorization header, with one set of credentials."});
      return std::nullopt;
    case hosting::Scheme::basic:
      caller = by_password(host, request, response, authorization.credentials, passwords);
      break;
    case hosting::Scheme::bearer:
      caller = by_token(host, request, response, authorization.credentials, scope);
      break;
    case hosting::Scheme::none:
      return by_session(host, request, response);
  }
  sodium_memzero(authorization.credentials.data(), authorization.credentials.size());
  return caller;
}

std::optional<Caller> identify_administrator(Host& host, const httplib::Request& request, httplib::Response& response) {
  auto caller = identify(host, request, response, administer_scope);
  if (caller && caller->role != Role::administrator) {
    send_problem(response, {403, "not-an-administrator", "Only administrators may do this."});
    return std::nullopt;
  }
  return caller;
}

}  // namespace access_page
