#include "rest_admin.hpp"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "caller.hpp"
#include "json_body.hpp"
#include "people.hpp"
#include "problem.hpp"
#include "token_actions.hpp"
#include "token_json.hpp"

namespace access_page {
namespace {

using tokenstore::Actor;
using tokenstore::Policy;

constexpr const char* tokens = "/v4/admin/apiAccessTokens";
constexpr const char* one_token = "/v4/admin/apiAccessTokens/([^/]{1,64})";
constexpr const char* one_expire = "/v4/admin/apiAccessTokens/([^/]{1,64})/expire";
constexpr const char* one_revoke = "/v4/admin/apiAccessTokens/([^/]{1,64})/revoke";
constexpr const char* people = "/v4/admin/people";
constexpr const char* one_person = "/v4/admin/people/(.{1,255})";
constexpr const char* workspace = "/v4/admin/workspace";

using AdminHandler = std::function<void(const Actor&, const httplib::Request&, httplib::Response&)>;

httplib::Server::Handler for_administrators(Host& host, AdminHandler handler) {
  return [&host, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
    const auto caller = identify_administrator(host, request, response);
    if (caller) handler(Actor::administrator(caller->user), request, response);
  };
}

void show_workspace(Host& host, const Actor& actor, httplib::Response& response) {
  const auto policy = host.store.policy(actor);
  if (!policy) return send_problem(response, policy.error());
  send_json(response, policy_json(*policy));
}

/// -1 lifts the limit and allows tokens that never expire; a number of days does neither.
void set_longest_lifetime(Policy& policy, std::int64_t days) {
  constexpr std::int64_t most = 36'500;
  if (days != -1 && (days < 1 || days > most)) {
    throw BadBody{400, "invalid-lifetime", "longestLifetimeDays must be 1 to 36500, or -1 for no limit."};
  }
  policy.never_allowed = days == -1;
  policy.longest_lifetime = days == -1 ? tokenstore::never : days * tokenstore::millis_per_day;
}

void change_workspace(Host& host, const Actor& actor, const httplib::Request& request, httplib::Response& response) {
  const auto body = read_body(request, {"tokensEnabled", "usersMayGenerate", "longestLifetimeDays"});
  const auto before = host.store.policy(actor);
  if (!before) return send_problem(response, before.error());
  Policy policy = *before;
  if (const auto flag = flag_field(body, "tokensEnabled")) policy.tokens_enabled = *flag;
  if (const auto flag = flag_field(body, "usersMayGenerate")) policy.users_may_issue = *flag;
  if (const auto days = integer_field(body, "longestLifetimeDays")) set_longest_lifetime(policy, *days);
  const auto after = host.store.set_policy(actor, policy);
  if (!after) return send_problem(response, after.error());
  send_json(response, policy_json(*after));
}

void add_token_routes_of_everyone(Router& router, Host& host) {
  const auto admin = [&host](AdminHandler handler) { return for_administrators(host, std::move(handler)); };
  router.get(tokens, admin([&host](const auto& actor, const auto& request, auto& response) {
               list_tokens(host, actor, request.get_param_value("owner"), request, response);
             }));
  router.get(one_token, admin([&host](const auto& actor, const auto& request, auto& response) {
               show_token(host, actor, request.matches[1], response);
             }));
  router.remove(one_token, admin([&host](const auto& actor, const auto& request, auto& response) {
                  delete_token(host, actor, request.matches[1], response);
                }));
  router.post(one_expire, admin([&host](const auto& actor, const auto& request, auto& response) {
                expire_token(host, actor, request.matches[1], request, response);
              }));
  router.post(one_revoke, admin([&host](const auto& actor, const auto& request, auto& response) {
                revoke_token(host, actor, request.matches[1], request, response);
              }));
}

}  // namespace

void add_admin_routes(Router& router, Host& host) {
  add_token_routes_of_everyone(router, host);
  const auto admin = [&host](AdminHandler handler) { return for_administrators(host, std::move(handler)); };
  router.get(people, admin([&host](const auto& actor, const auto& request, auto& response) {
               list_people(host, actor, request, response);
             }));
  router.patch(one_person, admin([&host](const auto& actor, const auto& request, auto& response) {
                 change_person(host, actor, request.matches[1], request, response);
               }));
  router.get(workspace,
             admin([&host](const auto& actor, const auto&, auto& response) { show_workspace(host, actor, response); }));
  router.patch(workspace, admin([&host](const auto& actor, const auto& request, auto& response) {
                 change_workspace(host, actor, request, response);
               }));
}

}  // namespace access_page
