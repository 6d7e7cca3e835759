#include "rest_servers.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <sodium.h>
#include <tokenstore/verdict.hpp>

#include "caller.hpp"
#include "common/authorization.hpp"
#include "common/form.hpp"
#include "json_body.hpp"
#include "problem.hpp"
#include "token_json.hpp"

namespace access_page {
namespace {

using tokenstore::Actor;
using tokenstore::Demand;
using tokenstore::Outcome;
using tokenstore::Reason;
using tokenstore::Verdict;

/// nginx sets it in the subrequest that it makes, over whatever a client sent: nginx.conf shows how.
constexpr const char* demanded_scope = "X-Token-Scope";

constexpr std::size_t longest_form = 8192;  // which is cpp-httplib's, for the one spelling of the type that it knows

using OauthHandler = std::function<void(const Caller&, const std::string& text, httplib::Response&)>;

/// The one token of a form. Throws BadBody.
std::string token_in_form(const httplib::Request& request) {
  if (!hosting::is_media_type(request.get_header_value("Content-Type"), "application/x-www-form-urlencoded")) {
    throw BadBody{415, "wrong-content-type", "The body must be application/x-www-form-urlencoded."};
  }
  if (request.target.find('?') != std::string::npos) {
    throw BadBody{400, "invalid-request", "The token belongs in the body, not in the address, which gets logged."};
  }
  if (request.body.size() > longest_form) {
    throw BadBody{413, "invalid-request", "The form is too long: the longest token has 102 characters."};
  }
  const auto form = hosting::read_form(request.body);
  if (!form) throw BadBody{400, "invalid-request", "The form's percent-encoding is malformed."};
  const auto is_token = [](const auto& field) { return field.first == "token"; };
  if (std::count_if(form->begin(), form->end(), is_token) != 1) {
    throw BadBody{400, "invalid-request", "The body must name one token: token=..."};
  }
  return std::find_if(form->begin(), form->end(), is_token)->second;
}

httplib::Server::Handler oauth(Host& host, std::string_view scope, OauthHandler handler) {
  return [&host, scope, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
    const auto caller = identify(host, request, response, scope, Passwords::of_oauth_clients);
    if (!caller) return;
    try {
      handler(*caller, token_in_form(request), response);
    } catch (const BadBody& bad) {
      send_problem(response, Problem{bad.status, bad.kind, bad.detail, "invalid_request"});
    }
  };
}

/// Who and what a token is, with no route's scope in mind. The empty scope is held by no token, so that a
/// good one is told by Reason::insufficient_scope.
Verdict look_at(Host& host, std::string_view text) {
  return host.store.validate(text, Demand(""));
}

/// The server that asks is about to let the token in: that is a use of it.
Verdict count_as_used(Host& host, std::string_view text, const Verdict& verdict) {
  const std::string_view scopes = verdict.scopes();
  return scopes.empty() ? verdict : host.store.validate(text, Demand(scopes.substr(0, scopes.find(' '))));
}

std::int64_t seconds(tokenstore::UnixMillis time) {
  return time / 1000;
}

void introspect(Host& host, const std::string& text, httplib::Response& response) {
  Verdict verdict = look_at(host, text);
  if (verdict.reason() == Reason::insufficient_scope) verdict = count_as_used(host, text, verdict);
  if (verdict.outcome() == Outcome::unavailable) return refuse_token(response, verdict, {});
  // Not why: whoever asks may be fishing (RFC 7662 section 4).
  const bool active = verdict.valid() || verdict.reason() == Reason::insufficient_scope;
  if (!active) return send_json(response, {{"active", false}});
  const auto token = host.store.get(Actor::host(), verdict.id());
  if (!token && token.status() == tokenstore::Status::not_found) return send_json(response, {{"active", false}});
  if (!token) return send_problem(response, token.error());

  Json body;
  body["active"] = true;
  body["scope"] = verdict.scopes();
  body["username"] = verdict.owner();
  body["sub"] = verdict.owner();
  body["token_type"] = "Bearer";
  if (verdict.expires_at() != tokenstore::never) body["exp"] = seconds(verdict.expires_at());
  body["iat"] = seconds(token->created_at);
  body["jti"] = verdict.id();
  send_json(response, body);
}

/// Made here, with the right secret, and not over for certain. What is switched off, suspended or not yet begun
/// can come back; "revoked" may be an earlier attempt of this process that storage refused.
bool is_genuine(const Verdict& verdict) {
  switch (verdict.reason()) {
    case Reason::none:
    case Reason::insufficient_scope:
    case Reason::pending:
    case Reason::owner_suspended:
    case Reason::owner_may_not_use:
    case Reason::tokens_disabled:
    case Reason::revoked:
      return true;
    default:
      return false;
  }
}

/// Where a genuine token's text holds its id: after the prefix, an underscore, the version and the key's id.
std::string_view id_in(std::string_view genuine, std::string_view prefix) {
  return genuine.substr(prefix.size() + 1 + 1 + 2, tokenstore::token_id_size);
}

void revoke(Host& host, const Caller& caller, const std::string& text, httplib::Response& response) {
  const Verdict verdict = look_at(host, text);
  if (verdict.outcome() == Outcome::unavailable) return refuse_token(response, verdict, {});
  response.status = 200;  // what has ended, or never was, is as the client wants it (RFC 7009 section 2.2)
  if (!is_genuine(verdict)) return;

  const std::string_view id = id_in(text, host.store.prefix());
  const auto token = host.store.get(Actor::host(), id);
  if (!token && token.status() == tokenstore::Status::not_found) return;
  if (!token) return send_problem(response, token.error());
  const bool administrator = caller.role == Role::administrator;
  if (token->owner != caller.user && !administrator) {
    return send_problem(response, {403, "not-your-token", "The token is another person's.", "unauthorized_client"});
  }
  const auto revoked =
      host.store.revoke(administrator ? Actor::administrator(caller.user) : Actor::user(caller.user), id);
  if (!revoked && revoked.status() != tokenstore::Status::not_found) send_problem(response, revoked.error());
}

/// 204, 401, 403 or 503, whatever the method: some proxies ask with the one of the request. nginx takes anything else,
/// and 503 as well, for a failure: its configuration makes 503 of that.
void authorize(Host& host, const httplib::Request& request, httplib::Response& response) {
  const bool one_scope = request.get_header_value_count(demanded_scope) == 1;
  const std::string scope = one_scope ? request.get_header_value(demanded_scope) : "";
  hosting::Authorization authorization = hosting::read_authorization(request);
  if (authorization.scheme != hosting::Scheme::bearer) {
    const bool ambiguous = authorization.scheme == hosting::Scheme::ambiguous;
    demand_token(response, ambiguous ? R"(, error="invalid_request")" : "");
    return send_problem(response, {401, "no-token", "Send one token, in one Authorization header."});
  }
  const Verdict verdict = host.store.validate(authorization.credentials, Demand(scope, host.client_address(request)));
  sodium_memzero(authorization.credentials.data(), authorization.credentials.size());
  if (!verdict.valid()) return refuse_token(response, verdict, scope);
  response.status = 204;
  response.set_header("X-Token-Owner", std::string(verdict.owner()));
  response.set_header("X-Token-Id", std::string(verdict.id()));
}

}  // namespace

void add_server_routes(Router& router, Host& host) {
  router.post("/introspect", oauth(host, introspect_scope, [&host](const auto&, const auto& text, auto& response) {
                introspect(host, text, response);
              }));
  router.post("/revoke", oauth(host, manage_scope, [&host](const auto& caller, const auto& text, auto& response) {
                revoke(host, caller, text, response);
              }));
  router.any("/auth", [&host](const auto& request, auto& response) { authorize(host, request, response); });
}

}  // namespace access_page
