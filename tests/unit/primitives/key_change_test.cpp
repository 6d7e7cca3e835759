// Changing a key file that others have open: all of the old or all of the new, one change at a time, its owner's rights
// kept. And what of it a source of keys tells.
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "support/canary.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/key_source.hpp"

namespace tokenstore {
namespace {

std::string uses_in(const Keyring& keyring) {
  std::string told;
  for (const Keyring::Key& key : keyring.keys()) {
    const char use = key.use == KeyUse::active ? 'a' : key.use == KeyUse::verify_only ? 'v' : 'r';
    told += (told.empty() ? "" : " ") + key.id + use;
  }
  return told;
}

std::string new_key_file(const test::TempDirectory& directory) {
  std::string path = directory.file("store.key");
  REQUIRE(Keyring::generate(*system_random())->write_new_file(path).ok());
  return path;
}

Result<void> add_and_activate(Keyring& keyring) {
  auto id = keyring.add_new(*system_random());
  if (!id.ok()) return id.error();
  return keyring.activate(*id);
}

mode_t mode_of(const std::string& path) {
  struct stat facts {};
  REQUIRE(::stat(path.c_str(), &facts) == 0);
  return facts.st_mode & 07777U;
}

std::ptrdiff_t files_in(const test::TempDirectory& directory) {
  return std::distance(std::filesystem::directory_iterator(directory.path()), {});
}

TEST_CASE("keys are added, activated, retired and removed by rule") {
  Keyring keyring = Keyring::generate(*system_random()).value();
  CHECK(keyring.add_new(*system_random()).value() == "0B");
  CHECK(uses_in(keyring) == "0Aa 0Bv");
  CHECK(keyring.retire("0A").status() == Status::refused);
  CHECK(keyring.remove("0A").status() == Status::refused);
  CHECK(keyring.activate("0C").status() == Status::not_found);
  CHECK(keyring.retire("").status() == Status::not_found);
  CHECK(keyring.remove("0C").status() == Status::not_found);
  REQUIRE(keyring.activate("0B").ok());
  REQUIRE(keyring.activate("0B").ok());
  CHECK(uses_in(keyring) == "0Av 0Ba");
  REQUIRE(keyring.retire("0A").ok());
  REQUIRE(keyring.retire("0A").ok());
  CHECK(keyring.activate("0A").status() == Status::refused);
  REQUIRE(keyring.remove("0A").ok());
  CHECK(uses_in(keyring) == "0Ba");
}

TEST_CASE("a new key has a secret of its own and an id that was not there a moment ago") {
  Keyring keyring = Keyring::from_bytes(std::vector<std::uint8_t>(master_key_size, 7), "zz").value();
  CHECK(keyring.add_new(*system_random()).value() == "00");
  CHECK(keyring.add_new(*system_random()).value() == "01");
  CHECK_FALSE(std::string(keyring.keys()[1].master.reveal()) == std::string(keyring.keys()[2].master.reveal()));
  while (keyring.keys().size() < 3844) REQUIRE(keyring.add_new(*system_random()).ok());
  CHECK(keyring.add_new(*system_random()).status() == Status::refused);
}

TEST_CASE("a changed key file is the same file to its owner: path, rights, and whatever leads to it") {
  const test::TempDirectory directory;
  const std::string path = new_key_file(directory);
  std::filesystem::create_symlink("store.key", directory.file("link.key"));
  const auto source = key_file_source(directory.file("link.key"));
  REQUIRE(source->replace(add_and_activate).ok());
  CHECK(uses_in(Keyring::from_file(path).value()) == "0Av 0Ba");
  CHECK(std::filesystem::is_symlink(directory.file("link.key")));
  CHECK(mode_of(path) == 0600);
  CHECK(files_in(directory) == 2);

  REQUIRE(::chmod(path.c_str(), 0400) == 0);
  REQUIRE(source->replace(add_and_activate).ok());
  CHECK(mode_of(path) == 0400);
}

TEST_CASE("a change that fails or changes nothing leaves the very file") {
  const test::TempDirectory directory;
  const std::string path = new_key_file(directory);
  struct stat before {};
  REQUIRE(::stat(path.c_str(), &before) == 0);
  const auto source = key_file_source(path);
  const Error no(Status::refused, "no");
  CHECK(source->replace([&](Keyring&) -> Result<void> { return no; }).status() == Status::refused);
  CHECK(source->replace([](Keyring& keyring) { return keyring.activate("0A"); }).ok());
  struct stat after {};
  REQUIRE(::stat(path.c_str(), &after) == 0);
  CHECK(before.st_ino == after.st_ino);
  CHECK(files_in(directory) == 1);
}

TEST_CASE("what was left aside by somebody who was killed is in nobody's way") {
  const test::TempDirectory directory;
  const std::string path = new_key_file(directory);
  std::ofstream(path + ".new") << "half of a key";
  REQUIRE(key_file_source(path)->replace(add_and_activate).ok());
  CHECK(files_in(directory) == 1);
}

TEST_CASE("a key file that cannot be replaced says why, and stays") {
  const test::TempDirectory directory;
  const std::string path = new_key_file(directory);
  const std::string before = test::file_content(path);
  // Where a directory stands in the way, no file can be made aside.
  std::filesystem::create_directory(path + ".new");
  const auto failed = key_file_source(path)->replace(add_and_activate);
  REQUIRE(failed.status() == Status::cannot_open);
  CHECK(failed.error().message().find('\n') == std::string::npos);
  CHECK_FALSE(test::leaks(failed.error().message(), before.substr(before.size() - 65, 64)));
  CHECK(test::file_content(path) == before);
  CHECK(key_file_source(directory.file("none"))->replace(add_and_activate).status() == Status::wrong_key);
}

TEST_CASE("a key file does not grow beyond what can be read again") {
  const test::TempDirectory directory;
  const std::string path = new_key_file(directory);
  const auto source = key_file_source(path);
  Result<void> added;
  int keys = 0;
  const auto add_many = [&](Keyring& keyring) -> Result<void> {
    for (int i = 0; i < 100; ++i) {
      if (auto id = keyring.add_new(*system_random()); !id.ok()) return id.error();
    }
    return {};
  };
  for (; keys < 3000 && added.ok(); keys += 100) added = source->replace(add_many);
  REQUIRE(added.status() == Status::cannot_open);
  CHECK(added.error().message().find("too large to be read again") != std::string::npos);
  // What was there is there.
  CHECK(Keyring::from_file(path)->keys().size() == static_cast<std::size_t>(keys - 100 + 1));
  auto large = Keyring::generate(*system_random());
  for (int i = 0; i < 30; ++i) REQUIRE(add_many(*large).ok());
  CHECK(large->write_new_file(directory.file("another.key")).status() == Status::cannot_open);
  CHECK(files_in(directory) == 1);
}

TEST_CASE("of changes at the same time none is lost, and whoever reads meanwhile sees a whole file") {
  const test::TempDirectory directory;
  const std::string path = new_key_file(directory);
  constexpr int changers = 4;
  constexpr int changes = 25;
  std::atomic<bool> done{false};
  std::atomic<int> failed{0};
  std::thread reader([&] {
    while (!done) failed += Keyring::from_file(path).ok() ? 0 : 1;
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < changers; ++i) {
    threads.emplace_back([&] {
      const auto source = key_file_source(path);
      for (int change = 0; change < changes; ++change) failed += source->replace(add_and_activate).ok() ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  done = true;
  reader.join();
  CHECK(failed == 0);
  CHECK(Keyring::from_file(path)->keys().size() == 1 + changers * changes);
}

TEST_CASE("a key file's mark tells of every change, also of two in one step of the clock") {
  const test::TempDirectory directory;
  const std::string path = new_key_file(directory);
  const auto source = key_file_source(path);
  auto last = source->mark();
  REQUIRE(last);
  for (int change = 0; change < 200; ++change) {
    REQUIRE(source
                ->replace([&](Keyring& keyring) {
                  return change % 2 == 0 ? add_and_activate(keyring) : [&] {
                    REQUIRE(keyring.activate("0A").ok());
                    return keyring.remove(keyring.keys().back().id);
                  }();
                })
                .ok());
    const auto mark = source->mark();
    REQUIRE(mark != last);
    last = mark;
  }
  std::filesystem::remove(path);
  CHECK(source->mark() != last);
}

TEST_CASE("the mark of a key file that nobody changes comes to rest") {
  const test::TempDirectory directory;
  const auto source = key_file_source(new_key_file(directory));
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  const auto mark = source->mark();
  CHECK(source->mark() == mark);
}

TEST_CASE("a callback's exception is a failure to give the keys, and no other source can be changed") {
  const auto thrower = key_callback_source([]() -> Result<Keyring> { throw std::string("secret"); });
  CHECK(thrower->keyring().status() == Status::unavailable);
  CHECK(thrower->replace(add_and_activate).status() == Status::unsupported);
  CHECK_FALSE(thrower->mark());
}

// ---- Killed ------------------------------------------------------------------------------------------------------

struct Call {
  std::uint64_t number;
  std::string file{};  ///< that is synced, under the name that it has then
};

/// The path of a file that another process has open.
std::string path_in(pid_t process, std::uint64_t descriptor) {
  return std::filesystem::read_symlink("/proc/" + std::to_string(process) + "/fd/" + std::to_string(descriptor));
}

/// Runs `work` in a child that is killed at its `last`-th system call, at the entry of it. False if the child came to
/// its end before. `calls`: those that were made.
template <typename Work>
bool kill_at(int last, const Work& work, std::vector<Call>& calls) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(254);
    ::raise(SIGSTOP);
    ::_exit(work() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSTOPPED(status));
  REQUIRE(::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0);
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
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) continue;
    calls.push_back({info.entry.nr});
    if (info.entry.nr == SYS_fsync) calls.back().file = path_in(child, info.entry.args[0]);
    if (static_cast<int>(calls.size()) != last) continue;
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, &status, 0) == child);
    return true;
  }
}

/// How many of the kills left something else than the old keys or the new ones.
template <typename Change>
int torn_by(const Change& change, std::vector<Call>& calls) {
  int torn = 0;
  for (int last = 1;; ++last) {
    const test::TempDirectory directory;
    const std::string path = new_key_file(directory);
    calls.clear();
    const bool killed = kill_at(
        last, [&] { return change(path); }, calls);
    const auto left = Keyring::from_file(path);
    const std::string uses = left.ok() ? uses_in(*left) : "";
    const bool whole = uses == "0Aa" || uses == "0Av 0Ba";
    torn += whole ? 0 : 1;
    // Whoever comes next is not kept from anything.
    if (whole) {
      const bool changed = uses != "0Aa";
      REQUIRE(key_file_source(path)->replace(add_and_activate).ok());
      CHECK(uses_in(Keyring::from_file(path).value()) == (changed ? "0Av 0Bv 0Ca" : "0Av 0Ba"));
      CHECK(files_in(directory) == 1);
    }
    if (!killed) {
      CHECK(uses == "0Av 0Ba");
      return torn;
    }
    REQUIRE(last < 1000);
  }
}

bool change_by_replacing(const std::string& path) {
  return key_file_source(path)->replace(add_and_activate).ok();
}

/// As an editor would that knows no better.
bool change_in_place(const std::string& path) {
  auto keyring = Keyring::from_file(path);
  if (!keyring.ok() || !add_and_activate(*keyring).ok()) return false;
  std::ofstream(path, std::ios::binary | std::ios::trunc) << keyring->reveal_text().reveal();
  return true;
}

bool is_rename(const Call& call) {
  constexpr std::array<long, 3> renames{SYS_renameat2, SYS_renameat,
#ifdef SYS_rename
                                        SYS_rename
#else
                                        SYS_renameat
#endif
  };
  return std::find(renames.begin(), renames.end(), static_cast<long>(call.number)) != renames.end();
}

}  // namespace

