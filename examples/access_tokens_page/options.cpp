#include "options.hpp"

#include <algorithm>
#include <stdexcept>

namespace access_page {

namespace {

bool is_cookie_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

}  // namespace

void add_options(CLI::App& app, Options& options) {
  app.add_option("--db", options.database, "token database in SQLite; created if it is missing");
#ifdef ACCESS_PAGE_POSTGRES
  app.add_option("--postgres", options.postgres, "keep the tokens in PostgreSQL: how to connect, as libpq takes it");
#endif
  app.add_option("--key-file", options.key_file, "key file (default: the database's name and .key)");
  app.add_option("--accounts", options.accounts, "file of the people who may sign in (default: accounts.json)");
  app.add_option("--workspace", options.workspace, "workspace of the tokens")->capture_default_str();
  app.add_option("--prefix", options.prefix, "prefix of the tokens")->capture_default_str();
  app.add_option("--scope", options.scopes, "NAME=DESCRIPTION: a scope that people may give; may be repeated");
  app.add_option("--listen", options.listen, "address to listen on")->capture_default_str();
  app.add_option("--port", options.port, "port; 0 takes a free one, which is printed")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_flag("--secure", options.secure, "people reach the page over TLS, by a proxy in front");
  app.add_option("--address-header", options.address_header,
                 "header in which that proxy sets the client's address, such as X-Real-IP");
  app.add_option(
         "--session-cookie", options.session_cookie,
         "name of the session's cookie (default: session- and the port), for pages that share a host and a port")
      ->check(CLI::Validator(
          [](const std::string& name) {
            return is_cookie_name(name) ? "" : "a cookie's name is 1 to 64 letters, digits, - and _";
          },
          "NAME"));
  app.add_option("--session-idle", options.session_idle, "seconds until an unused session ends")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  app.add_option("--sign-in-burst", options.sign_in_burst, "passwords that an address may try at once")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--sign-in-interval", options.sign_in_interval, "milliseconds until it may try one more")
      ->check(CLI::Range(1, 86'400'000))
      ->capture_default_str();
  app.add_flag("--demo", options.demo, "three people and some tokens, in a folder that goes when the server stops");
  app.add_flag("--quiet", options.quiet, "do not log requests");
  app.add_option("--add-user", options.add_user, "add a person, with the password on standard input, and end");
  app.add_flag("--administrator", options.administrator, "with --add-user: as an administrator");
}

std::vector<OfferedScope> offered_scopes(const Options& options) {
  std::vector<OfferedScope> scopes;
  for (const std::string& option : options.scopes) {
    const std::size_t equals = option.find('=');
    if (equals == 0 || equals == std::string::npos) throw std::runtime_error("--scope takes NAME=DESCRIPTION");
    scopes.push_back({option.substr(0, equals), option.substr(equals + 1)});
  }
  if (scopes.empty()) {
    scopes = {{"data:read", "Read data sets and their results"},
              {"data:write", "Create and change data sets"},
              {"flows:run", "Start flows and see how they go"}};
  }
  scopes.push_back({std::string(manage_scope), "Generate, list and end your own tokens over the REST API"});
  scopes.push_back({std::string(introspect_scope), "Look up tokens that others show to your server"});
  scopes.push_back({std::string(administer_scope), "Administer everyone's tokens over the REST API", true});
  return scopes;
}

}  // namespace access_page
