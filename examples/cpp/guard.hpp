/// Protects routes of a cpp-httplib server with bearer tokens (RFC 6750).
///
/// Every protected route names the scope that it demands; there is no other way to add one. The
/// guard answers a refused request itself, and the handler runs for a valid token only. A path that lacks the
/// method is 405 with Allow.
///
/// Thread use: add the routes before the server listens. Handlers run in the server's threads, several
/// at once. Ownership: the server, the store and the log must outlive the guard.
#pragma once

#include <functional>
#include <string>

#include <httplib.h>
#include <tokenstore/store.hpp>

#include "common/known_paths.hpp"

namespace guarded {

/// One line for each answer, for the audit log. It names the route's pattern, never the path, the
/// query or a header of the request: those are the client's words, and may hold a token.
using Log = std::function<void(const std::string& line)>;

/// Called with who and what the token is; the verdict is valid.
using Handler = std::function<void(const httplib::Request&, httplib::Response&, const tokenstore::Verdict&)>;

class Guard {
 public:
  Guard(httplib::Server& server, tokenstore::TokenStore& store, std::string realm, Log log);

  /// A route that needs no token.
  void open(const std::string& pattern, httplib::Server::Handler handler);
  void get(const std::string& pattern, const std::string& scope, Handler handler);
  void post(const std::string& pattern, const std::string& scope, Handler handler);
  void remove(const std::string& pattern, const std::string& scope, Handler handler);

 private:
  httplib::Server::Handler protect(std::string route, std::string scope, Handler handler);
  void refuse(httplib::Response& response, const tokenstore::Verdict& verdict, const std::string& scope) const;
  void challenge(httplib::Response& response, const std::string& parameters) const;

  httplib::Server& server_;
  tokenstore::TokenStore& store_;
  std::string realm_;
  Log log_;
  hosting::KnownPaths paths_;
};

}  // namespace guarded
