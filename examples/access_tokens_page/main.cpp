/// The Access Tokens page: a server on which people generate and manage their tokens, and administrators
/// those of others. See --help, and README.md beside this file.
///
/// It listens on loopback by default and speaks plain HTTP: passwords and tokens belong behind TLS, so put
/// a reverse proxy in front of it and say --secure.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>

#include <sodium.h>
#include <CLI/CLI.hpp>
#include <tokenstore/tokenstore.hpp>
#ifdef ACCESS_PAGE_POSTGRES
#include <tokenstore/backends/postgres.hpp>
#endif

#include "common/bounded_server.hpp"
#include "common/serving.hpp"
#include "demo.hpp"
#include "host.hpp"
#include "options.hpp"
#include "page_files.hpp"
#include "rest_admin.hpp"
#include "rest_servers.hpp"
#include "rest_session.hpp"
#include "rest_tokens.hpp"
#include "router.hpp"
#include "security_headers.hpp"

namespace {

using namespace access_page;

tokenstore::StoreOptions store_options(const Options& options) {
  tokenstore::StoreOptions store;
  store.workspace = options.workspace;
  store.prefix = options.prefix;
  store.upkeep_thread = true;
  store.use_interval = std::chrono::seconds(5);
  return store;
}

template <typename T>
T value_of(tokenstore::Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return std::move(*result);
}

void tell_of_key_file(const std::string& path) {
  if (!path.empty()) std::cout << "made a new key file, back it up: " << path << std::endl;
}

#ifdef ACCESS_PAGE_POSTGRES
std::unique_ptr<tokenstore::TokenStore> open_postgres(const Options& options) {
  if (options.key_file.empty()) throw std::runtime_error("--postgres needs --key-file");
  tokenstore::PostgresOptions postgres;
  postgres.conninfo = options.postgres;
  auto backend = value_of(tokenstore::postgres_backend(postgres));
  const bool new_key = !std::filesystem::exists(options.key_file);
  if (new_key) {
    const auto fresh = value_of(tokenstore::Keyring::generate(*tokenstore::system_random()));
    if (const auto written = fresh.write_new_file(options.key_file); !written) {
      throw std::runtime_error(written.error().message());
    }
  }
  auto store = tokenstore::TokenStore::open(backend, value_of(tokenstore::Keyring::from_file(options.key_file)),
                                            store_options(options));
  const bool fits = store || store.status() != tokenstore::Status::wrong_key;
  if (new_key && fits) tell_of_key_file(options.key_file);
  if (new_key && !fits) std::filesystem::remove(options.key_file);  // there are tokens already, of another key
  return value_of(std::move(store));
}
#endif

std::unique_ptr<tokenstore::TokenStore> open_store(const Options& options) {
#ifdef ACCESS_PAGE_POSTGRES
  if (!options.postgres.empty()) return open_postgres(options);
#endif
  tokenstore::OpenSqlite open;
  open.sqlite.path = options.database;
  open.key_file = options.key_file;
  open.store = store_options(options);
  auto opened = value_of(tokenstore::open_sqlite(std::move(open)));
  tell_of_key_file(opened.created_key_file);
  return std::move(opened.store);
}

int add_user(const Options& options) {
  std::string password;
  std::getline(std::cin, password);
  Accounts accounts(options.accounts);
  accounts.set(options.add_user, options.administrator ? Role::administrator : Role::user, password);
  sodium_memzero(password.data(), password.size());
  std::cout << options.add_user << " may sign in\n";
  return 0;
}

bool is_loopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.starts_with("127.");
}

/// Fills in what --demo leaves open; the folder goes with the object returned.
std::unique_ptr<TemporaryFolder> prepare_demo(Options& options) {
  if (!options.demo) return nullptr;
  if (!is_loopback(options.listen)) throw std::runtime_error("--demo is for loopback: everybody knows its passwords");
  auto folder = std::make_unique<TemporaryFolder>();
  if (options.accounts.empty()) options.accounts = folder->path() + "/accounts.json";
  if (options.database.empty() && options.postgres.empty()) {
    options.database = folder->path() + "/tokens.db";
    make_demo_history(options.database, options.workspace, options.prefix);
  }
  return folder;
}

int run(Options options) {
  hosting::block_stop_signals();
  if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be started");
  const auto folder = prepare_demo(options);
  if (options.accounts.empty()) options.accounts = "accounts.json";
  if (!options.add_user.empty()) return add_user(options);
  if (options.database.empty() == options.postgres.empty()) {
    throw std::runtime_error("name one place for the tokens: --db FILE, or --demo to look around");
  }

  const auto store = open_store(options);
  Accounts accounts(options.accounts);
  if (options.demo) add_demo_accounts(accounts);
  SessionOptions session_options;
  session_options.idle = std::chrono::seconds(options.session_idle);
  session_options.secure = options.secure;
  session_options.cookie = options.session_cookie;
  Sessions sessions(session_options);
  RateLimitOptions limit_options;
  limit_options.burst = options.sign_in_burst;
  limit_options.each = std::chrono::milliseconds(options.sign_in_interval);
  RateLimit sign_in_limit(limit_options);

  std::mutex log_mutex;
  Host host{*store, accounts, sessions, sign_in_limit, offered_scopes(options), options.address_header, {}};
  host.log = [&log_mutex, quiet = options.quiet](const std::string& line) {
    if (quiet) return;
    const std::lock_guard lock(log_mutex);
    std::cerr << line << '\n';
  };

  hosting::BoundedServer server;
  server.set_default_headers(security_headers(options.secure));
  Router router(server, host);
  add_page_routes(router);
  add_session_routes(router, host);
  add_token_routes(router, host);
  add_admin_routes(router, host);
  add_server_routes(router, host);

  const int status = hosting::serve(server, options.listen, options.port, [&options](int port) {
    std::cout << "Access Tokens page on http://" << options.listen << ':' << port << "/\n";
    if (options.demo) std::cout << demo_accounts_text();
    std::cout.flush();
  });
  if (status == 0) std::cout << "stopped" << std::endl;
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("A page on which people generate and manage their access tokens.");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(std::move(options));
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
