#include "rest_session.hpp"

#include <string>
#include <string_view>

#include <sodium.h>

#include "caller.hpp"
#include "json_body.hpp"
#include "problem.hpp"
#include "token_json.hpp"

namespace access_page {
namespace {

using tokenstore::Actor;

/// Another site must not sign a browser in as somebody else: browsers name the page that a request is from.
bool comes_from_elsewhere(const httplib::Request& request) {
  if (!request.has_header("Origin")) return false;
  const std::string origin = request.get_header_value("Origin");
  const std::size_t host = origin.find("://");
  return host == std::string::npos || origin.substr(host + 3) != request.get_header_value("Host");
}

/// Why this person cannot generate a token now; empty if they can.
std::string_view why_not(const tokenstore::Policy& policy, const tokenstore::OwnerInfo& owner, Role role) {
  if (!policy.tokens_enabled) return "Access tokens are switched off in this workspace.";
  if (owner.suspended) return "An administrator has suspended your tokens: none of them works.";
  if (!owner.settings.may_issue) return "An administrator does not allow you to generate tokens.";
  if (!policy.users_may_issue && role != Role::administrator) {
    return "Only administrators may generate tokens in this workspace.";
  }
  return {};
}

void send_session(Host& host, const Session& session, const Account& account, httplib::Response& response, int status) {
  const auto policy = host.store.policy(Actor::host());
  if (!policy) return send_problem(response, policy.error());
  auto owner = host.store.owner(Actor::host(), account.name);
  if (!owner && owner.status() == tokenstore::Status::not_found) owner = tokenstore::OwnerInfo{};
  if (!owner) return send_problem(response, owner.error());

  Json scopes = Json::array();
  for (const auto& scope : host.scopes) {
    if (scope.administrators_only && account.role != Role::administrator) continue;
    scopes.push_back({{"name", scope.name}, {"description", scope.description}});
  }
  const std::string_view obstacle = why_not(*policy, *owner, account.role);
  Json body;
  body["user"] = account.name;
  body["administrator"] = account.role == Role::administrator;
  body["csrfToken"] = session.csrf_token;
  body["mayGenerate"] = obstacle.empty();
  body["obstacle"] = obstacle;
  body["mayUse"] = owner->settings.may_use && !owner->suspended;
  body["workspace"] = policy_json(*policy);
  body["scopes"] = std::move(scopes);
  send_json(response, body, status);
}

void sign_in(Host& host, const httplib::Request& request, httplib::Response& response) {
  if (comes_from_elsewhere(request)) {
    return send_problem(response, {403, "foreign-origin", "Sign in on the page of this server."});
  }
  auto body = read_body(request, {"user", "password"});
  const std::string user = text_field(body, "user").value_or("");
  std::string password = text_field(body, "password").value_or("");
  const bool right = check_password(host, request, response, user, password);
  sodium_memzero(password.data(), password.size());
  if (!right) return;
  const auto account = host.accounts.find(user);
  if (!account) return send_problem(response, {401, "wrong-password", "The user name or the password is wrong."});

  host.sessions.forget(request);
  const Session session = host.sessions.start(account->name, request, response);
  send_session(host, session, *account, response, 201);
}

void show_session(Host& host, const httplib::Request& request, httplib::Response& response) {
  const auto session = host.sessions.find(request);
  const auto account = session ? host.accounts.find(session->user) : std::nullopt;
  if (!account) return send_json(response, {{"user", nullptr}});
  send_session(host, *session, *account, response, 200);
}

void sign_out(Host& host, const httplib::Request& request, httplib::Response& response) {
  const auto session = host.sessions.find(request);
  if (session && !Sessions::is_csrf_token(*session, request.get_header_value("X-CSRF-Token"))) {
    return send_problem(response,
                        {403, "missing-csrf-token",
                         "The change did not come from this page: the X-CSRF-Token header is missing or wrong."});
  }
  host.sessions.end(request, response);
  response.status = 204;
}

}  // namespace

void add_session_routes(Router& router, Host& host) {
  router.get("/session", [&host](const auto& request, auto& response) { show_session(host, request, response); });
  router.post("/session", [&host](const auto& request, auto& response) { sign_in(host, request, response); });
  router.remove("/session", [&host](const auto& request, auto& response) { sign_out(host, request, response); });
}

}  // namespace access_page
