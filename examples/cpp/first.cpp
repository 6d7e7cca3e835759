#include <iostream>
#include <tokenstore/tokenstore.hpp>

int main() {
  using namespace tokenstore;
  auto opened = open_sqlite("tokens.db");  // made at first use, with its key beside it: tokens.db.key
  if (!opened) return std::cerr << opened.error().message() << '\n', 1;
  TokenStore& store = *opened->store;

  IssueRequest request{.owner = "alice", .description = "laptop", .scopes = {"notes:read"}};
  Issued issued = store.issue(Actor::host(), request).value();
  std::string_view text = issued.text.reveal();  // hand it to alice now: it is kept nowhere

  std::cout << "read:    " << outcome_name(store.validate(text, Demand("notes:read")).outcome()) << '\n';
  std::cout << "write:   " << reason_name(store.validate(text, Demand("notes:write")).reason()) << '\n';
  if (!store.revoke(Actor::user("alice"), issued.info.id, "lost my laptop")) return 1;
  std::cout << "revoked: " << outcome_name(store.validate(text, Demand("notes:read")).outcome()) << '\n';
}
