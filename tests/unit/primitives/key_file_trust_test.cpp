// Key files as service managers and containers lay them out: which are taken, and by what name the weaker ones are.
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/canary.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/key_source.hpp"
#include "tokenstore/keyring.hpp"

namespace tokenstore {
namespace {

const std::string hex = "f0e1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f";
const std::string good = "tokenstore keyring 1\n0B active " + hex + "\n";
constexpr uid_t service = 4242;

KeyFileTrust group_readable() {
  KeyFileTrust trust;
  trust.group_readable_of_root = true;
  return trust;
}

KeyFileTrust world_readable() {
  KeyFileTrust trust;
  trust.world_readable_of_root = true;
  return trust;
}

KeyFileTrust inherited() {
  KeyFileTrust trust;
  trust.inherited_descriptor = true;
  return trust;
}

void write_file(const std::string& path, const std::string& content, mode_t mode = 0600) {
  std::ofstream(path, std::ios::binary) << content;
  REQUIRE(::chmod(path.c_str(), mode) == 0);
}

/// Only root can make files of several users; without it there is nothing to try.
void need_root() {
  INFO("run this test as root: it needs files of other users");
  REQUIRE(::geteuid() == 0);
}

void give(const std::string& path, uid_t user, gid_t group) {
  REQUIRE(::chown(path.c_str(), user, group) == 0);
}

/// This process as another user, with this group alone, while it lives.
class ActingAs {
 public:
  ActingAs(uid_t user, gid_t group) {
    const int count = ::getgroups(0, nullptr);
    groups_.resize(static_cast<std::size_t>(std::max(count, 0)));
    REQUIRE(::getgroups(count, groups_.data()) == count);
    REQUIRE(::setgroups(0, nullptr) == 0);
    REQUIRE(::setegid(group) == 0);
    REQUIRE(::seteuid(user) == 0);
  }
  ~ActingAs() {
    static_cast<void>(::seteuid(0));
    static_cast<void>(::setegid(0));
    static_cast<void>(::setgroups(groups_.size(), groups_.data()));
  }
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;

