#include "token_actions.hpp"

#include <charconv>
#include <chrono>
#include <iterator>
#include <optional>
#include <utility>

#include "json_body.hpp"
#include "problem.hpp"
#include "token_json.hpp"

namespace access_page {
namespace {

using tokenstore::Actor;
using tokenstore::ListQuery;
using tokenstore::TokenState;

/// A filter that matches little is answered in steps; this is how long one request goes on with them.
constexpr std::chrono::milliseconds search_time{250};

std::optional<TokenState> status_in_query(const httplib::Request& request) {
  if (!request.has_param("status")) return std::nullopt;
  const std::string status = request.get_param_value("status");
  for (const TokenState state : {TokenState::active, TokenState::pending, TokenState::expired, TokenState::revoked}) {
    if (status == tokenstore::state_name(state)) return state;
  }
  throw BadBody{400, "invalid-query", "status must be active, pending, expired or revoked."};
}

bool looks_like_id(const std::string& text) {
  if (text.size() != tokenstore::token_id_size) return false;
  for (const char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))) return false;
  }
  return true;
}

void send_page(httplib::Response& response, Json data, const std::string& next) {
  Json body;
  body["data"] = std::move(data);
  if (!next.empty()) body["next"] = next;
  send_json(response, body);
}

void send_token(httplib::Response& response, const tokenstore::Result<tokenstore::TokenInfo>& token) {
  if (!token) return send_problem(response, token.error());
  send_json(response, token_json(*token));
}

}  // namespace

std::size_t number_in_query(const httplib::Request& request, const char* name, std::size_t least, std::size_t most,
                            std::size_t fallback) {
  if (!request.has_param(name)) return fallback;
  const std::string text = request.get_param_value(name);
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    throw BadBody{
        400, "invalid-query",
        std::string(name) + " must be a number from " + std::to_string(least) + " to " + std::to_string(most) + "."};
  }
  return value;
}

void list_tokens(Host& host, const Actor& actor, const std::string& owner, const httplib::Request& request,
                 httplib::Response& response) {
  ListQuery query;
  query.owner = owner;
  query.state = status_in_query(request);
  query.text = request.get_param_value("text");
  query.cursor = request.get_param_value("cursor");
  const std::size_t limit = number_in_query(request, "limit", 1, tokenstore::page_max, 100);
  if (query.text.size() > tokenstore::description_max) {
    throw BadBody{400, "invalid-query", "text is longer than any description."};
  }

  if (looks_like_id(query.text) && query.cursor.empty()) {  // people paste ids into the search
    const auto token = host.store.get(actor, query.text);
    const bool wanted =
        token && (!query.state || token->state == *query.state) && (owner.empty() || token->owner == owner);
    if (wanted) return send_page(response, Json::array({token_json(*token)}), {});
  }

  Json data = Json::array();
  const auto until = std::chrono::steady_clock::now() + search_time;
  do {
    query.limit = limit - data.size();
    const auto page = host.store.list(actor, query);
    if (!page) return send_problem(response, page.error());
    for (const auto& token : page->tokens) data.push_back(token_json(token));
    query.cursor = page->next;
  } while (!query.cursor.empty() && data.size() < limit && std::chrono::steady_clock::now() < until);
  send_page(response, std::move(data), query.cursor);
}

void show_token(Host& host, const Actor& actor, const std::string& id, httplib::Response& response) {
  send_token(response, host.store.get(actor, id));
}

void delete_token(Host& host, const Actor& actor, const std::string& id, httplib::Response& response) {
  const auto removed = host.store.remove(actor, id);
  if (!removed) return send_problem(response, removed.error());
  response.status = 204;
}

void expire_token(Host& host, const Actor& actor, const std::string& id, const httplib::Request& request,
                  httplib::Response& response) {
  const auto body = read_body(request, {"at"}, true);
  std::optional<tokenstore::UnixMillis> at;
  if (const auto text = text_field(body, "at")) {
    at = parse_iso_time(*text);
    if (!at) throw BadBody{.detail = "at must be a time such as 2026-01-31T12:00:00.000Z."};
  }
  send_token(response, host.store.expire(actor, id, at));
}

void revoke_token(Host& host, const Actor& actor, const std::string& id, const httplib::Request& request,
                  httplib::Response& response) {
  const auto body = read_body(request, {"reason"}, true);
  send_token(response, host.store.revoke(actor, id, text_field(body, "reason").value_or("")));
}

}  // namespace access_page
