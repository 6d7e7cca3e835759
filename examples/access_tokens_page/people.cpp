#include "people.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "json_body.hpp"
#include "problem.hpp"
#include "token_actions.hpp"
#include "token_json.hpp"

namespace access_page {
namespace {

using tokenstore::Actor;
using tokenstore::OwnerInfo;
using tokenstore::Result;

// A cursor names the list that it goes on in: "account:" with the last name, or "owner:" with the store's own.
constexpr std::string_view in_accounts = "account:";
constexpr std::string_view in_owners = "owner:";

Json person_json(const OwnerInfo& owner, const std::optional<Account>& account) {
  Json json;
  json["name"] = owner.owner;
  json["role"] = !account ? "service" : account->role == Role::administrator ? "administrator" : "user";
  json["mayGenerate"] = owner.settings.may_issue;
  json["mayUse"] = owner.settings.may_use;
  json["suspended"] = owner.suspended;
  if (owner.tampered) json["damaged"] = true;
  return json;
}

/// An owner of whom the store has heard nothing yet may do what is allowed by default.
Result<OwnerInfo> owner_or_default(Host& host, const Actor& actor, const std::string& name) {
  auto owner = host.store.owner(actor, name);
  if (owner || owner.status() != tokenstore::Status::not_found) return owner;
  OwnerInfo fresh;
  fresh.owner = name;
  return fresh;
}

void send_people(httplib::Response& response, Json data, const std::string& next) {
  Json body;
  body["data"] = std::move(data);
  if (!next.empty()) body["next"] = next;
  send_json(response, body);
}

}  // namespace

void list_people(Host& host, const Actor& actor, const httplib::Request& request, httplib::Response& response) {
  const std::size_t limit = number_in_query(request, "limit", 1, tokenstore::page_max, 100);
  const std::string cursor = request.get_param_value("cursor");
  Json data = Json::array();

  if (!std::string_view(cursor).starts_with(in_owners)) {
    if (!cursor.empty() && !std::string_view(cursor).starts_with(in_accounts)) {
      throw BadBody{400, "invalid-query", "cursor must be the next of the page before."};
    }
    const std::string after = cursor.empty() ? std::string{} : cursor.substr(in_accounts.size());
    for (const Account& account : host.accounts.all()) {
      if (account.name <= after) continue;
      if (data.size() == limit) {
        const std::string last = data.back()["name"];
        return send_people(response, std::move(data), std::string(in_accounts) + last);
      }
      const auto owner = owner_or_default(host, actor, account.name);
      if (!owner) return send_problem(response, owner.error());
      data.push_back(person_json(*owner, account));
    }
    if (data.size() == limit) return send_people(response, std::move(data), std::string(in_owners));
  }

  std::string store_cursor = std::string_view(cursor).starts_with(in_owners) ? cursor.substr(in_owners.size()) : "";
  do {
    const auto page = host.store.list_owners(actor, store_cursor, limit - data.size());
    if (!page) return send_problem(response, page.error());
    for (const auto& owner : page->owners) {
      if (!host.accounts.find(owner.owner)) data.push_back(person_json(owner, std::nullopt));
    }
    store_cursor = page->next;
  } while (!store_cursor.empty() && data.size() < limit);
  send_people(response, std::move(data), store_cursor.empty() ? "" : std::string(in_owners) + store_cursor);
}

void change_person(Host& host, const Actor& actor, const std::string& name, const httplib::Request& request,
                   httplib::Response& response) {
  const auto body = read_body(request, {"mayGenerate", "mayUse"});
  const auto account = host.accounts.find(name);
  const auto before = host.store.owner(actor, name);
  // Nobody has a name that no owner can have.
  const bool nobody = before.status() == tokenstore::Status::invalid_argument ||
                      (before.status() == tokenstore::Status::not_found && !account);
  if (nobody) return send_problem(response, {404, "not-found", "Nobody has this name."});
  if (!before && before.status() != tokenstore::Status::not_found) return send_problem(response, before.error());
  tokenstore::OwnerSettings settings = before ? before->settings : tokenstore::OwnerSettings{};
  settings.may_issue = flag_field(body, "mayGenerate").value_or(settings.may_issue);
  settings.may_use = flag_field(body, "mayUse").value_or(settings.may_use);
  const auto after = host.store.set_owner(actor, name, settings);
  if (!after) return send_problem(response, after.error());
  send_json(response, person_json(*after, account));
}

}  // namespace access_page
