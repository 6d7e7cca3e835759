#include "support/system_calls.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <optional>

namespace tokenstore::test {
namespace {

std::string watched_directory;
Watcher* watching = nullptr;

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

/// Somebody else's moment. What they call themselves is none.
void let_others() {
  thread_local bool is_theirs = false;
  if (watching == nullptr || !watching->any || is_theirs) return;
  const int code = errno;
  is_theirs = true;
  watching->any();
  is_theirs = false;
  errno = code;
}

bool is_watched(std::string_view path) {
  return watching != nullptr && path.starts_with(watched_directory);
}

/// The path of an open file; empty if it has none any more.
std::string path_of(int file) {
  std::array<char, 4096> target{};
  const ssize_t size = ::readlink(("/proc/self/fd/" + std::to_string(file)).c_str(), target.data(), target.size());
  const std::string path(target.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  return path.ends_with(" (deleted)") ? std::string() : path;
}

/// Makes the call unless the watcher is against it; `half` is what may be done of it then.
template <typename Result, typename Make, typename Half = void (*)()>
Result watched(
    SystemCall call, Make make, Half half = [] {}) {
  if (!is_watched(call.path)) return make();
  if (watching->before) {
    if (const int code = watching->before(call); code != 0) {
      if (watching->halves_writes) half();
      if (code == ends_process) ::_exit(ended_by_watcher);
      errno = code;
      return -1;
    }
  }
  const Result result = make();
  if (result >= 0 && watching->after) {
    const int code = errno;
    if (call.change == Change::write) call.data = call.data.substr(0, static_cast<std::size_t>(result));
    watching->after(call);
    errno = code;
  }
  return result;
}

template <typename Open>
int watched_open(const char* path, int flags, Open open) {
  let_others();
  struct stat facts {};
  if ((flags & O_CREAT) == 0 || !is_watched(path) || ::stat(path, &facts) == 0) return open();
  return watched<int>({Change::create, path}, open);
}

/// `write` writes as much of it as it is told.
template <typename Write>
ssize_t watched_write(int file, const void* data, std::size_t size, std::optional<off_t> offset, Write write) {
  if (watching == nullptr) return write(size);
  const off_t at = offset ? *offset : ::lseek(file, 0, SEEK_CUR);
  return watched<ssize_t>(
      {Change::write, path_of(file), {}, at, {static_cast<const char*>(data), size}}, [&] { return write(size); },
      [&] { static_cast<void>(write(size / 2)); });
}

template <typename Sync>
int watched_sync(int file, Sync sync) {
  if (watching == nullptr) return sync();
  struct stat facts {};
  const bool directory = ::fstat(file, &facts) == 0 && S_ISDIR(facts.st_mode);
  const std::string path = path_of(file);
  return watched<int>({directory ? Change::sync_directory : Change::sync, directory ? path + "/" : path},
                      [&] { return watching->syncs ? sync() : 0; });
}

}  // namespace

Watch::Watch(std::string directory, Watcher watcher) {
  watched_directory = std::move(directory) + "/";
  static Watcher kept;
  kept = std::move(watcher);
  watching = &kept;
}

Watch::~Watch() {
  watching = nullptr;
}

}  // namespace tokenstore::test

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's own have reserved names
using namespace tokenstore::test;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  static auto* const call = real<int(const char*, int, ...)>("open");
  return watched_open(path, flags, [&] { return call(path, flags, mode); });
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  static auto* const call = real<int(const char*, int, ...)>("open64");
  return watched_open(path, flags, [&] { return call(path, flags, mode); });
}

ssize_t write(int file, const void* data, size_t size) {
  static auto* const call = real<ssize_t(int, const void*, size_t)>("write");
  return watched_write(file, data, size, {}, [&](std::size_t part) { return call(file, data, part); });
}

ssize_t pwrite(int file, const void* data, size_t size, off_t offset) {
  static auto* const call = real<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  return watched_write(file, data, size, offset, [&](std::size_t part) { return call(file, data, part, offset); });
}

ssize_t pwrite64(int file, const void* data, size_t size, off64_t offset) {
  static auto* const call = real<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  return watched_write(file, data, size, offset, [&](std::size_t part) { return call(file, data, part, offset); });
}

int ftruncate(int file, off_t size) noexcept {
  static auto* const call = real<int(int, off_t)>("ftruncate");
  return watched<int>({Change::truncate, path_of(file), {}, size}, [&] { return call(file, size); });
}

int ftruncate64(int file, off64_t size) noexcept {
  static auto* const call = real<int(int, off64_t)>("ftruncate64");
  return watched<int>({Change::truncate, path_of(file), {}, size}, [&] { return call(file, size); });
}

int fsync(int file) {
  static auto* const call = real<int(int)>("fsync");
  return watched_sync(file, [&] { return call(file); });
}

int fdatasync(int file) {
  static auto* const call = real<int(int)>("fdatasync");
  return watched_sync(file, [&] { return call(file); });
}

int fchmod(int file, mode_t mode) noexcept {
  static auto* const call = real<int(int, mode_t)>("fchmod");
  if (watching == nullptr) return call(file, mode);
  return watched<int>({Change::mode, path_of(file)}, [&] { return call(file, mode); });
}

int link(const char* from, const char* to) noexcept {
  static auto* const call = real<int(const char*, const char*)>("link");
  return watched<int>({Change::link, from, to}, [&] { return call(from, to); });
}

int rename(const char* from, const char* to) noexcept {
  static auto* const call = real<int(const char*, const char*)>("rename");
  return watched<int>({Change::rename, from, to}, [&] { return call(from, to); });
}

int renameat2(int from_directory, const char* from, int to_directory, const char* to, unsigned flags) noexcept {
  static auto* const call = real<int(int, const char*, int, const char*, unsigned)>("renameat2");
  const Change change = (flags & RENAME_EXCHANGE) != 0 ? Change::exchange : Change::rename;
  return watched<int>({change, from, to}, [&] { return call(from_directory, from, to_directory, to, flags); });
}

int fcntl64(int file, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  static auto* const call = real<int(int, int, ...)>("fcntl64");
  let_others();
  return call(file, command, argument);
}

int stat64(const char* path, struct stat64* facts) noexcept {
  static auto* const call = real<int(const char*, struct stat64*)>("stat64");
  let_others();
  return call(path, facts);
}

int fstat64(int file, struct stat64* facts) noexcept {
  static auto* const call = real<int(int, struct stat64*)>("fstat64");
  let_others();
  return call(file, facts);
}

int statx(int directory, const char* path, int flags, unsigned mask, struct statx* facts) noexcept {
  static auto* const call = real<int(int, const char*, int, unsigned, struct statx*)>("statx");
  let_others();
  return call(directory, path, flags, mask, facts);
}

void* mmap64(void* address, size_t size, int protection, int flags, int file, off64_t offset) noexcept {
  static auto* const call = real<void*(void*, size_t, int, int, int, off64_t)>("mmap64");
  let_others();
  return call(address, size, protection, flags, file, offset);
}

int unlink(const char* path) noexcept {
  static auto* const call = real<int(const char*)>("unlink");
  return watched<int>({Change::remove, path}, [&] { return call(path); });
}

}  // extern "C"
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