 private:
  std::vector<gid_t> groups_;
};

/// What `work` answers as another user, of this group.
int as_user(uid_t user, gid_t group, const std::function<int()>& work) {
  const ActingAs other(user, group);
  return work();
}

/// 0: taken; 1: refused as not safe, with a message that holds this; 2: anything else.
int outcome(const Result<Keyring>& keyring, std::string_view message = {}) {
  if (keyring.ok()) return 0;
  const bool fits = keyring.error().message().find(message) != std::string::npos;
  return keyring.status() == Status::cannot_open && fits && keyring.error().message().find('\n') == std::string::npos
             ? 1
             : 2;
}

/// As the kubelet lays a secret out: the name leads through two links to a file of root's.
std::string kubernetes_secret(const test::TempDirectory& directory, gid_t group, mode_t mode) {
  const std::string version = directory.file("..2026_11_29_02_00_00.123456789");
  REQUIRE(::mkdir(version.c_str(), 0755) == 0);
  write_file(version + "/tokens.key", good, mode);
  give(version + "/tokens.key", 0, group);
  REQUIRE(::symlink("..2026_11_29_02_00_00.123456789", directory.file("..data").c_str()) == 0);
  REQUIRE(::symlink("..data/tokens.key", directory.file("tokens.key").c_str()) == 0);
  REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
  return directory.file("tokens.key");
}

TEST_CASE("a key file is read through links, and what they lead to is judged") {
  const test::TempDirectory directory;
  write_file(directory.file("real.key"), good);
  std::filesystem::create_symlink("real.key", directory.file("one"));
  std::filesystem::create_symlink("one", directory.file("two"));
  CHECK(Keyring::from_file(directory.file("two")).ok());
  REQUIRE(::chmod(directory.file("real.key").c_str(), 0640) == 0);
  CHECK(Keyring::from_file(directory.file("two")).status() == Status::cannot_open);
}

TEST_CASE("a Kubernetes secret under fsGroup is taken by group-readable-of-root, and refused without it") {
  need_root();
  const test::TempDirectory directory;
  const std::string path = kubernetes_secret(directory, 1000, 0440);
  CHECK(as_user(service, 1000, [&] { return outcome(Keyring::from_file(path), "group-readable-of-root"); }) == 1);
  CHECK(as_user(service, 1000, [&] { return outcome(Keyring::from_file(path, world_readable())); }) == 0);
  CHECK(as_user(service, 1000, [&] { return outcome(Keyring::from_file(path, group_readable())); }) == 0);
  // Whoever is not in the group learns whose file it is.
  CHECK(as_user(service, 1001, [&] {
          return outcome(Keyring::from_file(path, group_readable()), "belongs to user 0 (mode 0440), and user 4242");
        }) == 1);
}

TEST_CASE("a secret that everybody may read is taken by world-readable-of-root alone") {
  need_root();
  const test::TempDirectory directory;
  const std::string path = kubernetes_secret(directory, 0, 0444);
  CHECK(as_user(service, service, [&] { return outcome(Keyring::from_file(path), "world-readable-of-root"); }) == 1);
  CHECK(as_user(service, service, [&] { return outcome(Keyring::from_file(path, group_readable())); }) == 1);
  CHECK(as_user(service, service, [&] { return outcome(Keyring::from_file(path, world_readable())); }) == 0);
}

TEST_CASE("no trust takes a key file that others may change, or one that is neither root's nor the caller's") {
  need_root();
  const test::TempDirectory directory;
  const std::string path = directory.file("tokens.key");
  KeyFileTrust all = group_readable();
  all.world_readable_of_root = all.inherited_descriptor = true;
  for (const mode_t mode : {0620U, 0602U, 0660U, 0606U, 0450U, 0405U}) {
    write_file(path, good, mode);
    INFO(std::oct << mode);
    CHECK(outcome(Keyring::from_file(path, all), "0600") == 1);
    std::ostringstream shown;
    shown << "is open to group or others (mode 0" << std::oct << mode << ")";
    CHECK(outcome(Keyring::from_file(path, all), shown.str()) == 1);
  }
  for (const mode_t mode : {0600U, 0440U, 0444U}) {
    write_file(path, good, mode);
    give(path, service, service);
    CHECK(outcome(Keyring::from_file(path, all), "belongs to user 4242") == 1);
    give(path, 0, 0);
  }
  // A file of the service's own that its group may read is no file of root's.
  write_file(path, good, 0440);
  give(path, service, service);
  REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
  CHECK(as_user(service, service, [&] {
          return outcome(Keyring::from_file(path, all), "is open to group or others (mode 0440); set its mode to 0600");
        }) == 1);
}

TEST_CASE("root takes the key file of the user whose database it opens, and nobody else's") {
  need_root();
  const test::TempDirectory directory;
  write_file(directory.file("tokens.db"), "");
  write_file(directory.file("tokens.key"), good);
  give(directory.file("tokens.db"), service, service);
  give(directory.file("tokens.key"), service, service);
  KeyFileTrust trust;
  trust.owner_of = directory.file("tokens.db");
  CHECK(Keyring::from_file(directory.file("tokens.key"), trust).ok());
  CHECK(outcome(Keyring::from_file(directory.file("tokens.key")), "belongs to user 4242") == 1);
  give(directory.file("tokens.key"), service + 1, service);
  CHECK(outcome(Keyring::from_file(directory.file("tokens.key"), trust), "belongs to user 4243") == 1);
  // Whoever owns what is not there owns no key file.
  trust.owner_of = directory.file("missing.db");
  CHECK(outcome(Keyring::from_file(directory.file("tokens.key"), trust), "belongs to user 4243") == 1);
  trust.owner_of = directory.file("tokens.db");
  // The name is root's alone to use.
  REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
  REQUIRE(::chmod(directory.file("tokens.key").c_str(), 0644) == 0);
  give(directory.file("tokens.db"), service + 1, service);
  CHECK(as_user(service, service, [&] { return outcome(Keyring::from_file(directory.file("tokens.key"), trust)); }) ==
        1);
}

TEST_CASE("a descriptor that was handed over is read by inherited-descriptor: file, pipe or memory, whoever's it is") {
  const test::TempDirectory directory;
  const auto name_of = [](int descriptor) { return "/dev/fd/" + std::to_string(descriptor); };
  SECTION("a file that this user could not open, read from its beginning each time") {
    need_root();
    write_file(directory.file("tokens.key"), good);
    const int file = ::open(directory.file("tokens.key").c_str(), O_RDONLY);
    REQUIRE(file >= 0);
    REQUIRE(::lseek(file, 5, SEEK_SET) == 5);
    CHECK(as_user(service, service, [&] {
            if (outcome(Keyring::from_file(name_of(file))) != 1) return 1;
            if (!Keyring::from_file("/proc/self/fd/" + std::to_string(file), inherited()).ok()) return 2;
            return Keyring::from_file(name_of(file), inherited()).ok() ? 0 : 3;
          }) == 0);
    ::close(file);
  }
  SECTION("a pipe, also one that is slow and does not block") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_NONBLOCK) == 0);
    CHECK(outcome(Keyring::from_file(name_of(ends[0])), "inherited-descriptor") == 1);
    std::thread writer([&] {
      for (const std::string& part : {good.substr(0, 9), good.substr(9)}) {
        ::usleep(20'000);
        CHECK(::write(ends[1], part.data(), part.size()) == static_cast<ssize_t>(part.size()));
      }
      ::close(ends[1]);
    });
    const Result<Keyring> keyring = Keyring::from_file(name_of(ends[0]), inherited());
    writer.join();
    CHECK(keyring.ok());
    const Result<Keyring> again = Keyring::from_file(name_of(ends[0]), inherited());
    REQUIRE(again.status() == Status::wrong_key);
    CHECK(again.error().message().find("only once") != std::string::npos);
    CHECK(::fcntl(ends[0], F_GETFD) != -1);  // it is the caller's to close
    ::close(ends[0]);
  }
  SECTION("a socket") {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    REQUIRE(::write(ends[1], good.data(), good.size()) == static_cast<ssize_t>(good.size()));
    ::close(ends[1]);
    CHECK(Keyring::from_file(name_of(ends[0]), inherited()).ok());
    ::close(ends[0]);
  }
  SECTION("memory") {
    const int memory = ::memfd_create("key", MFD_CLOEXEC);
    REQUIRE(memory >= 0);
    REQUIRE(::write(memory, good.data(), good.size()) == static_cast<ssize_t>(good.size()));
    CHECK(Keyring::from_file(name_of(memory), inherited()).ok());
    CHECK_FALSE(Keyring::from_file(name_of(memory)).ok());
    // A number with anything else about it is no descriptor's, whatever it begins with.
    for (const std::string& more : {std::string("x"), std::string(" "), std::string("/"), std::string(1, '\0') + "x"}) {
      CHECK_FALSE(Keyring::from_file(name_of(memory) + more, inherited()).ok());
    }
    ::close(memory);
  }
  SECTION("what is no such thing is refused") {
    const int null = ::open("/dev/null", O_RDONLY);
    CHECK(outcome(Keyring::from_file(name_of(null), inherited()), "neither a file nor a pipe") == 1);
    ::close(null);
    CHECK(outcome(Keyring::from_file(name_of(null), inherited()), "not open") == 1);
    CHECK_FALSE(Keyring::from_file("/dev/fd/", inherited()).ok());
    CHECK_FALSE(Keyring::from_file("/dev/fd/-1", inherited()).ok());
    CHECK_FALSE(Keyring::from_file("/dev/fd/0x", inherited()).ok());
    CHECK_FALSE(Keyring::from_file("/dev/fd/99999999999999", inherited()).ok());
    // The option is about descriptors, not about other files.
    write_file(directory.file("open.key"), good, 0644);
    CHECK(outcome(Keyring::from_file(directory.file("open.key"), inherited())) == 1);
  }
}

