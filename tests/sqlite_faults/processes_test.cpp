#include <sys/wait.h>
#include <unistd.h>

#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

int status_of(pid_t child) {
  int status = 0;
  if (::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

void send(int to, char what) {
  if (::write(to, &what, 1) != 1) ::_exit(90);
}
bool receive(int from) {
  char what = 0;
  return ::read(from, &what, 1) == 1;
}

}  // namespace

TEST_CASE("A commit in one process is seen by the very next pulse and change feed in another") {
  const int rounds = count_from("TOKENSTORE_PULSE_ROUNDS", 10'000);
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  { open_or_fail(options_for(path)); }
  int go[2];
  int done[2];
  REQUIRE(::pipe(go) == 0);
  REQUIRE(::pipe(done) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(go[1]);
    const auto backend = sqlite_backend(options_for(path));
    if (!backend.ok()) ::_exit(91);
    for (std::uint64_t number = 1; receive(go[0]); ++number) {
      if (issue(**backend, number).outcome != CommitOutcome::committed) ::_exit(92);
      send(done[1], 'x');
    }
    ::_exit(0);
  }
  ::close(go[0]);
  const auto backend = open_or_fail(options_for(path));
  std::uint64_t revision = 0;
  int missed = 0;
  for (int round = 0; round < rounds; ++round) {
    const Pulse before = backend->pulse();
    send(go[1], 'x');
    REQUIRE(receive(done[0]));
    if (backend->pulse().counter == before.counter) ++missed;
    const auto changes = backend->changes(workspace, revision);
    REQUIRE(changes.ok());
    const std::string wanted = token_id(static_cast<std::uint64_t>(round) + 1);
    const std::string line = PlainAnnouncement::line(RecordKind::token, wanted) + "\n";
    if (changes->everything || changes->entries.size() != 1 || changes->entries[0].text != line) ++missed;
    revision = changes->revision;
  }
  CHECK(missed == 0);
  // At rest, it stands still.
  const Pulse last = backend->pulse();
  for (int i = 0; i < 1000; ++i) CHECK(backend->pulse().counter == last.counter);
  ::close(go[1]);
  CHECK(status_of(child) == 0);
}

TEST_CASE("Eight processes write to one file and none is told to wait") {
  const int each = count_from("TOKENSTORE_WRITER_COMMITS", 200);
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  { open_or_fail(options_for(path)); }
  std::vector<pid_t> children;
  for (int writer = 0; writer < 8; ++writer) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const auto backend = sqlite_backend(options_for(path));
      if (!backend.ok()) ::_exit(1);
      for (int i = 0; i < each; ++i) {
        const auto number = static_cast<std::uint64_t>(writer * 1'000'000 + i + 1);
        if (issue(**backend, number).outcome != CommitOutcome::committed) ::_exit(2);
      }
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) CHECK(status_of(child) == 0);
  const auto backend = open_or_fail(options_for(path));
  CHECK(backend->changes(workspace, 0).value().revision == static_cast<std::uint64_t>(8 * each));
  const TokenCounts counts = backend->count_tokens(workspace, "", 1000).value();
  CHECK(counts.active + counts.expired + counts.pending + counts.revoked == static_cast<std::uint64_t>(8 * each));
}

TEST_CASE("Stores open and close in several processes while others write, and nobody loses anything") {
  const int each = count_from("TOKENSTORE_REOPENS", 40);
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  { open_or_fail(options_for(path)); }
  std::vector<pid_t> children;
  for (int writer = 0; writer < 4; ++writer) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (int i = 0; i < each; ++i) {
        const auto backend = sqlite_backend(options_for(path));
        if (!backend.ok()) {
          std::fprintf(stderr, "%s\n", backend.error().message().c_str());
          ::_exit(1);
        }
        const auto number = static_cast<std::uint64_t>(writer * 1'000'000 + i + 1);
        if (issue(**backend, number).outcome != CommitOutcome::committed) ::_exit(2);
      }
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) CHECK(status_of(child) == 0);
  const auto backend = open_or_fail(options_for(path));
  CHECK(backend->changes(workspace, 0).value().revision == static_cast<std::uint64_t>(4 * each));
}