TEST_CASE("killed at any system call, a change of the key file has happened or has not") {
  std::vector<Call> calls;
  CHECK(torn_by(change_by_replacing, calls) == 0);
  // The control: written in place, there is a moment at which the keys are lost.
  CHECK(torn_by(change_in_place, calls) > 0);
}

TEST_CASE("a changed key file is on the disk before it has the name, and the name before the change returns") {
  const test::TempDirectory directory;
  const std::string path = new_key_file(directory);
  std::vector<Call> calls;
  REQUIRE_FALSE(kill_at(
      0, [&] { return change_by_replacing(path); }, calls));
  const auto syncs = [](const std::string& file) {
    return [&file](const Call& call) { return call.number == SYS_fsync && call.file == file; };
  };
  const auto rename = std::find_if(calls.begin(), calls.end(), is_rename);
  REQUIRE(rename != calls.end());
  CHECK(std::find_if(rename + 1, calls.end(), is_rename) == calls.end());
  const std::string names = std::filesystem::canonical(directory.path());
  const std::string aside = names + "/store.key.new";
  const auto sync = std::find_if(calls.begin(), rename, syncs(aside));
  CHECK(sync != rename);
  const auto writes = [](const Call& call) { return call.number == SYS_write; };
  CHECK(std::find_if(calls.begin(), sync, writes) != sync);
  CHECK(std::find_if(sync, rename, writes) == rename);
  CHECK(std::find_if(rename, calls.end(), syncs(names)) != calls.end());
}

}  // namespace tokenstore
