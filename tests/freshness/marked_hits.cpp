/// Validates a cached token ten thousand times between two system calls that a tracer can see.
#include <unistd.h>

#include "tokenstore/open.hpp"

using namespace tokenstore;

int main(int, char** arguments) {
  const auto opened = open_sqlite(std::string(arguments[1]));
  if (!opened.ok()) return 1;
  TokenStore& store = *opened->store;
  const auto issued = store.issue(Actor::host(), {.owner = "alice", .scopes = {"read"}});
  if (!issued.ok()) return 2;
  const std::string text(issued->text.reveal());
  Verdict verdict;
  for (int i = 0; i < 10; ++i) store.validate(text, Demand("read", "192.0.2.1"), verdict);
  const auto before = store.statistics().hits;
  static_cast<void>(::getpgid(0));
  for (int i = 0; i < 10'000; ++i) store.validate(text, Demand("read", "192.0.2.1"), verdict);
  static_cast<void>(::getpgid(0));
  return verdict.valid() && store.statistics().hits == before + 10'000 ? 0 : 3;
}
