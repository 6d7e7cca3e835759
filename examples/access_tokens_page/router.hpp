/// Adds routes to the server: each one is logged, and an exception becomes a problem document. A method that a path
/// does not have is answered by 405 with Allow, and OPTIONS by Allow alone.
///
/// Add the routes before the server listens. The server and the host must outlive the router's handlers.
#pragma once

#include <string>

#include <httplib.h>

#include "common/known_paths.hpp"
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
  httplib::Server::Handler wrap(std::string route, httplib::Server::Handler handler);
  /// Notes that the path has the method, and wraps the handler.
  httplib::Server::Handler route(const std::string& method, const std::string& pattern,
                                 httplib::Server::Handler handler);

  httplib::Server& server_;
  Host& host_;
  hosting::KnownPaths paths_;
};

}  // namespace access_page
