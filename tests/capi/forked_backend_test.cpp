// Backends of the host's own in a forked child. ThreadSanitizer knows nothing of locks that a fork opens, so this is
// apart from what it watches.
#include <sys/wait.h>
#include <unistd.h>

#include "hostile_host.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

TEST_CASE("in a forked child a backend that is not fork-safe is not called, `close` included, and the parent goes on") {
  HostileHost host(TOKENSTORE_BACKEND_THREAD_SAFE | TOKENSTORE_BACKEND_SOLE_WRITER, 0, without_pulse);
  const auto token = host.issue();
  CHECK(host.validate(token.text) == valid);
  const pid_t child = fork();
  if (child == 0) {
    const bool denied = host.validate(token.text) == unavailable && host.list().first == TOKENSTORE_UNAVAILABLE &&
                        host.revoke(token.id) == TOKENSTORE_UNAVAILABLE;
    tokenstore_free(host.store);
    _exit(denied && host.backend.closed.load() == 0 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  CHECK(host.validate(token.text) == valid);
  CHECK(host.revoke(token.id) == TOKENSTORE_OK);
}

TEST_CASE("in a forked child a backend that is fork-safe is called, and a sole writer's promise is not believed") {
  HostileHost host(TOKENSTORE_BACKEND_THREAD_SAFE | TOKENSTORE_BACKEND_FORK_SAFE | TOKENSTORE_BACKEND_SOLE_WRITER, 0,
                   without_pulse);
  const auto token = host.issue();
  CHECK(host.validate(token.text) == valid);
  const pid_t child = fork();
  if (child == 0) {
    const bool first = host.validate(token.text) == valid;
    const std::uint64_t loads = host.backend.called(Entry::load_token);
    const bool second = host.validate(token.text) == valid;
    _exit(first && second && host.backend.called(Entry::load_token) > loads ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}
