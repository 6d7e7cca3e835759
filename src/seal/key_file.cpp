// Key files: which of them keys are taken from, and reading them.
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <system_error>

#include "base/file.hpp"
#include "base/file_owner.hpp"
#include "base/text_rules.hpp"
#include "base/wipe.hpp"
#include "seal/key_file_parts.hpp"
#include "tokenstore/keyring.hpp"

namespace tokenstore {
namespace {

// ---- Which files ---------------------------------------------------------------------------------------------

/// Whether root may take this file because it belongs to the owner of what `trust` names.
bool is_the_owners(const struct stat& facts, const KeyFileTrust& trust) noexcept {
  const auto owner = base::owner_for_root(trust.owner_of);
  return owner && owner->user == facts.st_uid;
}

/// Why a file is not safe to take keys from; empty if it is.
std::string unsafe(const struct stat& facts, const KeyFileTrust& trust) {
  if (!S_ISREG(facts.st_mode)) {
    return S_ISFIFO(facts.st_mode) || S_ISSOCK(facts.st_mode)
               ? "is not a regular file; give the file itself, or allow inherited-descriptor for a /dev/fd/N"
               : "is not a regular file; give the file itself";
  }
  const bool of_root = facts.st_uid == 0;
  if (facts.st_uid != ::geteuid() && !of_root && !is_the_owners(facts, trust)) {
    return base::belongs_to_another(facts.st_uid);
  }
  const mode_t open_to_others = facts.st_mode & (S_IRWXG | S_IRWXO);
  constexpr mode_t readable = S_IRGRP | S_IROTH;
  mode_t allowed = 0;
  if (of_root && trust.group_readable_of_root) allowed |= S_IRGRP;
  if (of_root && trust.world_readable_of_root) allowed |= readable;
  if ((open_to_others & ~allowed) == 0) return {};
  constexpr std::string_view strict = "set its mode to 0600";
  if (of_root && open_to_others == S_IRGRP) {
    return fmt::format(
        "can be read by group {}; {}, or allow group-readable-of-root if a container or a service "
        "manager has put it there",
        facts.st_gid, strict);
  }
  if (of_root && (open_to_others & ~readable) == 0) {
    return fmt::format(
        "can be read by every user; {}, or allow world-readable-of-root if nobody else is in this "
        "container",
        strict);
  }
  return fmt::format("is open to group or others (mode {:04o}); {}", facts.st_mode & 07777U, strict);
}

/// The file cannot be opened: why, and whose it is.
Error cannot_open(const std::string& path, int number) {
  struct stat facts {};
  if (number == ENOENT && ::lstat(path.c_str(), &facts) == 0) {
    return key_file::refused(path, "is a symbolic link that leads nowhere; correct it, or give the file itself");
  }
  if (number == ENOENT) {
    return Error(Status::wrong_key,
                 fmt::format("the key file {} is missing; restore it from a backup", base::on_one_line(path)));
  }
  if (number == EACCES && ::stat(path.c_str(), &facts) == 0) {
    return key_file::refused(
        path, fmt::format("belongs to user {} (mode {:04o}), and user {}, who runs this program, may not "
                          "read it; give the file to that user",
                          facts.st_uid, facts.st_mode & 07777U, ::geteuid()));
  }
  if (number == EACCES) {
    return key_file::refused(
        path, fmt::format("lies in a directory that user {}, who runs this program, may not enter; change "
                          "the directory's rights",
                          ::geteuid()));
  }
  return key_file::cannot("opened", path, number);
}

/// N of /dev/fd/N or /proc/self/fd/N.
std::optional<int> descriptor_named(std::string_view path) noexcept {
  for (const std::string_view place : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(place)) continue;
    const std::string_view number = path.substr(place.size());
    int descriptor = -1;
    const auto [end, failed] = std::from_chars(number.data(), number.data() + number.size(), descriptor);
    if (failed == std::errc() && end == number.data() + number.size() && descriptor >= 0) return descriptor;
  }
  return std::nullopt;
}

// ---- Reading -------------------------------------------------------------------------------------------------

/// The next octets: 0 at the end, -1 and errno on failure. A file is read from its beginning whatever its position,
/// which others may share; a pipe is waited for.
ssize_t read_some(int descriptor, bool regular, std::size_t from, std::span<char> buffer) noexcept {
  for (;;) {
    const ssize_t got = regular ? ::pread(descriptor, buffer.data(), buffer.size(), static_cast<off_t>(from))
                                : ::read(descriptor, buffer.data(), buffer.size());
    if (got >= 0 || (errno != EINTR && errno != EAGAIN)) return got;
    if (errno == EAGAIN) {
      pollfd waited{descriptor, POLLIN, 0};
      if (::poll(&waited, 1, -1) < 0 && errno != EINTR) return -1;
    }
  }
}

Result<Keyring> read_keyring(int descriptor, bool regular, const std::string& path) {
  std::string text(key_file::file_size_max + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read_some(descriptor, regular, size, std::span(text).subspan(size));
    if (got < 0) {
      const int number = errno;
      base::wipe(text);
      return key_file::cannot("read", path, number);
    }
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size == 0) {
    return Error(Status::wrong_key,
                 fmt::format("the key file {} is empty{}", base::on_one_line(path),
                             regular ? "; restore it from a backup" : "; a pipe can be read only once"));
  }
  Result<Keyring> keyring = size > key_file::file_size_max
                                ? Result<Keyring>(Error(Status::wrong_key, fmt::format("it is longer than {} octets",
                                                                                       key_file::file_size_max)))
                                : Keyring::from_text(std::string_view(text).substr(0, size));
  base::wipe(text);
  if (!keyring) {
    return Error(keyring.error().status(),
                 fmt::format("the key file {} is malformed: {}", base::on_one_line(path), keyring.error().message()));
  }
  return keyring;
}

/// Whoever handed the descriptor over vouches for it: neither owner nor mode is looked at. It stays open.
Result<Keyring> read_inherited(int descriptor, const std::string& path) {
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0)
    return key_file::refused(path, "is not open in this program; hand the descriptor over");
  const bool regular = S_ISREG(facts.st_mode);
  if (!regular && !S_ISFIFO(facts.st_mode) && !S_ISSOCK(facts.st_mode)) {
    return key_file::refused(path, "is neither a file nor a pipe; hand over one of them");
  }
  return read_keyring(descriptor, regular, path);
}

}  // namespace

