#include "rest_tokens.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "caller.hpp"
#include "json_body.hpp"
#include "problem.hpp"
#include "token_actions.hpp"
#include "token_json.hpp"

namespace access_page {
namespace {

using tokenstore::Actor;
using tokenstore::Lifetime;

constexpr const char* collection = "/v4/apiAccessTokens";
constexpr const char* one = "/v4/apiAccessTokens/([^/]{1,64})";
constexpr const char* one_expire = "/v4/apiAccessTokens/([^/]{1,64})/expire";
constexpr const char* one_revoke = "/v4/apiAccessTokens/([^/]{1,64})/revoke";

using OwnHandler = std::function<void(const Caller&, const httplib::Request&, httplib::Response&)>;

/// While tokens are switched off these routes do not exist, whoever asks.
httplib::Server::Handler while_enabled(Host& host, OwnHandler handler) {
  return [&host, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
    const auto policy = host.store.policy(Actor::host());
    if (!policy) return send_problem(response, policy.error());
    if (!policy->tokens_enabled) return send_problem(response, {404, {}, {}});
    const auto caller = identify(host, request, response, manage_scope);
    if (caller) handler(*caller, request, response);
  };
}

Lifetime read_lifetime(const nlohmann::json& body) {
  const auto seconds = integer_field(body, "lifetimeSeconds");
  if (!seconds || *seconds == 0) return Lifetime::policy_default();
  if (*seconds == -1) return Lifetime::never();
  if (*seconds < 0 || *seconds > std::numeric_limits<std::int64_t>::max() / 1000) {
    throw BadBody{400, "invalid-lifetime", "lifetimeSeconds must be 1 or more, 0 for the default, or -1 for never."};
  }
  return Lifetime::millis(*seconds * 1000);
}

/// What a token gets when the request names no scopes: all that its maker may give, as users of that API
/// expect. A token gives no more than it has.
std::vector<std::string> default_scopes(const Host& host, const Caller& caller) {
  std::vector<std::string> scopes;
  for (const auto& offered : host.scopes) {
    if (!offered.administrators_only && caller.holds(offered.name)) scopes.push_back(offered.name);
  }
  return scopes;
}

void check_scope(const Host& host, const Caller& caller, const std::string& scope) {
  const auto offered = std::find_if(host.scopes.begin(), host.scopes.end(),
                                    [&](const OfferedScope& candidate) { return candidate.name == scope; });
  if (offered == host.scopes.end()) throw BadBody{400, "unknown-scope", "One of the scopes is not offered here."};
  if (offered->administrators_only && caller.role != Role::administrator) {
    throw BadBody{403, "scope-not-allowed", "Only administrators may give the scope " + offered->name + "."};
  }
  if (!caller.holds(scope)) {
    throw BadBody{403, "scope-not-allowed",
                  "A token cannot give the scope " + offered->name + ": it does not hold it."};
  }
}

std::vector<std::string> read_scopes(const Host& host, const Caller& caller, const nlohmann::json& body) {
  const auto field = body.find("scopes");
  if (field == body.end() || field->is_null()) return default_scopes(host, caller);
  if (!field->is_array()) throw BadBody{.detail = "scopes must be a list of texts."};
  std::vector<std::string> scopes;
  for (const auto& item : *field) {
    if (!item.is_string()) throw BadBody{.detail = "scopes must be a list of texts."};
    scopes.push_back(item.get<std::string>());
    check_scope(host, caller, scopes.back());
  }
  return scopes;
}

void generate(Host& host, const Caller& caller, const httplib::Request& request, httplib::Response& response) {
  const auto body = read_body(request, {"lifetimeSeconds", "description", "scopes"});
  tokenstore::IssueRequest wanted;
  wanted.owner = caller.user;
  wanted.description = text_field(body, "description").value_or("");
  wanted.lifetime = read_lifetime(body);
  wanted.scopes = read_scopes(host, caller, body);

  const Actor actor = caller.role == Role::administrator ? Actor::administrator(caller.user) : Actor::user(caller.user);
  const auto issued = host.store.issue(actor, wanted);
  if (!issued) return send_problem(response, issued.error());
  Json answer;
  answer["tokenValue"] = issued->text.reveal();
  answer["tokenInfo"] = token_json(issued->info);
  // Relative to where the request went, which a proxy may have under another path.
  response.set_header("Location", "apiAccessTokens/" + issued->info.id);
  send_json(response, answer, 201);
}

}  // namespace

void add_token_routes(Router& router, Host& host) {
  const auto own = [&host](OwnHandler handler) { return while_enabled(host, std::move(handler)); };
  router.get(collection, own([&host](const auto& caller, const auto& request, auto& response) {
               list_tokens(host, Actor::user(caller.user), {}, request, response);
             }));
  router.post(collection, own([&host](const auto& caller, const auto& request, auto& response) {
                generate(host, caller, request, response);
              }));
  router.get(one, own([&host](const auto& caller, const auto& request, auto& response) {
               show_token(host, Actor::user(caller.user), request.matches[1], response);
             }));
  router.remove(one, own([&host](const auto& caller, const auto& request, auto& response) {
                  delete_token(host, Actor::user(caller.user), request.matches[1], response);
                }));
  router.post(one_expire, own([&host](const auto& caller, const auto& request, auto& response) {
                expire_token(host, Actor::user(caller.user), request.matches[1], request, response);
              }));
  router.post(one_revoke, own([&host](const auto& caller, const auto& request, auto& response) {
                revoke_token(host, Actor::user(caller.user), request.matches[1], request, response);
              }));
}

}  // namespace access_page
