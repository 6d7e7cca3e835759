// Many threads on one store, and a stranger's copy of SQLite in the same process.
#include <dlfcn.h>
#include <sqlite3.h>

#include <atomic>
#include <set>
#include <thread>

#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
/// libsqlite3 loaded a second time, with its own record of locks.
class SecondCopy {
 public:
  SecondCopy() : library_(::dlmopen(LM_ID_NEWLM, "libsqlite3.so.0", RTLD_NOW | RTLD_LOCAL)) {
    REQUIRE(library_ != nullptr);
  }
  ~SecondCopy() {
    if (database_ != nullptr) function<int (*)(sqlite3*)>("sqlite3_close")(database_);
    ::dlclose(library_);
  }
  SecondCopy(const SecondCopy&) = delete;
  SecondCopy& operator=(const SecondCopy&) = delete;
  void open_and_read(const std::string& path) {
    REQUIRE(function<int (*)(const char*, sqlite3**)>("sqlite3_open")(path.c_str(), &database_) == SQLITE_OK);
    using Exec = int (*)(sqlite3*, const char*, int (*)(void*, int, char**, char**), void*, char**);
    REQUIRE(function<Exec>("sqlite3_exec")(database_, "SELECT count(*) FROM token", nullptr, nullptr, nullptr) ==
            SQLITE_OK);
  }

 private:
  template <typename Function>
  Function function(const char* name) {
    return reinterpret_cast<Function>(::dlsym(library_, name));
  }
  void* library_;
  sqlite3* database_ = nullptr;
};
#endif

}  // namespace

TEST_CASE("Threads that commit together each get a revision of their own and see what they wrote") {
  const TempDirectory directory;
  const auto backend = open_or_fail(options_for(directory.file("store.db")));
  constexpr int each = 100;
  std::atomic<int> wrong{0};
  std::vector<std::vector<std::uint64_t>> revisions(8);
  std::vector<std::thread> threads;
  for (std::size_t thread = 0; thread < revisions.size(); ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < each; ++i) {
        const std::uint64_t number = thread * 1000 + static_cast<std::uint64_t>(i) + 1;
        const Pulse before = backend->pulse();
        const CommitResult result = issue(*backend, number);
        if (result.outcome != CommitOutcome::committed) ++wrong;
        revisions[thread].push_back(result.revision);
        if (backend->pulse().counter == before.counter) ++wrong;
        const auto token = backend->load_token(workspace, token_id(number));
        if (!token.ok() || !token->has_value()) ++wrong;
        // A batch that does not hold harms none of its neighbours in the same transaction.
        if (issue(*backend, number).outcome != CommitOutcome::conflict) ++wrong;
        const Use use{token_id(number), 5, "::1"};
        if (i % 10 == 0 && !backend->record_uses(workspace, std::span(&use, 1)).ok()) ++wrong;
        if (i % 25 == 0 && !backend->maintain(std::chrono::milliseconds(1)).ok()) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  std::set<std::uint64_t> all;
  for (const auto& of_thread : revisions) all.insert(of_thread.begin(), of_thread.end());
  CHECK(all.size() == revisions.size() * each);
  CHECK(*all.rbegin() == revisions.size() * each);
}

// The sanitizers' runtimes cannot be loaded twice; every other build runs these.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
TEST_CASE("A store that another copy of SQLite has open in this process is refused") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  { open_or_fail(options_for(path)); }
  SecondCopy stranger;
  stranger.open_and_read(path);
  const auto refused = sqlite_backend(options_for(path));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status() == Status::cannot_open);
  CHECK(refused.error().message().find("another copy of SQLite") != std::string::npos);
}

TEST_CASE("A store notices when another copy of SQLite opens its file later") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const auto backend = open_or_fail(options_for(path));
  REQUIRE(issue(*backend, 1).outcome == CommitOutcome::committed);
  SecondCopy stranger;
  stranger.open_and_read(path);
  const Pulse before = backend->pulse();
  CHECK(backend->maintain(std::chrono::milliseconds(10)).status() == Status::unavailable);
  CHECK(backend->pulse().counter != before.counter);
  CHECK(backend->load_token(workspace, token_id(1)).status() == Status::unavailable);
}

#endif

TEST_CASE("Two stores on one file through the same copy of SQLite work side by side") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const auto first = open_or_fail(options_for(path));
  const auto second = open_or_fail(options_for(path));
  CHECK(issue(*first, 1).outcome == CommitOutcome::committed);
  CHECK(second->load_token(workspace, token_id(1)).value().has_value());
  CHECK(first->maintain(std::chrono::milliseconds(10)).ok());
  CHECK(issue(*second, 2).outcome == CommitOutcome::committed);
}