Result<Keyring> Keyring::from_file(const std::string& path, const KeyFileTrust& trust) {
  if (trust.inherited_descriptor) {
    if (const std::optional<int> descriptor = descriptor_named(path)) return read_inherited(*descriptor, path);
  }
  // Links are followed: what counts is what was opened. O_NONBLOCK: opening a named pipe must not wait for a writer.
  const base::File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.is_open()) return cannot_open(path, errno);
  struct stat facts {};
  if (::fstat(file.descriptor(), &facts) != 0) return key_file::cannot("examined", path, errno);
  if (const std::string why = unsafe(facts, trust); !why.empty()) return key_file::refused(path, why);
  return read_keyring(file.descriptor(), true, path);
}

Result<Keyring> Keyring::from_credential(std::string_view name) {
  if (name.empty() || name.size() > 255 || name == "." || name == ".." ||
      name.find_first_of(std::string_view("/:\0", 3)) != std::string_view::npos) {
    return Error(Status::invalid_argument,
                 "the name of the credential is malformed; give the one that LoadCredential= has before its colon");
  }
  const char* directory = ::secure_getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr || directory[0] != '/') {
    return Error(Status::wrong_key,
                 fmt::format("there is no credential {}: CREDENTIALS_DIRECTORY is not set; start the program by a "
                             "systemd unit with LoadCredential={}:PATH",
                             base::on_one_line(name), base::on_one_line(name)));
  }
  // A file of root's with an entry for the service's user in its access list, which its mode shows as the group's.
  KeyFileTrust laid_out_by_systemd;
  laid_out_by_systemd.group_readable_of_root = true;
  return from_file(fmt::format("{}/{}", directory, name), laid_out_by_systemd);
}

}  // namespace tokenstore
