/// A small HTTP server whose routes are protected by bearer tokens. See --help.
///
/// It listens on loopback by default and speaks plain HTTP: bearer tokens belong behind TLS, so put
/// a reverse proxy in front of it, which also bounds how much header a client may send.
#include <chrono>
#include <iostream>
#include <mutex>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <tokenstore/tokenstore.hpp>

#ifdef GUARDED_POSTGRES
#include <tokenstore/backends/postgres.hpp>
#endif

#include "common/bounded_server.hpp"
#include "common/serving.hpp"
#include "guard.hpp"
#include "notes.hpp"

namespace {

using nlohmann::json;
using tokenstore::Verdict;

struct Options {
  std::string database;
  std::string postgres;
  std::string key_file;
  std::string workspace = "default";
  std::string prefix = "pat";
  std::string listen = "127.0.0.1";
  int port = 8080;
  int use_interval = 60;
  bool quiet = false;
};

void add_options(CLI::App& app, Options& options) {
  auto* places = app.add_option_group("storage");
  places->add_option("--db", options.database, "token database; created if it is missing");
#ifdef GUARDED_POSTGRES
  places->add_option("--postgres", options.postgres,
                     "PostgreSQL connection string, shared with other hosts; needs --key-file");
#endif
  places->require_option(1);
  app.add_option("--key-file", options.key_file, "key file (default: the database's name and .key)");
  app.add_option("--workspace", options.workspace, "workspace of the tokens")->capture_default_str();
  app.add_option("--prefix", options.prefix, "prefix of the tokens")->capture_default_str();
  app.add_option("--listen", options.listen, "address to listen on")->capture_default_str();
  app.add_option("--port", options.port, "port; 0 takes a free one, which is printed")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--use-interval", options.use_interval, "seconds between writes of last uses")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  app.add_flag("--quiet", options.quiet, "do not log requests");
}

void send(httplib::Response& response, const json& body) {
  // A note is whatever a client sent: what is not UTF-8 is replaced, not thrown over.
  response.set_content(body.dump(2, ' ', false, json::error_handler_t::replace) + '\n', "application/json");
}

void add_routes(guarded::Guard& guard, guarded::Notes& notes, tokenstore::TokenStore& store) {
  guard.open("/", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("notes: GET or POST or DELETE /notes, GET /whoami, DELETE /token, each with a bearer token\n",
                         "text/plain");
  });
  guard.get("/whoami", "profile:read", [](const auto&, auto& response, const Verdict& token) {
    send(response, {{"owner", token.owner()}, {"token", token.id()}, {"scopes", token.scopes()}});
  });
  // Whoever finds a token can end it.
  guard.remove("/token", "profile:read", [&store](const auto&, auto& response, const Verdict& token) {
    const auto owner = tokenstore::Actor::user(std::string(token.owner()));
    response.status = store.revoke(owner, token.id(), "by itself").ok() ? 204 : 503;
  });
  guard.get("/notes", "notes:read", [&notes](const auto&, auto& response, const Verdict& token) {
    send(response, {{"notes", notes.of(token.owner())}});
  });
  guard.post("/notes", "notes:write", [&notes](const auto& request, auto& response, const Verdict& token) {
    if (!notes.add(token.owner(), request.body)) {
      response.status = 409;
      return response.set_content("too many notes: delete them first\n", "text/plain");
    }
    response.status = 201;
    send(response, {{"notes", notes.of(token.owner())}});
  });
  guard.remove("/notes", "notes:write", [&notes](const auto&, auto& response, const Verdict& token) {
    notes.clear(token.owner());
    response.status = 204;
  });
}

tokenstore::Result<tokenstore::Opened> open_store(const Options& options) {
  tokenstore::StoreOptions store;
  store.workspace = options.workspace;
  store.prefix = options.prefix;
  store.use_interval = std::chrono::seconds(options.use_interval);
  store.upkeep_thread = true;
#ifdef GUARDED_POSTGRES
  if (!options.postgres.empty()) {
    auto keyring = tokenstore::Keyring::from_file(options.key_file);
    if (!keyring) return keyring.error();
    tokenstore::PostgresOptions postgres;
    postgres.conninfo = options.postgres;
    auto backend = tokenstore::postgres_backend(postgres);
    if (!backend) return backend.error();
    auto opened = tokenstore::TokenStore::open(*std::move(backend), *std::move(keyring), std::move(store));
    if (!opened) return opened.error();
    return tokenstore::Opened{*std::move(opened), {}};
  }
#endif
  tokenstore::OpenSqlite open;
  open.sqlite.path = options.database;
  open.key_file = options.key_file;
  open.store = std::move(store);
  return tokenstore::open_sqlite(std::move(open));
}

int run(const Options& options) {
  hosting::block_stop_signals();
  auto opened = open_store(options);
  if (!opened) {
    std::cerr << opened.error().message() << '\n';
    return 1;
  }
  if (!opened->created_key_file.empty()) {
    std::cout << "made a new key file, back it up: " << opened->created_key_file << std::endl;
  }

  std::mutex log_mutex;
  const auto log = [&](const std::string& line) {
    if (options.quiet) return;
    const std::lock_guard lock(log_mutex);
    std::cerr << line << '\n';
  };
  guarded::Notes notes;
  hosting::BoundedServer server;
  guarded::Guard guard(server, *opened->store, "notes", log);
  server.set_exception_handler([](const auto&, auto& response, std::exception_ptr) {
    response.status = 500;
    response.set_content("the request failed\n", "text/plain");
  });
  add_routes(guard, notes, *opened->store);
  const int status = hosting::serve(server, options.listen, options.port, [&options](int port) {
    std::cout << "listening on http://" << options.listen << ':' << port << std::endl;
  });
  if (status == 0) std::cout << "stopped" << std::endl;
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("An HTTP server that protects its routes with tokens of a tokenstore database.");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::cerr << "the server failed: " << error.what() << '\n';
    return 1;
  }
}
