/// Adds routes to the server: each one is logged, and an exception becomes a problem document.
///
/// Add the routes before the server listens. The server and the host must outlive the router's handlers.
#pragma once

#include <string>

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

 private:
  httplib::Server::Handler wrap(std::string route, httplib::Server::Handler handler);

  httplib::Server& server_;
  Host& host_;
};

}  // namespace access_page
