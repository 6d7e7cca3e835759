/// Adds routes to the server: each one is logged, and an exception becomes a problem document. A method that a path
/// does not have is answered by 405 with Allow, and OPTIONS by Allow alone.
///
/// Add the routes before the server listens. The server and the host must outlive the router's handlers.
#pragma once

#include <regex>
#include <set>
#include <string>
#include <vector>

#include <httplib.h>

#include "host.hpp"

namespace access_page {

class Router {
 public:
  Router(httplib::Server& server, Host& host);

  void get(const std::string& pattern, httplib::Server::Handler handler);
  void post(const std::string& pattern, httplib::Server::Handler handler);
  void patch(const std::string& pattern, httplib::Server::Handler handler);
  void remove(const std::string& pattern, httplib::Server::Handler handler);
  /// Answers every method alike.
  void any(const std::string& pattern, const httplib::Server::Handler& handler);

 private:
  struct Path {
    std::string pattern;
    std::regex expression;
    std::set<std::string> methods;
  };

  httplib::Server::Handler wrap(std::string route, httplib::Server::Handler handler);
  /// Notes that the path has the method, and wraps the handler.
  httplib::Server::Handler route(const std::string& method, const std::string& pattern,
                                 httplib::Server::Handler handler);
  void answer_unrouted(const httplib::Request& request, httplib::Response& response) const;
  std::set<std::string> methods_of(const std::string& path) const;

  httplib::Server& server_;
  Host& host_;
  std::vector<Path> paths_;
};

}  // namespace access_page
