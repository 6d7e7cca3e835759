// Where a database's -wal would lie elsewhere than whoever opens it next looks for it.
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "backends/sqlite/file_system.hpp"
#include "sqlite_faults/samples.hpp"
#include "support/temp_directory.hpp"

using namespace tokenstore;
using namespace tokenstore::test;
using sqlite::Reach;

namespace {

/// Whether it is refused, for a reason that holds this word, also read-only.
bool is_refused(const std::string& path, std::string_view word) {
  for (const bool read_only : {false, true}) {
    SqliteOptions options = options_for(path);
    options.read_only = read_only;
    const auto backend = sqlite_backend(options);
    if (backend.ok() || backend.status() != Status::cannot_open) return false;
    if (backend.error().message().find(word) == std::string::npos) return false;
  }
  return true;
}

void make_store(const std::string& path) {
  REQUIRE(issue(*open_or_fail(options_for(path)), 1).outcome == CommitOutcome::committed);
}

bool opens(const std::string& path) {
  return sqlite_backend(options_for(path)).ok();
}

}  // namespace

TEST_CASE("A database file that is mounted alone is refused, and one in a mounted directory is not") {
  const TempDirectory directory;
  const std::string host = directory.file("the host's");
  const std::string container = directory.file("a container's");
  std::filesystem::create_directory(host);
  std::filesystem::create_directory(container);
  make_store(host + "/tokens.db");
  std::ofstream(container + "/tokens.db").close();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    constexpr const char* none = nullptr;
    if (::unshare(CLONE_NEWNS) != 0) ::_exit(errno == EPERM ? 77 : 1);
    if (::mount(none, "/", none, MS_REC | MS_PRIVATE, none) != 0) ::_exit(errno == EPERM ? 77 : 2);
    // As `-v the-host's/tokens.db:/a-container's/tokens.db` does it: the same device, and the same inode.
    if (::mount((host + "/tokens.db").c_str(), (container + "/tokens.db").c_str(), none, MS_BIND, none) != 0) {
      ::_exit(errno == EPERM ? 77 : 3);
    }
    std::ifstream mounts("/proc/self/mountinfo");
    if (!sqlite::is_mount_point_in(mounts, container + "/tokens.db")) ::_exit(4);
    if (!is_refused(container + "/tokens.db", "mounted alone")) ::_exit(5);
    if (std::filesystem::exists(container + "/tokens.db-wal")) ::_exit(6);
    if (::umount2((container + "/tokens.db").c_str(), MNT_DETACH) != 0) ::_exit(7);
    if (::mount(host.c_str(), container.c_str(), none, MS_BIND, none) != 0) ::_exit(8);
    ::_exit(opens(container + "/tokens.db") ? 0 : 9);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) {
    WARN("this process may not mount; what mountinfo says stands in for a mount");
    return;
  }
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(opens(host + "/tokens.db"));
}

TEST_CASE("A mount point is found in mountinfo by its whole path") {
  const std::string lines =
      "36 35 98:0 /mnt1 /data/tokens.db rw,noatime master:1 - ext4 /dev/root rw\n"
      "37 35 98:0 / /with\\040blank/tokens.db rw - ext4 /dev/root rw\n"
      "38 35 98:0 /data/inner.db /elsewhere rw - ext4 /data/source.db rw\n"
      "a line that is cut\n";
  const auto found = [&](std::string_view path) {
    std::istringstream mountinfo(lines);
    return sqlite::is_mount_point_in(mountinfo, path);
  };
  CHECK(found("/data/tokens.db"));
  CHECK(found("/with blank/tokens.db"));
  for (const char* other : {"/data", "/data/tokens.db-wal", "/data/inner.db", "/data/source.db",
                            "/with\\040blank/tokens.db", "/tokens.db", ""}) {
    CHECK_FALSE(found(other));
  }
}

TEST_CASE("A database of several names is refused until it has one") {
  const TempDirectory directory;
  const std::string path = directory.file("tokens.db");
  const std::string other = directory.file("other.db");
  make_store(path);
  REQUIRE(::link(path.c_str(), other.c_str()) == 0);
  CHECK(is_refused(path, "2 names"));
  CHECK(is_refused(other, "2 names"));
  CHECK(std::filesystem::exists(other));
  REQUIRE(::unlink(other.c_str()) == 0);
  CHECK(opens(path));
  // A symbolic link is no name of its own: SQLite is given what it leads to.
  REQUIRE(::symlink("tokens.db", other.c_str()) == 0);
  CHECK(opens(other));
}

TEST_CASE("The second name of a database whose making was killed is removed, and nothing else is") {
  const TempDirectory directory;
  const std::string path = directory.file("tokens.db");
  make_store(path);
  REQUIRE(::link(path.c_str(), directory.file("tokens.db.new-0123456789abcdef").c_str()) == 0);
  std::ofstream(directory.file("tokens.db.new-fedcba9876543210")) << "somebody else's";
  CHECK(opens(path));
  CHECK_FALSE(std::filesystem::exists(directory.file("tokens.db.new-0123456789abcdef")));
  CHECK(std::filesystem::exists(directory.file("tokens.db.new-fedcba9876543210")));
}

TEST_CASE(
    "File systems of networks and shared folders of virtual machines are recognised, local ones are not taken for "
    "them") {
  constexpr long fuse = 0x65735546;
  for (const char* name : {"nfs4", "nfs"}) CHECK(sqlite::reach_of(0x6969, name) == Reach::network);
  CHECK(sqlite::reach_of(static_cast<long>(0xFF534D42), "cifs") == Reach::network);
  CHECK(sqlite::reach_of(static_cast<int>(0xFE534D42), "smb3") == Reach::network);
  CHECK(sqlite::reach_of(fuse, "fuse.sshfs") == Reach::network);
  CHECK(sqlite::reach_of(0x01021997, "9p") == Reach::shared_folder);
  CHECK(sqlite::reach_of(0x786F4256, "") == Reach::shared_folder);
  CHECK(sqlite::reach_of(static_cast<int>(0xBACBACBC), "") == Reach::shared_folder);
  for (const char* name : {"virtiofs", "fuse.grpcfuse", "fuse.osxfs", "fuse.vmhgfs-fuse", "fakeowner", "prl_fs",
                           "vboxsf", "vmhgfs", "fuse.prl_fsd", "drvfs"}) {
    INFO(name);
    CHECK(sqlite::reach_of(fuse, name) == Reach::shared_folder);
  }
  for (const char* name : {"fuse.ntfs-3g", "fuseblk", "fuse.fuse-overlayfs", "fuse.encfs", ""}) {
    CHECK(sqlite::reach_of(fuse, name) == Reach::local);
  }
  CHECK(sqlite::reach_of(0xEF53, "ext4") == Reach::local);
  CHECK(sqlite::reach_of(0x01021994, "tmpfs") == Reach::local);
  CHECK(sqlite::reach_of(0x794C7630, "overlay") == Reach::local);
}
