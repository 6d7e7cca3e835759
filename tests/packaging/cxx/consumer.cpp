#include <iostream>
#include <tokenstore/backends/memory.hpp>
#include <tokenstore/tokenstore.hpp>

int main() {
  using namespace tokenstore;
  Result<Opened> opened = open_sqlite("consumer.db");
  if (!opened) {
    std::cerr << opened.error().message() << '\n';
    return 1;
  }
  TokenStore& store = *opened->store;
  Result<Issued> issued = store.issue(Actor::host(), {.owner = "alice", .scopes = {"read"}});
  if (!issued) {
    std::cerr << issued.error().message() << '\n';
    return 1;
  }
  const bool granted = store.validate(issued->text.reveal(), Demand("read")).valid();
  const bool refused = !store.validate(issued->text.reveal(), Demand("write")).valid();
  std::cout << (granted && refused ? "consumer ok" : "consumer failed") << '\n';
  return granted && refused ? 0 : 1;
}