/// As systemd lays a credential out: a file of root's, mode 0400, with an entry for the service's user in its access
/// list; the list's mask then shows as the group's right.
void give_by_access_list(const std::string& path, uid_t user) {
  struct Entry {
    std::uint16_t tag;
    std::uint16_t permission;
    std::uint32_t id;
  };
  struct {
    std::uint32_t version = 2;
    Entry entries[5];
  } list;
  constexpr std::uint32_t nobody = 0xFFFFFFFF;
  list.entries[0] = {0x01, 4, nobody};  // the owner
  list.entries[1] = {0x02, 4, user};    // this user
  list.entries[2] = {0x04, 0, nobody};  // the group
  list.entries[3] = {0x10, 4, nobody};  // the mask
  list.entries[4] = {0x20, 0, nobody};  // others
  REQUIRE(::setxattr(path.c_str(), "system.posix_acl_access", &list, sizeof list, 0) == 0);
}

TEST_CASE("systemd's credential is taken by its name") {
  need_root();
  const test::TempDirectory directory;
  const std::string path = directory.file("tokens.key");
  write_file(path, good, 0400);
  give_by_access_list(path, service);
  struct stat facts {};
  REQUIRE(::stat(path.c_str(), &facts) == 0);
  REQUIRE((facts.st_mode & 07777) == 0440);
  REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
  const auto with_directory = [&](const char* value, const std::function<int()>& work) {
    REQUIRE((value == nullptr ? ::unsetenv("CREDENTIALS_DIRECTORY") : ::setenv("CREDENTIALS_DIRECTORY", value, 1)) ==
            0);
    const int answer = as_user(service, service, work);
    REQUIRE(::unsetenv("CREDENTIALS_DIRECTORY") == 0);
    return answer;
  };
  const std::string place = directory.path().string();
  CHECK(with_directory(place.c_str(), [] { return outcome(Keyring::from_credential("tokens.key")); }) == 0);
  // By its path it is a file that others than root may read, which has to be allowed.
  CHECK(with_directory(place.c_str(), [&] { return outcome(Keyring::from_file(path)); }) == 1);
  CHECK(with_directory(place.c_str(), [] {
          const auto missing = Keyring::from_credential("other.key");
          return missing.status() == Status::wrong_key && missing.error().message().find("missing") != std::string::npos
                     ? 0
                     : 1;
        }) == 0);
  for (const char* nowhere : {static_cast<const char*>(nullptr), "", "relative"}) {
    CHECK(with_directory(nowhere, [] {
            const auto keyring = Keyring::from_credential("tokens.key");
            return keyring.status() == Status::wrong_key &&
                           keyring.error().message().find("LoadCredential=tokens.key:") != std::string::npos
                       ? 0
                       : 1;
          }) == 0);
  }
  CHECK(Keyring::from_credential(std::string(255, 'a')).status() == Status::wrong_key);
  for (const std::string& name : {std::string(), std::string("."), std::string(".."), std::string("../tokens.key"),
                                  std::string("a:b"), std::string("a\0b", 3), std::string(256, 'a')}) {
    CHECK(Keyring::from_credential(name).status() == Status::invalid_argument);
  }
  // Another user on the same machine reads nothing, whatever the environment says.
  REQUIRE(::setenv("CREDENTIALS_DIRECTORY", place.c_str(), 1) == 0);
  CHECK(as_user(service + 1, service, [] { return outcome(Keyring::from_credential("tokens.key")); }) == 1);
  // Where the directory itself may not be entered, the error says so.
  REQUIRE(::chmod(directory.path().c_str(), 0700) == 0);
  CHECK(as_user(service, service, [] { return outcome(Keyring::from_credential("tokens.key"), "may not enter"); }) ==
        1);
  REQUIRE(::unsetenv("CREDENTIALS_DIRECTORY") == 0);
}

