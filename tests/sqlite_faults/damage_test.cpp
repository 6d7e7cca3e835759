// Flipped bits: whatever is damaged, there is an answer, and it is an error, or a record for the seal to judge.
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Uses a damaged store in every way. Any answer will do; a crash will not.
void use(const std::string& path) {
  const auto opened = sqlite_backend(options_for(path));
  if (!opened.ok()) {
    if (opened.error().message().empty()) ::_exit(3);
    return;
  }
  Backend& backend = **opened;
  for (std::uint64_t number = 1; number <= 3; ++number) (void)backend.load_token(workspace, token_id(number)).ok();
  (void)backend.list_tokens(workspace, {}).ok();
  (void)backend.count_live(workspace, "owner-1", 0, 10).ok();
  (void)backend.list_ended(workspace, 10'000'000, 10).ok();
  (void)backend.changes(workspace, 0).ok();
  const CommitResult result = issue(backend, 50);
  if (result.outcome == CommitOutcome::failed && !result.error) ::_exit(4);
  (void)backend.check_integrity(10, {}).ok();
  (void)backend.maintain(std::chrono::milliseconds(5)).ok();
}

/// In children, so that a crash is counted and not suffered.
int crashes_in(const std::string& whole, const std::string& directory, std::size_t first_bit, std::size_t stride) {
  int crashes = 0;
  constexpr std::size_t batch = 200;
  for (std::size_t from = first_bit; from < whole.size() * 8; from += batch * stride) {
    const pid_t child = ::fork();
    if (child == 0) {
      const std::string path = directory + "/damaged.db";
      for (std::size_t bit = from; bit < std::min(from + batch * stride, whole.size() * 8); bit += stride) {
        for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((path + suffix).c_str());
        std::string content = whole;
        content[bit / 8] = static_cast<char>(content[bit / 8] ^ (1 << (bit % 8)));
        std::ofstream(path, std::ios::binary) << content;
        use(path);
      }
      ::_exit(0);
    }
    int status = 0;
    if (::waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) ++crashes;
  }
  return crashes;
}

}  // namespace

TEST_CASE("A flipped bit anywhere in the file crashes nothing") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  {
    const auto backend = open_or_fail(options_for(path));
    for (std::uint64_t number = 1; number <= 3; ++number)
      REQUIRE(issue(*backend, number).outcome == CommitOutcome::committed);
    REQUIRE(revoke(*backend, 1).outcome == CommitOutcome::committed);
  }
  // All of them by TOKENSTORE_BIT_STRIDE=1; a sample that is coprime to the page layout otherwise.
  const auto stride = static_cast<std::size_t>(count_from("TOKENSTORE_BIT_STRIDE", 1009));
  CHECK(crashes_in(content_of(path), directory.path().string(), 0, stride) == 0);
}
