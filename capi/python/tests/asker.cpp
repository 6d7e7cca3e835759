// A host in C++ for test_processes.py: reads "issue OWNER", "validate TEXT" and "revoke ID", and answers each in a
// line.
#include <iostream>
#include <string>
#include <tokenstore/tokenstore.hpp>

int main(int argc, char** argv) {
  using namespace tokenstore;
  if (argc != 2) return 2;
  auto opened = open_sqlite(argv[1]);
  if (!opened) return 1;
  TokenStore& store = *opened->store;
  std::string verb;
  std::string what;
  while (std::cin >> verb >> what) {
    if (verb == "issue") {
      const Issued issued = store.issue(Actor::host(), IssueRequest{.owner = what, .scopes = {"read"}}).value();
      std::cout << issued.info.id << ' ' << issued.text.reveal() << std::endl;
    } else if (verb == "revoke") {
      std::cout << state_name(store.revoke(Actor::host(), what).value().state) << std::endl;
    } else {
      std::cout << outcome_name(store.validate(what, Demand("read")).outcome()) << std::endl;
    }
  }
}