TEST_CASE("a key file that root makes for somebody else is theirs from the moment it has its name") {
  need_root();
  const test::TempDirectory directory;
  give(directory.path().string(), service, service);
  const Keyring keyring = std::move(Keyring::generate(*system_random())).value();
  REQUIRE(keyring.write_new_file(directory.file("theirs.key"), directory.path().string()).ok());
  REQUIRE(keyring.write_new_file(directory.file("roots.key")).ok());
  // Of a name that leads nowhere nobody is the owner, and only root gives anything away.
  REQUIRE(keyring.write_new_file(directory.file("nobodys.key"), directory.file("missing")).ok());
  CHECK(as_user(service, service, [&] {
          return outcome(Keyring::from_file(directory.file("nobodys.key")), "belongs to user 0 (mode 0600)");
        }) == 1);
  CHECK(as_user(service, service, [&] {
          return keyring.write_new_file(directory.file("own.key"), "/").ok() &&
                         Keyring::from_file(directory.file("own.key")).ok()
                     ? 0
                     : 1;
        }) == 0);
  struct stat facts {};
  REQUIRE(::stat(directory.file("theirs.key").c_str(), &facts) == 0);
  CHECK(facts.st_uid == service);
  CHECK((facts.st_mode & 07777) == 0600);
  REQUIRE(::stat(directory.file("roots.key").c_str(), &facts) == 0);
  CHECK(facts.st_uid == 0);
  CHECK(as_user(service, service, [&] { return outcome(Keyring::from_file(directory.file("theirs.key"))); }) == 0);
  CHECK(as_user(service, service, [&] {
          return outcome(Keyring::from_file(directory.file("roots.key")), "belongs to user 0 (mode 0600)");
        }) == 1);
}

