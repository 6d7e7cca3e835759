/// Which methods each path has: 405 with Allow where cpp-httplib says 404 (RFC 9110 section 15.5.6), and an answer to
/// OPTIONS. It names no other site, so that no browser lets one in.
///
/// Add all of them before the server listens; then any thread may ask.
#pragma once

#include <regex>
#include <set>
#include <string>
#include <vector>

#include <httplib.h>

namespace hosting {

class KnownPaths {
 public:
  /// `pattern` as cpp-httplib takes it. GET brings HEAD with it, as it does there.
  void add(const std::string& method, const std::string& pattern);
  /// Mends the status of a request that no route took: 404, 405 with Allow, or 204 with it for OPTIONS.
  void answer(const httplib::Request& request, httplib::Response& response) const;

 private:
  struct Path {
    std::string pattern;
    std::regex expression;
    std::set<std::string> methods;
  };

  std::set<std::string> methods_of(const std::string& path) const;

  std::vector<Path> paths_;
};

}  // namespace hosting
