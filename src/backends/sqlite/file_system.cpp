#include "backends/sqlite/file_system.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <fstream>

namespace tokenstore::sqlite {
namespace {

bool is_octal(char c) noexcept {
  return c >= '0' && c <= '7';
}

/// A path as mountinfo writes it: blank, tab, line feed and backslash as three octal digits.
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

bool begins_with_one_of(std::string_view name, const auto& names) noexcept {
  return std::any_of(names.begin(), names.end(), [name](std::string_view each) { return name.starts_with(each); });
}

}  // namespace

/// The name under which the file system of a device is mounted ("ext4", "fuse.sshfs"); empty if unknown.
std::string mounted_as(dev_t device) {
  std::ifstream mounts("/proc/self/mountinfo");
  const std::string wanted = fmt::format(" {}:{} ", major(device), minor(device));
  for (std::string line; std::getline(mounts, line);) {
    const std::size_t dash = line.find(" - ");
    const std::size_t found = line.find(wanted);
    if (dash == std::string::npos || found == std::string::npos || found > dash) continue;
    return line.substr(dash + 3, line.find(' ', dash + 3) - dash - 3);
  }
  return {};
}

bool is_mount_point_in(std::istream& mountinfo, std::string_view path) {
  // "36 35 98:0 /root /mount/point options ..."
  for (std::string line; std::getline(mountinfo, line);) {
    std::size_t at = 0;
    for (int field = 0; field < 4 && at != std::string::npos; ++field) {
      at = line.find(' ', at);
      if (at != std::string::npos) ++at;
    }
    if (at == std::string::npos) continue;
    if (unescaped(std::string_view(line).substr(at, line.find(' ', at) - at)) == path) return true;
  }
  return false;
}

bool is_mount_point(const std::string& path) {
  // Not by comparing devices: a bind mount of the same device has the same, and in an overlay a file has another than
  // its directory.
  struct statx facts {};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &facts) == 0 &&
      (facts.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0) {
    return (facts.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  }
  std::ifstream mounts("/proc/self/mountinfo");  // a kernel before 5.8
  return is_mount_point_in(mounts, path);
}

Reach reach_of(long type, std::string_view name) noexcept {
  // statfs(2) types.
  static constexpr std::array<unsigned long, 11> network_types = {
      0x6969,      // NFS
      0x517B,      // SMB
      0xFF534D42,  // CIFS
      0xFE534D42,  // SMB2
      0x5346414F,  // AFS
      0x6B414653,  // kAFS
      0x73757245,  // Coda
      0x00C36400,  // Ceph
      0x0BD00BD0,  // Lustre
      0x47504653,  // GPFS
      0x19830326,  // BeeGFS
  };
  static constexpr std::array<unsigned long, 3> shared_types = {
      0x01021997,  // 9p: QEMU, WSL
      0x786F4256,  // vboxsf: VirtualBox
      0xBACBACBC,  // vmhgfs: VMware, as a kernel module
  };
  // FUSE carries local file systems too (ntfs-3g, encfs, containers' fuse-overlayfs), so only those that are clearly
  // reached over a network or shared with a host are refused. virtiofs has the type of FUSE as well.
  static constexpr std::array<std::string_view, 14> network_names = {
      "fuse.sshfs",     "fuse.glusterfs", "fuse.s3fs",    "fuse.rclone", "fuse.gcsfuse", "fuse.blobfuse", "fuse.davfs",
      "fuse.curlftpfs", "fuse.juicefs",   "fuse.moosefs", "fuse.mfs",    "fuse.ceph",    "fuse.goofys",   "fuse.nfs"};
  static constexpr std::array<std::string_view, 12> shared_names = {
      "virtiofs",       // QEMU, Kata, Docker Desktop, Lima
      "9p",             // QEMU, WSL 2
      "drvfs",          // WSL 1
      "vboxsf",         // VirtualBox
      "prl_fs",         // Parallels
      "fuse.prl",       // Parallels
      "vmhgfs",         // VMware
      "fuse.vmhgfs",    // VMware: fuse.vmhgfs-fuse
      "fuse.grpcfuse",  // Docker Desktop
      "grpcfuse",       // Docker Desktop
      "fuse.osxfs",     // Docker Desktop, older
      "fakeowner",      // Docker Desktop, over one of the others
  };
  const unsigned long wanted = static_cast<unsigned long>(type) & 0xFFFFFFFFUL;
  const auto is_of = [wanted](const auto& types) {
    return std::find(types.begin(), types.end(), wanted) != types.end();
  };
  if (is_of(shared_types) || begins_with_one_of(name, shared_names)) return Reach::shared_folder;
  if (is_of(network_types) || begins_with_one_of(name, network_names)) return Reach::network;
  return Reach::local;
}

}  // namespace tokenstore::sqlite
