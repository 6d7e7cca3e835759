#include "router.hpp"

#include <exception>
#include <utility>

#include "json_body.hpp"
#include "problem.hpp"

namespace access_page {

Router::Router(httplib::Server& server, Host& host) : server_(server), host_(host) {
  // What no route took, and what cpp-httplib refused by itself.
  server_.set_error_handler([this](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    paths_.answer(request, response);
    if (response.status != 204) send_problem_without_kind(response);
    host_.log("no route: " + std::to_string(response.status));
  });
}

httplib::Server::Handler Router::route(const std::string& method, const std::string& pattern,
                                       httplib::Server::Handler handler) {
  paths_.add(method, pattern);
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
