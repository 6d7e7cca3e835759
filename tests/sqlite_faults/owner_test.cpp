// Root at work on somebody else's store: whatever moment it is killed at, its owner can go on.
#include <fcntl.h>
#include <grp.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <functional>

#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/open.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

constexpr uid_t service = 4242;

void need_root() {
  INFO("run this test as root: it needs files of other users");
  REQUIRE(::geteuid() == 0);
}

int use_store(const std::string& path) {
  OpenSqlite options;
  options.sqlite.path = path;
  options.sqlite.durability = SqliteOptions::Durability::survives_crash_but_not_power_cut;  // killed, not cut off
  const auto opened = open_sqlite(std::move(options));
  if (!opened.ok()) return 1;
  IssueRequest request;
  request.owner = "alice";
  request.scopes = {"read"};
  return opened->store->issue(Actor::host(), request).ok() ? 0 : 2;
}

/// What `work` answers in a process of the service's.
int as_service(const std::function<int()>& work) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(service) != 0 || ::setuid(service) != 0) ::_exit(255);
    ::_exit(work());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

/// Calls that leave something behind.
bool changes_files(std::uint64_t number) {
  constexpr std::array<std::uint64_t, 13> calls{SYS_openat,   SYS_fchown,    SYS_fchmod,   SYS_ftruncate, SYS_unlinkat,
                                                SYS_linkat,   SYS_renameat2, SYS_pwrite64, SYS_write,     SYS_fallocate,
                                                SYS_fchownat, SYS_setfsuid,  SYS_setfsgid};
  if (std::find(calls.begin(), calls.end(), number) != calls.end()) return true;
#ifdef SYS_open
  return number == SYS_open || number == SYS_unlink || number == SYS_link || number == SYS_chown;
#else
  return false;
#endif
}

/// Root uses the store and is killed after its `last`-th change of a file. False if it came to its end before.
bool kill_root_after(int last, const std::string& path) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(254);
    ::raise(SIGSTOP);
    ::_exit(use_store(path));
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSTOPPED(status));
  REQUIRE(::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0);
  int changes = 0;
  bool of_interest = false;
  for (;;) {
    REQUIRE(::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) == 0);
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFEXITED(status)) {
      CHECK(WEXITSTATUS(status) == 0);
      return false;
    }
    REQUIRE(WIFSTOPPED(status));
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    __ptrace_syscall_info info{};
    REQUIRE(::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) > 0);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) of_interest = changes_files(info.entry.nr);
    if (info.op != PTRACE_SYSCALL_INFO_EXIT || !of_interest || ++changes != last) continue;
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, &status, 0) == child);
    return true;
  }
}

/// A directory of the service's in which `name` lies.
std::string place_of(const TempDirectory& directory, const std::string& name) {
  const std::string place = directory.file(name);
  std::filesystem::create_directory(place);
  REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
  REQUIRE(::chmod(place.c_str(), 0700) == 0);
  REQUIRE(::chown(place.c_str(), service, service) == 0);
  return place + "/tokens.db";
}

/// Every file in a directory is the service's, but those that a killed process wrote aside.
bool all_are_the_services(const std::string& path) {
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(path).parent_path())) {
    struct stat facts {};
    if (entry.path().filename().string().find(".new-") != std::string::npos) continue;
    if (::lstat(entry.path().c_str(), &facts) == 0 && facts.st_uid != service) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("Root killed at any moment of its work on a service's store leaves nothing that locks the service out") {
  need_root();
  const TempDirectory directory;
  const bool fresh = GENERATE(false, true);
  int kills = 0;
  for (bool more = true; more; ++kills) {
    const std::string path = place_of(directory, (fresh ? "fresh-" : "there-") + std::to_string(kills));
    if (!fresh) REQUIRE(as_service([&] { return use_store(path); }) == 0);
    more = kill_root_after(kills + 1, path);
    INFO("killed after change " << kills + 1 << (fresh ? " of a new store" : " of a store that was there"));
    REQUIRE(all_are_the_services(path));
    REQUIRE(as_service([&] { return use_store(path); }) == 0);
    std::filesystem::remove_all(std::filesystem::path(path).parent_path());
  }
  CHECK(kills > 15);
}

TEST_CASE("Root is itself again after it has opened a service's store") {
  need_root();
  const TempDirectory directory;
  const std::string path = place_of(directory, "there");
  REQUIRE(as_service([&] { return use_store(path); }) == 0);
  const auto opened = open_sqlite(path);
  REQUIRE(opened.ok());
  const std::string file = directory.file("roots");
  const int descriptor = ::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  struct stat facts {};
  REQUIRE(::fstat(descriptor, &facts) == 0);
  ::close(descriptor);
  CHECK(facts.st_uid == 0);
  CHECK(as_service([&] { return use_store(path); }) == 0);  // both at once
}

TEST_CASE("A file beside the database that is another user's is named with its owner and the remedy") {
  need_root();
  const TempDirectory directory;
  for (const std::string suffix : {"-wal", "-shm", ""}) {
    const std::string path = place_of(directory, "at" + suffix);
    REQUIRE(as_service([&] { return use_store(path); }) == 0);
    // What a killed process of root's leaves if nothing is done about it.
    const std::string file = path + suffix;
    if (!suffix.empty()) ::close(::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    REQUIRE(::chown(file.c_str(), 0, 0) == 0);
    CHECK(as_service([&] {
            const auto opened = open_sqlite(path);
            if (opened.ok() || opened.status() != Status::cannot_open) return 1;
            const std::string& message = opened.error().message();
            if (message.find("'" + file + "' belongs to user 0 (mode 0600), and user 4242") == std::string::npos)
              return 2;
            const std::string remedy = suffix.empty() ? "run it as user 0" : "chown 4242 '" + file + "'";
            return message.find(remedy) == std::string::npos ? 3 : 0;
          }) == 0);
    REQUIRE(::chown(file.c_str(), service, service) == 0);
    CHECK(as_service([&] { return use_store(path); }) == 0);
  }
}
