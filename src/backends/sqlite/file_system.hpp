/// What the kernel says about the file system that a file lies on. Stateless; any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <istream>
#include <string>
#include <string_view>

namespace tokenstore::sqlite {

/// From where else the files of a file system can be opened. SQLite's locks and shared memory hold on one machine, and
/// in WAL mode it relies on both.
enum class Reach : std::uint8_t {
  local,
  network,
  shared_folder,  ///< a virtual machine's, whose other side is its host
};

/// Of a file system of this statfs() type, mounted under this name ("ext4", "fuse.sshfs").
Reach reach_of(long type, std::string_view name) noexcept;

/// The name under which the file system of a device is mounted; empty if unknown.
std::string mounted_as(dev_t device);

/// Whether something is mounted on this path: absolute, without symbolic links.
bool is_mount_point(const std::string& path);
/// The same, as the lines of mountinfo (proc(5)) say.
bool is_mount_point_in(std::istream& mountinfo, std::string_view path);

}  // namespace tokenstore::sqlite
