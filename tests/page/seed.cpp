// Fills a store: seed DATABASE OWNER COUNT.
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include <tokenstore/tokenstore.hpp>

int main(int argc, char** argv) {
  using namespace tokenstore;
  if (argc != 4) return std::cerr << "usage: seed DATABASE OWNER COUNT\n", 2;
  OpenSqlite open;
  open.sqlite.path = argv[1];
  auto opened = open_sqlite(std::move(open));
  if (!opened) return std::cerr << opened.error().message() << '\n', 1;
  TokenStore& store = *opened->store;

  const long count = std::strtol(argv[3], nullptr, 10);
  std::vector<IssueRequest> requests;
  for (long i = 0; i < count; ++i) {
    IssueRequest request;
    request.owner = argv[2];
    request.description = "seed " + std::to_string(i);
    request.scopes = {"data:read"};
    requests.push_back(std::move(request));
    if (requests.size() < 1000 && i + 1 < count) continue;
    const auto issued = store.issue_many(Actor::host(), requests);
    if (!issued) return std::cerr << issued.error().message() << '\n', 1;
    requests.clear();
  }
  std::cout << count << " tokens\n";
}
