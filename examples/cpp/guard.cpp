#include "guard.hpp"

#include <utility>

#include "common/authorization.hpp"

namespace guarded {
namespace {

using tokenstore::Demand;
using tokenstore::Verdict;

void answer(httplib::Response& response, int status, const char* text) {
  response.status = status;
  response.set_content(text, "text/plain");
}

}  // namespace

Guard::Guard(httplib::Server& server, tokenstore::TokenStore& store, std::string realm, Log log)
    : server_(server), store_(store), realm_(std::move(realm)), log_(std::move(log)) {
  server_.set_error_handler([this](const httplib::Request& request, httplib::Response& response) {
    if (response.body.empty()) paths_.answer(request, response);
  });
}

void Guard::open(const std::string& pattern, httplib::Server::Handler handler) {
  paths_.add("GET", pattern);
  server_.Get(pattern, std::move(handler));
}

void Guard::get(const std::string& pattern, const std::string& scope, Handler handler) {
  paths_.add("GET", pattern);
  server_.Get(pattern, protect("GET " + pattern, scope, std::move(handler)));
}

void Guard::post(const std::string& pattern, const std::string& scope, Handler handler) {
  paths_.add("POST", pattern);
  server_.Post(pattern, protect("POST " + pattern, scope, std::move(handler)));
}

void Guard::remove(const std::string& pattern, const std::string& scope, Handler handler) {
  paths_.add("DELETE", pattern);
  server_.Delete(pattern, protect("DELETE " + pattern, scope, std::move(handler)));
}

httplib::Server::Handler Guard::protect(std::string route, std::string scope, Handler handler) {
  return [this, route = std::move(route), scope = std::move(scope), handler = std::move(handler)](
             const httplib::Request& request, httplib::Response& response) {
    const hosting::Authorization authorization = hosting::read_authorization(request);
    std::string why;
    switch (authorization.scheme) {
      case hosting::Scheme::none:
      case hosting::Scheme::basic:
        // Without a token there is nothing wrong with: RFC 6750 section 3.1 wants no error code here.
        challenge(response, "");
        answer(response, 401, "a bearer token is required\n");
        why = "no token";
        break;
      case hosting::Scheme::ambiguous:
        challenge(response, R"(, error="invalid_request")");
        answer(response, 400, "send one Authorization header, with one bearer token\n");
        why = "ambiguous credentials";
        break;
      case hosting::Scheme::bearer: {
        const Verdict verdict = store_.validate(authorization.credentials, Demand(scope, request.remote_addr));
        if (verdict.valid()) {
          handler(request, response, verdict);
        } else {
          refuse(response, verdict, scope);
        }
        why = std::string(reason_name(verdict.reason()));
        if (!verdict.id().empty()) why.append(", token ").append(verdict.id());
        break;
      }
    }
    response.set_header("Cache-Control", "no-store");
    log_(route + ": " + std::to_string(response.status < 0 ? 200 : response.status) + " (" + why + ")");
  };
}

void Guard::refuse(httplib::Response& response, const Verdict& verdict, const std::string& scope) const {
  switch (verdict.http_status()) {
    case 503:  // Nobody knows whether the token is good: do not call it bad, or clients throw it away.
      response.set_header("Retry-After", "1");
      return answer(response, 503, "try again\n");
    case 403:
      challenge(response, R"(, error="insufficient_scope", scope=")" + scope + '"');
      return answer(response, 403, "the token does not grant what this needs\n");
    default:  // One answer for unknown, expired, revoked and forged: the reason is for the log alone.
      challenge(response, R"(, error="invalid_token", error_description="the token is not valid")");
      return answer(response, 401, "the token is not valid\n");
  }
}

void Guard::challenge(httplib::Response& response, const std::string& parameters) const {
  response.set_header("WWW-Authenticate", "Bearer realm=\"" + realm_ + '"' + parameters);
}

}  // namespace guarded
