/// The command line of the server.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "host.hpp"

namespace access_page {

struct Options {
  std::string database;
  std::string postgres;
  std::string key_file;
  std::string accounts;
  std::string workspace = "default";
  std::string prefix = "pat";
  std::string listen = "127.0.0.1";
  int port = 8080;
  std::string session_cookie;
  int session_idle = 1800;
  int sign_in_burst = 10;
  int sign_in_interval = 6000;
  std::string address_header;
  std::vector<std::string> scopes;
  bool secure = false;
  bool demo = false;
  bool quiet = false;
  std::string add_user;
  bool administrator = false;
};

void add_options(CLI::App& app, Options& options);
/// The scopes that the page offers: the server's own, then those of --scope. Throws std::runtime_error.
std::vector<OfferedScope> offered_scopes(const Options& options);

}  // namespace access_page
