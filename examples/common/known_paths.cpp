#include "common/known_paths.hpp"

#include <algorithm>

namespace hosting {

void KnownPaths::add(const std::string& method, const std::string& pattern) {
  auto path = std::find_if(paths_.begin(), paths_.end(), [&](const Path& known) { return known.pattern == pattern; });
  if (path == paths_.end()) path = paths_.insert(path, {pattern, std::regex(pattern), {}});
  path->methods.insert(method);
  if (method == "GET") path->methods.insert("HEAD");
}

std::set<std::string> KnownPaths::methods_of(const std::string& path) const {
  std::set<std::string> methods;
  for (const Path& known : paths_) {
    if (std::regex_match(path, known.expression)) methods.insert(known.methods.begin(), known.methods.end());
  }
  return methods;
}

void KnownPaths::answer(const httplib::Request& request, httplib::Response& response) const {
  // cpp-httplib says 400 where a method cannot have routes at all.
  const bool routable = request.method != "TRACE" && request.method != "CONNECT";
  if (!routable && response.status == 400) response.status = 404;
  if (response.status != 404) return;
  const std::set<std::string> methods = methods_of(request.path);
  if (methods.empty() || methods.count(request.method) > 0) return;
  std::string allowed = "OPTIONS";
  for (const std::string& method : methods) allowed += ", " + method;
  response.set_header("Allow", allowed);
  response.status = request.method == "OPTIONS" ? 204 : 405;
}

}  // namespace hosting
