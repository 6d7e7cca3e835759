// Two routes that differ in the validator alone, for the load test: load_server DATABASE. Prints the port
// and a token.
#include <iostream>
#include <string>

#include <tokenstore/tokenstore.hpp>

#include "common/authorization.hpp"
#include "common/bounded_server.hpp"
#include "common/serving.hpp"
#include "cpp/guard.hpp"

namespace {

void answer(httplib::Response& response, std::string_view owner) {
  response.set_content("hello " + std::string(owner) + '\n', "text/plain");
}

}  // namespace

int main(int argc, char** argv) {
  using namespace tokenstore;
  if (argc != 2) return std::cerr << "usage: load_server DATABASE\n", 2;
  hosting::block_stop_signals();
  OpenSqlite open;
  open.sqlite.path = argv[1];
  open.store.upkeep_thread = true;
  auto opened = open_sqlite(std::move(open));
  if (!opened) return std::cerr << opened.error().message() << '\n', 1;
  TokenStore& store = *opened->store;
  const auto issued = store.issue(Actor::host(), {.owner = "alice", .scopes = {"hello:read"}});
  if (!issued) return std::cerr << issued.error().message() << '\n', 1;

  hosting::Limits limits;
  limits.requests_per_connection = 100'000'000;
  hosting::BoundedServer server(limits);
  const guarded::Log ignore = [](const std::string&) {};
  guarded::Guard guard(server, store, "load", ignore);
  guard.get("/guarded", "hello:read",
            [](const auto&, auto& response, const Verdict& token) { answer(response, token.owner()); });
  // All that the guard does, but for the question.
  server.Get("/open", [&ignore](const httplib::Request& request, httplib::Response& response) {
    const auto authorization = hosting::read_authorization(request);
    if (authorization.scheme == hosting::Scheme::bearer) answer(response, "alice");
    response.set_header("Cache-Control", "no-store");
    ignore("GET /open: " + std::to_string(200) + " (none, token 0000000000000000)");
  });
  return hosting::serve(server, "127.0.0.1", 0, [&issued](int port) {
    std::cout << port << '\n' << issued->text.reveal() << std::endl;  // for the test that started this
  });
}
