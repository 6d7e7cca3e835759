// Key files: writing a new one, and replacing one by what somebody has changed.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <system_error>

#include "base/file.hpp"
#include "base/file_owner.hpp"
#include "base/new_file.hpp"
#include "base/temporary_file.hpp"
#include "base/text_rules.hpp"
#include "base/wipe.hpp"
#include "seal/key_file_lock.hpp"
#include "seal/key_file_parts.hpp"
#include "seal/key_file_replacing.hpp"
#include "tokenstore/keyring.hpp"

namespace tokenstore {

namespace key_file {

Error refused(const std::string& path, std::string_view why) {
  return Error(Status::cannot_open, fmt::format("the key file {} {}", base::on_one_line(path), why));
}

Error cannot(std::string_view act, const std::string& path, int number) {
  return refused(path, fmt::format("cannot be {}: {}", act, std::generic_category().message(number)));
}

}  // namespace key_file

namespace {

std::span<const std::uint8_t> octets_in(const SecretText& text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.reveal().data()), text.size()};
}

Error too_large(const std::string& path) {
  return key_file::refused(path, "would be too large to be read again; remove keys that nothing hangs on first");
}

/// Whose a new file is to be, and who may read it. The defaults: nobody but who makes it.
struct Rights {
  std::optional<uid_t> user;
  gid_t group = 0;
  mode_t mode = S_IRUSR | S_IWUSR;
};

/// Of what belongs to the owner of another file, if root makes it.
Rights rights_like(const std::string& owner_of) noexcept {
  Rights rights;
  if (const auto owner = base::owner_for_root(owner_of); owner && owner->user != 0) {
    rights.user = owner->user;
    rights.group = owner->group;
  }
  return rights;
}

/// Makes a file that was not there, closed to others, with this text, durable. 0, or the error's number.
int write_new(const std::string& path, std::string_view text, const Rights& rights) noexcept {
  base::File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file.is_open()) return errno;
  int failed = 0;
  // The umask may have taken away the owner's own permission.
  if (::fchmod(file.descriptor(), S_IRUSR | S_IWUSR) != 0) failed = errno;
  if (failed == 0) failed = base::write_all(file.descriptor(), text);
  if (failed == 0 && rights.user && ::fchown(file.descriptor(), *rights.user, rights.group) != 0) failed = errno;
  if (failed == 0 && rights.mode != (S_IRUSR | S_IWUSR) && ::fchmod(file.descriptor(), rights.mode) != 0) {
    failed = errno;
  }
  if (failed == 0 && ::fsync(file.descriptor()) != 0) failed = errno;
  if (const int closed = file.close(); failed == 0) failed = closed;
  if (failed != 0) ::unlink(path.c_str());
  return failed;
}

/// The file itself, where the path leads to it by links; the path if it leads nowhere.
std::string followed(const std::string& path) {
  std::array<char, PATH_MAX> resolved;
  if (::realpath(path.c_str(), resolved.data()) == nullptr) return path;
  return resolved.data();
}

/// Puts a text in the place of a file, by the one step of a rename: whoever reads it sees all of the old or all of the
/// new, also after a crash.
Result<void> put_over(const std::string& path, std::string_view text) {
  struct stat old {};
  if (::stat(path.c_str(), &old) != 0) return key_file::cannot("examined", path, errno);
  // Else the new file would be somebody else's, and refused by those who read it.
  if (::geteuid() != 0 && old.st_uid != ::geteuid()) {
    return key_file::refused(path,
                             fmt::format("belongs to user {}, and user {}, who runs this program, cannot replace it "
                                         "by one like it; change the keys as its owner or as root",
                                         old.st_uid, ::geteuid()));
  }
  Rights rights;
  rights.user = old.st_uid;
  rights.group = old.st_gid;
  rights.mode = old.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO);
  // One name, and the lock is had: what is there was left by somebody who was killed.
  const std::string aside = path + ".new";
  ::unlink(aside.c_str());
  if (const int failed = write_new(aside, text, rights); failed != 0) {
    return key_file::cannot("replaced by one beside it", path, failed);
  }
  if (std::rename(aside.c_str(), path.c_str()) != 0) {
    const int number = errno;
    ::unlink(aside.c_str());
    return key_file::cannot("replaced", path, number);
  }
  // It is in place, but after a power cut the old one may be there again.
  if (const int failed = base::sync_directory_of(path); failed != 0) {
    return Error(Status::unknown, fmt::format("the key file {} was replaced and may be the old one again after a power "
                                              "cut: {}; read it",
                                              base::on_one_line(path), std::generic_category().message(failed)));
  }
  return {};
}

}  // namespace

Result<void> key_file::replace(const std::string& path, const KeyFileTrust& trust,
                               const std::function<Result<void>(Keyring&)>& change) {
  // Whoever was faster has put another file there.
  constexpr int most_attempts = 1000;
  const std::string file = followed(path);
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const seal::KeyFileLock lock(file, seal::KeyFileLock::Mode::exclusive);
    if (!lock.current()) {
      if (::access(file.c_str(), F_OK) == 0 || errno != ENOENT) continue;
      if (const auto missing = Keyring::from_file(file, trust); !missing) return missing.error();
      continue;
    }
    auto keyring = Keyring::from_file(file, trust);
    if (!keyring) return keyring.error();
    if (!lock.exclusive()) return refused(path, "cannot be locked, so it cannot be changed safely; edit a copy of it");
    const SecretText before = keyring->reveal_text();
    if (auto changed = change(*keyring); !changed) return changed;
    const SecretText text = keyring->reveal_text();
    if (base::equal_constant_time(octets_in(text), octets_in(before))) return {};
    if (text.size() > file_size_max) return too_large(path);
    return put_over(file, text.reveal());
  }
  return Error(Status::conflict, "other processes keep changing the key file; try again");
}

Result<void> Keyring::write_new_file(const std::string& path, const std::string& owner_of) const {
  // Written aside, then put in place: a crash leaves the whole file or none, and nothing is ever replaced.
  const SecretText text = reveal_text();
  if (text.size() > key_file::file_size_max) return too_large(path);
  const Rights rights = rights_like(owner_of);
  int failed = 0;
  {
    const base::TemporaryFile aside(path);
    failed = write_new(aside.path(), text.reveal(), rights);
    if (failed != 0) return key_file::cannot("created", path, failed);
    failed = base::put_in_place(aside.path(), path);
    // A file system that can do neither: still nothing is replaced, but a crash may leave a file that was cut off.
    if (failed == EOPNOTSUPP) failed = write_new(path, text.reveal(), rights);
  }
  if (failed == EEXIST) {
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0) {
      return key_file::refused(path, "is a symbolic link that leads nowhere; remove it or give another name");
    }
    return key_file::refused(path, "exists already; move it away or give another name");
  }
  if (failed != 0) return key_file::cannot("written", path, failed);
  failed = base::sync_directory_of(path);
  if (failed != 0) {
    ::unlink(path.c_str());
    return key_file::cannot("made durable", path, failed);
  }
  return {};
}

}  // namespace tokenstore
