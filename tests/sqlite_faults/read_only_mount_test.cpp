// A file system mounted read-only: validations and lists go on, and every change says why not.
//
// Where this process may not mount (not root, or a container that forbids it), a directory without write
// permission stands in, used by a child that is not root. Any other failure to mount fails the test.
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "support/temp_directory.hpp"
#include "tokenstore/open.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

/// Mounts for as long as it lives.
class Mount {
 public:
  Mount(std::string place, const char* source, const char* type, unsigned long flags, const char* options)
      : place_(std::move(place)), mounted_(::mount(source, place_.c_str(), type, flags, options) == 0) {
    if (mounted_) return;
    INFO("mounting failed with errno " << errno);
    REQUIRE(errno == EPERM);
    WARN("this process may not mount; a directory without write permission stands in for a read-only file system");
  }
  ~Mount() {
    if (mounted_) ::umount2(place_.c_str(), MNT_DETACH);
  }
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  explicit operator bool() const { return mounted_; }
  bool remount(unsigned long flags) const {
    return ::mount(nullptr, place_.c_str(), nullptr, MS_REMOUNT | flags, nullptr) == 0;
  }

 private:
  std::string place_;
  bool mounted_;
};

struct Prepared {
  Kept alive;
  Kept revoked;
};

Prepared prepare(TokenStore& store) {
  Prepared tokens{World::issue(store, {.owner = "alice", .scopes = {"read"}}),
                  World::issue(store, {.owner = "alice", .scopes = {"read"}})};
  REQUIRE(store.revoke(Actor::host(), tokens.revoked.id).ok());
  return tokens;
}

Result<Opened> open_reading(const std::string& path) {
  OpenSqlite options;
  options.sqlite.path = path;
  options.sqlite.read_only = true;
  return open_sqlite(std::move(options));
}

/// 0: all is as it should be; else the line's number in this list.
int use_read_only(const std::string& path, const Prepared& tokens) {
  const Actor host = Actor::host();
  const auto refused = open_sqlite(path);
  if (refused.ok() || refused.status() != Status::cannot_open) return 1;
  if (refused.error().message().find("read-only") == std::string::npos) return 2;
  const auto opened = open_reading(path);
  if (!opened.ok()) return 3;
  TokenStore& store = *opened->store;
  for (int again = 0; again < 2; ++again) {
    if (!store.validate(tokens.alive.text, Demand("read")).valid()) return 4;
    if (store.validate(tokens.revoked.text, Demand("read")).reason() != Reason::revoked) return 5;
  }
  const auto page = store.list(host, {});
  if (!page.ok() || page->tokens.size() != 2) return 6;
  if (!store.get(host, tokens.alive.id).ok() || store.count(host).value().active != 1) return 7;
  const auto report = store.check(host);
  if (!report.ok() || report->problem_count != 0) return 8;
  if (store.issue(host, {.owner = "alice", .scopes = {"read"}}).status() != Status::read_only) return 9;
  if (store.expire(host, tokens.alive.id).status() != Status::read_only) return 10;
  if (store.revoke(host, tokens.alive.id).status() != Status::read_only) return 11;
  if (store.remove(host, tokens.alive.id).status() != Status::read_only) return 12;
  if (store.suspend(host, "alice").status() != Status::read_only) return 13;
  if (store.set_policy(host, Policy{}).status() != Status::read_only) return 14;
  // A change that was asked for and could not be made denies here all the same, from revoke on.
  if (store.validate(tokens.revoked.text, Demand("read")).valid()) return 15;
  if (!store.maintain().ok()) return 16;
  return 0;
}

/// The exit code of `body` in a child; with `as_nobody`, one that has no rights of root's.
int in_child(bool as_nobody, const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (as_nobody && ::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(99);
    ::_exit(body());
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

}  // namespace

TEST_CASE("On a file system mounted read-only a store is read, and every change is refused") {
  const TempDirectory directory;
  const std::string place = directory.file("disk");
  REQUIRE(::mkdir(place.c_str(), 0700) == 0);
  const Mount disk(place, "tmpfs", "tmpfs", 0, "size=4m");
  const std::string path = place + "/store.db";
  Prepared tokens;
  {
    const auto opened = open_sqlite(path);
    REQUIRE(opened.ok());
    tokens = prepare(*opened->store);
  }
  if (disk) {
    REQUIRE(disk.remount(MS_RDONLY));
    CHECK(use_read_only(path, tokens) == 0);
    REQUIRE(disk.remount(0));
  } else {
    // The child is to own the files, but not to write beside them.
    const auto give_to = [&](uid_t user, gid_t group) {
      if (::geteuid() != 0) return;
      for (const std::string& file : {directory.path().string(), path, path + ".key"}) {
        REQUIRE(::chown(file.c_str(), user, group) == 0);
      }
    };
    give_to(65534, 65534);
    REQUIRE(::chmod(path.c_str(), 0400) == 0);
    REQUIRE(::chmod(place.c_str(), 0555) == 0);
    CHECK(in_child(true, [&] { return use_read_only(path, tokens); }) == 0);
    give_to(::getuid(), ::getgid());
    REQUIRE(::chmod(place.c_str(), 0700) == 0);
    REQUIRE(::chmod(path.c_str(), 0600) == 0);
  }
  const auto again = open_sqlite(path);
  REQUIRE(again.ok());
  CHECK(again->store->validate(tokens.alive.text, Demand("read")).valid());
  CHECK(again->store->revoke(Actor::host(), tokens.alive.id).ok());
}

TEST_CASE("Through a read-only bind mount a reader sees what a writer commits on the other side") {
  const TempDirectory directory;
  const std::string written = directory.file("written");
  const std::string seen = directory.file("seen");
  REQUIRE(::mkdir(written.c_str(), 0700) == 0);
  REQUIRE(::mkdir(seen.c_str(), 0700) == 0);
  const Mount bound(seen, written.c_str(), nullptr, MS_BIND, nullptr);
  if (bound) REQUIRE(bound.remount(MS_BIND | MS_RDONLY));
  int go[2];
  int ready[2];
  REQUIRE(::pipe(go) == 0);
  REQUIRE(::pipe(ready) == 0);
  const auto opened = open_sqlite(written + "/store.db");
  REQUIRE(opened.ok());
  const Prepared tokens = prepare(*opened->store);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    char octet = 'x';
    ::alarm(300);
    const auto reading = open_reading((bound ? seen : written) + "/store.db");
    if (!reading.ok()) ::_exit(1);
    if (!reading->store->validate(tokens.alive.text, Demand("read")).valid()) ::_exit(2);
    if (reading->store->validate(tokens.revoked.text, Demand("read")).valid()) ::_exit(3);
    if (::write(ready[1], &octet, 1) != 1 || ::read(go[0], &octet, 1) != 1) ::_exit(4);
    if (reading->store->validate(tokens.alive.text, Demand("read")).valid()) ::_exit(5);
    if (reading->store->remove(Actor::host(), tokens.alive.id).status() != Status::read_only) ::_exit(6);
    ::_exit(0);
  }
  char octet = 'x';
  ::close(ready[1]);
  const bool heard = ::read(ready[0], &octet, 1) == 1;
  CHECK(opened->store->revoke(Actor::host(), tokens.alive.id).ok());
  CHECK(::write(go[1], &octet, 1) == 1);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(heard);
  CHECK(status == 0);
}