TEST_CASE("a key file is replaced by its owner or by root, and stays its owner's") {
  need_root();
  const test::TempDirectory directory;
  give(directory.path().string(), service, service);
  const auto add_key = [](Keyring& keyring) -> Result<void> {
    auto added = keyring.add_new(*system_random());
    if (!added.ok()) return added.error();
    return {};
  };
  const Keyring keyring = std::move(Keyring::generate(*system_random())).value();
  const std::string theirs = directory.file("theirs.key");
  REQUIRE(keyring.write_new_file(theirs, directory.path().string()).ok());
  KeyFileTrust trust;
  trust.owner_of = directory.path().string();
  REQUIRE(key_file_source(theirs, trust)->replace(add_key).ok());
  struct stat facts {};
  REQUIRE(::stat(theirs.c_str(), &facts) == 0);
  CHECK(facts.st_uid == service);
  CHECK(facts.st_gid == service);
  CHECK(as_user(service, service, [&] {
          return key_file_source(theirs)->replace(add_key).ok() && Keyring::from_file(theirs)->keys().size() == 3 ? 0
                                                                                                                  : 1;
        }) == 0);
  // One of root's that a service may read, in a directory in which it could put another in its place.
  const std::string roots = directory.file("roots.key");
  REQUIRE(keyring.write_new_file(roots).ok());
  REQUIRE(::chmod(roots.c_str(), 0444) == 0);
  const std::string before = test::file_content(roots);
  CHECK(as_user(service, service, [&] {
          const auto replaced = key_file_source(roots, world_readable())->replace(add_key);
          return replaced.status() == Status::cannot_open &&
                         replaced.error().message().find("belongs to user 0, and user 4242") != std::string::npos
                     ? 0
                     : 1;
        }) == 0);
  CHECK(test::file_content(roots) == before);
  REQUIRE(::stat(roots.c_str(), &facts) == 0);
  CHECK(facts.st_uid == 0);
}

/// From now on the kernel refuses this process hard links, and with `renames` also renaming without replacing, as
/// file systems do that know neither.
bool forbid_links(bool renames) {
  const auto refuse = [](unsigned number, unsigned error) {
    return std::array<sock_filter, 2>{
        sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number},
        sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA)}};
  };
  std::vector<sock_filter> filter{{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)}};
  const auto add = [&](const std::array<sock_filter, 2>& rule) {
    filter.insert(filter.end(), rule.begin(), rule.end());
  };
#ifdef SYS_link
  add(refuse(SYS_link, EPERM));
#endif
  add(refuse(SYS_linkat, EPERM));
  if (renames) add(refuse(SYS_renameat2, EINVAL));
  filter.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST_CASE("a key file is made, and never overwritten, on a file system without hard links") {
  const test::TempDirectory directory;
  const Keyring keyring = std::move(Keyring::generate(*system_random())).value();
  for (const bool renames : {false, true}) {
    const std::string path = directory.file(renames ? "b.key" : "a.key");
    const std::string probe = directory.file(renames ? "probe-b" : "probe-a");
    write_file(probe, "");
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      if (!forbid_links(renames)) ::_exit(1);
      if (::link(probe.c_str(), (probe + "2").c_str()) == 0) ::_exit(2);  // the control
      if (!keyring.write_new_file(path).ok()) ::_exit(3);
      if (!Keyring::from_file(path).ok()) ::_exit(4);
      const Keyring other = std::move(Keyring::generate(*system_random())).value();
      if (other.write_new_file(path).status() != Status::cannot_open) ::_exit(5);
      ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    const Result<Keyring> read = Keyring::from_file(path);
    REQUIRE(read.ok());
    CHECK(std::string(read->reveal_text().reveal()) == std::string(keyring.reveal_text().reveal()));
  }
  // Nothing is left beside them.
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 4);
}

}  // namespace
}  // namespace tokenstore
