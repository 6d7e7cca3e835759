#include "page_files.hpp"

#include <string>

#include <page_files_data.hpp>  // made by embed.cmake

namespace access_page {
namespace {

/// '.' is every character to a pattern, and a name here has no other special one.
std::string pattern_of(std::string_view path) {
  std::string pattern;
  for (const char c : path) pattern.append(c == '.' ? "\\." : std::string(1, c));
  return pattern;
}

std::string type_of(std::string_view path) {
  if (path.ends_with(".css")) return "text/css; charset=utf-8";
  if (path.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (path.ends_with(".svg")) return "image/svg+xml";
  if (path.ends_with(".yaml")) return "application/yaml";
  return "text/html; charset=utf-8";
}

}  // namespace

void add_page_routes(Router& router) {
  for (const PageFile& file : page_files) {
    const auto serve = [&file](const httplib::Request&, httplib::Response& response) {
      response.set_header("Cache-Control", "no-cache");
      response.set_content(file.content.data(), file.content.size(), type_of(file.path));
    };
    router.get(pattern_of(file.path), serve);
    if (file.path == "/index.html") router.get("/", serve);
  }
}

}  // namespace access_page
