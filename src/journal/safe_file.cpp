#include "journal/safe_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

#include "base/file.hpp"
#include "base/file_owner.hpp"
#include "base/text_rules.hpp"

namespace tokenstore::journal {

namespace {

/// Whoever writes holds the lock for one sync; a process that was stopped meanwhile must not stop everybody.
constexpr std::chrono::seconds longest_lock_wait{10};
constexpr std::chrono::microseconds shortest_pause{20};
constexpr std::chrono::microseconds longest_pause{1000};

Status status_of(int number) noexcept {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Status::storage_full;
    case EROFS:
      return Status::read_only;
    case EACCES:
    case EPERM:
    case ELOOP:
    case ENOTDIR:
      return Status::cannot_open;
    default:
      return Status::unavailable;
  }
}

/// Whose the journal is to be if root runs the program: nobody's but root's, unless something is named.
uid_t rightful_owner(const Whereabouts& where) noexcept {
  const auto owner = base::owner_for_root(where.owner_of);
  return owner ? owner->user : ::geteuid();
}

/// Why a file is not to be taken; empty if it is.
std::string objection(const struct stat& facts, const Whereabouts& where) {
  if (!S_ISREG(facts.st_mode)) return "is not a regular file; give another name";
  if (facts.st_uid != ::geteuid() && facts.st_uid != rightful_owner(where)) {
    return base::belongs_to_another(facts.st_uid);
  }
  if ((facts.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return fmt::format("is open to group or others (mode {:04o}); set its mode to 0600", facts.st_mode & 07777U);
  }
  return {};
}

int sync_content(int descriptor) noexcept {
  int result = 0;
  do {
    result = ::fdatasync(descriptor);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

int cut_and_sync(int descriptor, std::uint64_t size) noexcept {
  if (::ftruncate(descriptor, static_cast<off_t>(size)) != 0) return errno;
  return sync_content(descriptor);
}

/// 0, or the error's number.
int write_at(int descriptor, std::uint64_t at, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::pwrite(descriptor, text.data(), text.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
    at += static_cast<std::uint64_t>(written);
  }
  return 0;
}

/// False: somebody else kept it until the end of the wait. An error's number in `number` if it cannot be locked at all.
bool lock(int descriptor, int& number) noexcept {
  const auto give_up_at = std::chrono::steady_clock::now() + longest_lock_wait;
  auto pause = shortest_pause;
  for (;;) {
    number = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    if (number == 0) return true;
    if (number == EINTR) continue;
    if (number != EWOULDBLOCK) return false;
    if (std::chrono::steady_clock::now() >= give_up_at) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, longest_pause);
  }
}

}  // namespace

Error journal_error(Status status, const std::string& path, std::string_view why) {
  return {status, fmt::format("the journal {} {}", base::on_one_line(path), why)};
}

Error failed_call(const std::string& path, std::string_view act, int number) {
  return journal_error(status_of(number), path,
                       fmt::format("cannot be {}: {}", act, std::generic_category().message(number)));
}

SafeFile::~SafeFile() {
  if (descriptor_ < 0) return;
  // Said outright: a child forked meanwhile has a copy of the descriptor, and would keep the lock.
  ::flock(descriptor_, LOCK_UN);
  ::close(descriptor_);
}

Result<SafeFile> SafeFile::open(const Whereabouts& where) {
  SafeFile file;
  const int access = where.read_only ? O_RDONLY : O_RDWR;
  // O_NONBLOCK: not to wait for a writer, should somebody have put a FIFO there.
  file.descriptor_ = ::open(where.path.c_str(), access | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file.descriptor_ < 0) {
    if (errno == ENOENT) {
      return journal_error(Status::not_found, where.path, "is missing; put it back");
    }
    if (errno == ELOOP) {
      return journal_error(Status::cannot_open, where.path, "is a symbolic link; give the file itself");
    }
    return failed_call(where.path, "opened", errno);
  }
  struct stat facts {};
  if (::fstat(file.descriptor_, &facts) != 0) return failed_call(where.path, "examined", errno);
  if (const std::string why = objection(facts, where); !why.empty()) {
    return journal_error(Status::cannot_open, where.path, why);
  }
  file.identity_ = {facts.st_dev, facts.st_ino};
  return file;
}

Result<SafeFile> SafeFile::open_locked(const Whereabouts& where) {
  for (;;) {
    auto file = open(where);
    if (!file.ok()) return file;
    int number = 0;
    if (!lock(file->descriptor_, number)) {
      if (number != EWOULDBLOCK) return failed_call(where.path, "locked", number);
      return journal_error(Status::unavailable, where.path,
                           "is held by another process for too long; look for one that hangs");
    }
    // Whoever held the lock may have begun a new segment, and the path leads there by now.
    const auto named = facts_of(where.path);
    if (!named.ok()) return named.error();
    if (named->identity == file->identity_) return file;
  }
}

Result<bool> SafeFile::share(const std::string& path) {
  while (::flock(descriptor_, LOCK_SH | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return failed_call(path, "locked", errno);
  }
  const auto named = facts_of(path);
  if (!named.ok()) return named.error();
  return named->identity == identity_;
}

Result<SafeFile> SafeFile::create(const Whereabouts& where, const std::string& name) {
  SafeFile file;
  file.descriptor_ = ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file.descriptor_ < 0) return failed_call(where.path, "created", errno);
  const auto give_up = [&](int number) {
    ::unlink(name.c_str());
    return failed_call(where.path, "created", number);
  };
  // The umask may have taken away the owner's own permission.
  if (::fchmod(file.descriptor_, S_IRUSR | S_IWUSR) != 0) return give_up(errno);
  const uid_t owner = rightful_owner(where);
  if (owner != ::geteuid() && ::fchown(file.descriptor_, owner, static_cast<gid_t>(-1)) != 0) return give_up(errno);
  struct stat facts {};
  if (::fstat(file.descriptor_, &facts) != 0) return give_up(errno);
  file.identity_ = {facts.st_dev, facts.st_ino};
  return file;
}

Result<std::uint64_t> SafeFile::size(const std::string& path) const {
  struct stat facts {};
  if (::fstat(descriptor_, &facts) != 0) return failed_call(path, "examined", errno);
  return static_cast<std::uint64_t>(facts.st_size);
}

Result<std::size_t> SafeFile::read(const std::string& path, std::uint64_t from, std::span<char> buffer) const {
  std::size_t got = 0;
  if (const int number = base::read_at(descriptor_, from, buffer, got); number != 0) {
    return failed_call(path, "read", number);
  }
  return got;
}

Result<void> SafeFile::write(const std::string& path, std::uint64_t at, std::string_view text) {
  int number = write_at(descriptor_, at, text);
  if (number == 0) number = sync_content(descriptor_);
  if (number == 0) return {};
  return failed_call(path, "written", number);
}

Result<void> SafeFile::append(const std::string& path, std::uint64_t at, std::string_view text) {
  const int unwritten = write_at(descriptor_, at, text);
  const int unsynced = unwritten == 0 ? sync_content(descriptor_) : 0;
  if (unwritten == 0 && unsynced == 0) return {};
  const int uncut = cut_and_sync(descriptor_, at);
  // A part is as good as nothing; but all of it would be taken for what was written.
  if (unwritten != 0 || uncut == 0) return failed_call(path, "written", unwritten + unsynced);
  return journal_error(Status::unknown, path,
                       fmt::format("may or may not keep what was written last: {}; mend the disk, and do it again",
                                   std::generic_category().message(unsynced)));
}

Result<void> SafeFile::sync(const std::string& path) {
  if (const int number = sync_content(descriptor_); number != 0) return failed_call(path, "made durable", number);
  return {};
}

Result<void> SafeFile::cut(const std::string& path, std::uint64_t size) {
  if (const int number = cut_and_sync(descriptor_, size); number != 0) return failed_call(path, "written", number);
  return {};
}

Result<FileFacts> facts_of(const std::string& path) {
  struct stat facts {};
  if (::lstat(path.c_str(), &facts) != 0) {
    if (errno == ENOENT) return journal_error(Status::not_found, path, "is missing; put it back");
    return failed_call(path, "examined", errno);
  }
  return FileFacts{{facts.st_dev, facts.st_ino}, static_cast<std::uint64_t>(facts.st_size)};
}

}  // namespace tokenstore::journal
