// Key files on disks and with kernels that refuse: nothing half-made stays, and the error says what failed.
//
// This program's own fsync, write and so on stand in front of the C library's, and fail when they are told to.
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>

#include "support/canary.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/keyring.hpp"

namespace {

enum class Call : std::uint8_t { none, fsync, fchmod, fchown, fstat, write, read, poll, close, renameat2 };

/// What fails next, once: the call after `passed` of its kind.
struct Plan {
  Call call = Call::none;
  int error = 0;
  int passed = 0;
};
Plan plan;
std::atomic<int> happened{0};
std::atomic<int> closes{0};
std::atomic<bool> stays_open{false};  ///< a program that is started meanwhile inherits what was looked at
std::size_t most_at_once = 1 << 20;   ///< octets that one write takes

bool fails(Call call) noexcept {
  if (call != plan.call || plan.passed-- > 0) return false;
  errno = plan.error;
  plan.call = Call::none;
  ++happened;
  return true;
}

template <typename Function>
Function* next(Function*, const char* name) noexcept {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {
int fsync(int descriptor) {
  stays_open = stays_open || (::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) == 0;
  return fails(Call::fsync) ? -1 : next(&fsync, "fsync")(descriptor);
}
int fchmod(int descriptor, mode_t mode) noexcept {
  return fails(Call::fchmod) ? -1 : next(&fchmod, "fchmod")(descriptor, mode);
}
int fchown(int descriptor, uid_t user, gid_t group) noexcept {
  return fails(Call::fchown) ? -1 : next(&fchown, "fchown")(descriptor, user, group);
}
int fstat(int descriptor, struct stat* facts) noexcept {
  stays_open = stays_open || (::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) == 0;
  return fails(Call::fstat) ? -1 : next(&fstat, "fstat")(descriptor, facts);
}
ssize_t write(int descriptor, const void* data, size_t size) {
  return fails(Call::write) ? -1 : next(&write, "write")(descriptor, data, std::min(size, most_at_once));
}
ssize_t read(int descriptor, void* data, size_t size) {
  return fails(Call::read) ? -1 : next(&read, "read")(descriptor, data, size);
}
int poll(pollfd* waited, nfds_t count, int timeout) {
  // More than was given may lie behind it, and be no descriptor at all.
  if (count != 1) {
    errno = EINVAL;
    return -1;
  }
  return fails(Call::poll) ? -1 : next(&poll, "poll")(waited, count, timeout);
}
int close(int descriptor) {
  ++closes;
  const int closed = next(&close, "close")(descriptor);
  return fails(Call::close) ? -1 : closed;
}
int renameat2(int from_directory, const char* from, int to_directory, const char* to, unsigned flags) noexcept {
  return fails(Call::renameat2) ? -1 : next(&renameat2, "renameat2")(from_directory, from, to_directory, to, flags);
}
}

namespace tokenstore {
namespace {

const std::string hex = "f0e1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f";
const std::string good = "tokenstore keyring 1\n0B active " + hex + "\n";

/// Runs `work` while one call fails. The control: the call was really made.
template <typename Work>
auto with_failure(Call call, int error, int passed, const Work& work) {
  plan = {call, error, passed};
  happened = 0;
  auto answer = work();
  plan.call = Call::none;
  CHECK(happened == 1);
  return answer;
}

std::ptrdiff_t files_in(const test::TempDirectory& directory) {
  return std::distance(std::filesystem::directory_iterator(directory.path()), {});
}

template <typename T>
void check_refused(const Result<T>& result, const std::string& words) {
  REQUIRE(result.status() == Status::cannot_open);
  INFO(result.error().message());
  CHECK(result.error().message().find(words) != std::string::npos);
  CHECK(result.error().message().find('\n') == std::string::npos);
  CHECK_FALSE(test::leaks(result.error().message(), hex));
}

KeyFileTrust inherited() {
  KeyFileTrust trust;
  trust.inherited_descriptor = true;
  return trust;
}

std::string name_of(int descriptor) {
  return "/dev/fd/" + std::to_string(descriptor);
}

/// A pipe with a keyring's text in it.
struct Pipe {
  explicit Pipe(const std::string& text = good, int flags = 0) {
    REQUIRE(::pipe2(ends, flags) == 0);
    REQUIRE(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  ~Pipe() {
    ::close(ends[0]);
    end();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void end() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
  int ends[2] = {-1, -1};
};

TEST_CASE("a key file that the disk refuses leaves nothing behind, whatever fails") {
  const Keyring keyring = std::move(Keyring::from_text(good)).value();
  for (const Call call : {Call::fchmod, Call::write, Call::fsync, Call::close}) {
    const test::TempDirectory directory;
    const auto written =
        with_failure(call, ENOSPC, 0, [&] { return keyring.write_new_file(directory.file("store.key")); });
    INFO("call " << static_cast<int>(call));
    check_refused(written, "store.key cannot be created: No space left on device");
    CHECK(files_in(directory) == 0);
  }
}

TEST_CASE("a key file that cannot be given its name is not written") {
  const Keyring keyring = std::move(Keyring::from_text(good)).value();
  const test::TempDirectory directory;
  const auto written =
      with_failure(Call::renameat2, EIO, 0, [&] { return keyring.write_new_file(directory.file("store.key")); });
  check_refused(written, "store.key cannot be written: Input/output error");
  CHECK(files_in(directory) == 0);
}

TEST_CASE("a key file whose name cannot be made durable is taken back") {
  const Keyring keyring = std::move(Keyring::from_text(good)).value();
  const test::TempDirectory directory;
  // The first one is of the file, the second of its directory.
  const auto written =
      with_failure(Call::fsync, EIO, 1, [&] { return keyring.write_new_file(directory.file("store.key")); });
  check_refused(written, "store.key cannot be made durable: Input/output error");
  CHECK(files_in(directory) == 0);
}

TEST_CASE("a key file that cannot be given to its owner is not made, and one of root's own stays root's") {
  INFO("run this test as root: it gives files away");
  REQUIRE(::geteuid() == 0);
  const Keyring keyring = std::move(Keyring::from_text(good)).value();
  const test::TempDirectory directory;
  const std::string database = directory.file("tokens.db");
  REQUIRE(::mkdir(database.c_str(), 0700) == 0);
  const auto write = [&] { return keyring.write_new_file(directory.file("store.key"), database); };
  // Nothing is given away that is root's already.
  plan = {Call::fchown, EPERM, 0};
  happened = 0;
  CHECK(write().ok());
  CHECK(happened == 0);
  REQUIRE(::unlink(directory.file("store.key").c_str()) == 0);
  REQUIRE(::chown(database.c_str(), 4242, 4242) == 0);
  check_refused(with_failure(Call::fchown, EPERM, 0, write), "cannot be created: Operation not permitted");
  CHECK(files_in(directory) == 1);
}

TEST_CASE("a key file is written whole, by interrupted and by short writes") {
  const Keyring keyring = std::move(Keyring::from_text(good)).value();
  const test::TempDirectory directory;
  most_at_once = 7;
  const auto written =
      with_failure(Call::write, EINTR, 2, [&] { return keyring.write_new_file(directory.file("store.key")); });
  most_at_once = 1 << 20;
  REQUIRE(written.ok());
  CHECK(test::file_content(directory.file("store.key")) == good);
}

TEST_CASE("a key file that cannot be examined, or a descriptor that cannot be read, gives no key") {
  const test::TempDirectory directory;
  REQUIRE(std::move(Keyring::from_text(good)).value().write_new_file(directory.file("store.key")).ok());
  const auto read = [&] { return Keyring::from_file(directory.file("store.key")); };
  check_refused(with_failure(Call::fstat, EIO, 0, read), "cannot be examined: Input/output error");
  CHECK(read().ok());
  const int writable = ::open(directory.file("store.key").c_str(), O_WRONLY);
  REQUIRE(writable >= 0);
  check_refused(Keyring::from_file(name_of(writable), inherited()), "cannot be read: Bad file descriptor");
  ::close(writable);
  std::filesystem::create_symlink("loop", directory.file("loop"));
  check_refused(Keyring::from_file(directory.file("loop")), "cannot be opened: Too many levels of symbolic links");
}

TEST_CASE("a pipe is read on after an interruption, and waited for until there is more") {
  {
    Pipe pipe;
    pipe.end();
    CHECK(with_failure(Call::read, EINTR, 0, [&] {
            return Keyring::from_file(name_of(pipe.ends[0]), inherited());
          }).ok());
  }
  {
    Pipe pipe(good.substr(0, 20), O_NONBLOCK);
    happened = 0;  // before the writer looks
    std::thread writer([&] {
      // Not before the reader waits; at some time in any case.
      for (int tries = 0; happened == 0 && tries < 10'000; ++tries) ::usleep(1'000);
      CHECK(::write(pipe.ends[1], good.data() + 20, good.size() - 20) > 0);
      pipe.end();
    });
    // An interrupted wait is no end.
    const auto keyring =
        with_failure(Call::poll, EINTR, 0, [&] { return Keyring::from_file(name_of(pipe.ends[0]), inherited()); });
    writer.join();
    CHECK(keyring.ok());
  }
  {
    Pipe pipe(good.substr(0, 20), O_NONBLOCK);
    check_refused(
        with_failure(Call::poll, ENOMEM, 0, [&] { return Keyring::from_file(name_of(pipe.ends[0]), inherited()); }),
        "cannot be read: Cannot allocate memory");
  }
}

TEST_CASE("no program that is started meanwhile inherits a key file") {
  const test::TempDirectory directory;
  stays_open = false;
  REQUIRE(Keyring::from_text(good).value().write_new_file(directory.file("tokens.key")).ok());
  REQUIRE(Keyring::from_file(directory.file("tokens.key")).ok());
  CHECK_FALSE(stays_open);
  // The control: a descriptor that is handed over is meant to be.
  Pipe pipe;
  pipe.end();
  REQUIRE(Keyring::from_file(name_of(pipe.ends[0]), inherited()).ok());
  CHECK(stays_open);
}

TEST_CASE("what is opened for a key file is closed, and once: the number may be another's by then") {
  const test::TempDirectory directory;
  closes = 0;
  REQUIRE(Keyring::from_text(good).value().write_new_file(directory.file("tokens.key")).ok());
  const int to_write = closes;
  CHECK(to_write == 2);  // the file and its directory
  REQUIRE(Keyring::from_file(directory.file("tokens.key")).ok());
  CHECK(closes == to_write + 1);
  CHECK_FALSE(Keyring::from_file(directory.file("missing.key")).ok());
  CHECK(closes == to_write + 1);
}

TEST_CASE("a program without standard input reads and writes key files, and takes a key handed over in its place") {
  const test::TempDirectory directory;
  const int input = ::fcntl(0, F_DUPFD_CLOEXEC, 100);
  REQUIRE(input >= 0);
  ::close(0);
  const bool written = Keyring::from_text(good).value().write_new_file(directory.file("tokens.key")).ok();
  const bool closed = ::fcntl(0, F_GETFD) == -1;
  const bool read = Keyring::from_file(directory.file("tokens.key")).ok();
  const bool closed_again = ::fcntl(0, F_GETFD) == -1;
  // Only a descriptor that is read as it is can be one whose file was opened for nobody else.
  int ends[2];
  const bool piped = ::pipe(ends) == 0 && ends[0] == 0 &&
                     ::write(ends[1], good.data(), good.size()) == static_cast<ssize_t>(good.size());
  ::close(ends[1]);
  const bool handed_over = Keyring::from_file(name_of(0), inherited()).ok();
  REQUIRE(::dup2(input, 0) == 0);
  ::close(input);
  CHECK(written);
  CHECK(closed);
  CHECK(read);
  CHECK(closed_again);
  CHECK(piped);
  CHECK(handed_over);
}

TEST_CASE("a key file of the greatest size is read, and one octet more is refused") {
  const test::TempDirectory directory;
  const std::string path = directory.file("store.key");
  constexpr std::size_t most = 65'536;
  for (const std::size_t size : {most, most + 1, most + 2}) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    REQUIRE(file >= 0);
    const std::string text = good + "#" + std::string(size - good.size() - 2, ' ') + "\n";
    REQUIRE(::write(file, text.data(), text.size()) == static_cast<ssize_t>(size));
    ::close(file);
    const auto keyring = Keyring::from_file(path);
    INFO(size);
    CHECK(keyring.ok() == (size == most));
    if (!keyring.ok()) CHECK(keyring.error().message().find("longer than 65536 octets") != std::string::npos);
  }
}

}  // namespace
}  // namespace tokenstore
