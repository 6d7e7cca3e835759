#include "router.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "json_body.hpp"
#include "problem.hpp"

namespace access_page {

Router::Router(httplib::Server& server, Host& host) : server_(server), host_(host) {
  // What no route took, and what cpp-httplib refused by itself.
  server_.set_error_handler([this](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    answer_unrouted(request, response);
    host_.log("no route: " + std::to_string(response.status));
  });
}

void Router::answer_unrouted(const httplib::Request& request, httplib::Response& response) const {
  // cpp-httplib says 400 where a method cannot have routes at all.
  const bool routable = request.method != "TRACE" && request.method != "CONNECT";
  if (!routable && response.status == 400) response.status = 404;
  if (response.status == 404) {
    const std::set<std::string> methods = methods_of(request.path);
    if (!methods.empty() && methods.count(request.method) == 0) {
      std::string allowed = "OPTIONS";
      for (const std::string& method : methods) allowed += ", " + method;
      response.set_header("Allow", allowed);
      response.status = request.method == "OPTIONS" ? 204 : 405;
      if (response.status == 204) return;
    }
  }
  send_problem_without_kind(response);
}

std::set<std::string> Router::methods_of(const std::string& path) const {
  std::set<std::string> methods;
  for (const Path& known : paths_) {
    if (std::regex_match(path, known.expression)) methods.insert(known.methods.begin(), known.methods.end());
  }
  return methods;
}

httplib::Server::Handler Router::route(const std::string& method, const std::string& pattern,
                                       httplib::Server::Handler handler) {
  auto path = std::find_if(paths_.begin(), paths_.end(), [&](const Path& known) { return known.pattern == pattern; });
  if (path == paths_.end()) path = paths_.insert(path, {pattern, std::regex(pattern), {}});
  path->methods.insert(method);
  if (method == "GET") path->methods.insert("HEAD");  // which cpp-httplib makes of it
  return wrap(method + " " + pattern, std::move(handler));
}

void Router::get(const std::string& pattern, httplib::Server::Handler handler) {
  server_.Get(pattern, route("GET", pattern, std::move(handler)));
}

void Router::post(const std::string& pattern, httplib::Server::Handler handler) {
  server_.Post(pattern, route("POST", pattern, std::move(handler)));
}

void Router::patch(const std::string& pattern, httplib::Server::Handler handler) {
  server_.Patch(pattern, route("PATCH", pattern, std::move(handler)));
}

void Router::remove(const std::string& pattern, httplib::Server::Handler handler) {
  server_.Delete(pattern, route("DELETE", pattern, std::move(handler)));
}

void Router::any(const std::string& pattern, const httplib::Server::Handler& handler) {
  get(pattern, handler);
  post(pattern, handler);
  patch(pattern, handler);
  remove(pattern, handler);
  server_.Put(pattern, route("PUT", pattern, handler));
  server_.Options(pattern, route("OPTIONS", pattern, handler));
}

httplib::Server::Handler Router::wrap(std::string route, httplib::Server::Handler handler) {
  return [this, route = std::move(route), handler = std::move(handler)](const httplib::Request& request,
                                                                        httplib::Response& response) {
    std::string why;
    try {
      handler(request, response);
    } catch (const BadBody& bad) {
      answer_bad_body(response, bad);
    } catch (const std::exception& error) {
      why = std::string(" (") + error.what() + ")";
      send_problem(response, Problem{500, "internal", "The request failed. The server's log says more."});
    }
    if (!response.has_header("Cache-Control")) response.set_header("Cache-Control", "no-store");
    host_.log(route + ": " + std::to_string(response.status < 0 ? 200 : response.status) + why);
  };
}

}  // namespace access_page
