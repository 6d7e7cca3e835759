// A WAL that was cut to nothing under a live store.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

/// A process that commits so many tokens, from 1000 on, and then holds the store open.
class Holder {
 public:
  Holder(const std::string& path, int tokens) {
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    child_ = ::fork();
    REQUIRE(child_ >= 0);
    if (child_ == 0) {
      SqliteOptions options = options_for(path);
      options.durability = SqliteOptions::Durability::survives_crash_but_not_power_cut;
      const auto backend = sqlite_backend(options);
      bool well = backend.ok();
      for (int i = 0; well && i < tokens; ++i) {
        well = issue(**backend, 1000 + static_cast<std::uint64_t>(i)).outcome == CommitOutcome::committed;
      }
      const char byte = well ? 'y' : 'n';
      if (::write(ready[1], &byte, 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    REQUIRE(byte == 'y');
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Holder() { end(); }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  void end() {
    if (child_ < 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    child_ = -1;
  }

 private:
  pid_t child_ = -1;
};

}  // namespace

TEST_CASE(
    "After a WAL was cut to nothing, opening says what to do while a process lives, and works when all have ended") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  { REQUIRE(issue(*open_or_fail(options_for(path)), 1).outcome == CommitOutcome::committed); }
  // With 1,500 tokens the WAL was copied into the database on the way, in part.
  const int tokens = GENERATE(1, 1500);
  Holder holder(path, tokens);
  struct stat wal {};
  REQUIRE(::stat((path + "-wal").c_str(), &wal) == 0);
  REQUIRE(wal.st_size > 0);
  REQUIRE(::truncate((path + "-wal").c_str(), 0) == 0);
  for (int again = 0; again < 2; ++again) {
    const auto backend = sqlite_backend(options_for(path));
    // What was committed last is read from the WAL.
    const auto last = token_id(999 + static_cast<std::uint64_t>(tokens));
    const Error error = backend.ok() ? (*backend)->load_token(workspace, last).error() : backend.error();
    CHECK(error.status() == Status::unavailable);
    CHECK(error.message().find("close the store in every process") != std::string::npos);
  }
  holder.end();
  for (const bool read_only : {true, false, true}) {
    SqliteOptions options = options_for(path);
    options.read_only = read_only;
    const auto backend = open_or_fail(options);
    CHECK(backend->load_token(workspace, token_id(1)).value().has_value());
    CHECK(backend->check_integrity(10, {}).value().empty());
    if (!read_only) CHECK(issue(*backend, 5).outcome == CommitOutcome::committed);
  }
}
