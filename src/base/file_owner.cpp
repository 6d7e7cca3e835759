#include "base/file_owner.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tokenstore::base {

std::optional<FileOwner> owner_for_root(const std::string& named) noexcept {
  struct stat facts {};
  if (::geteuid() != 0 || named.empty() || ::stat(named.c_str(), &facts) != 0) return std::nullopt;
  return FileOwner{facts.st_uid, facts.st_gid};
}

std::string belongs_to_another(uid_t user) {
  return fmt::format("belongs to user {}, and this program runs as user {}; give the file to that user", user,
                     ::geteuid());
}

}  // namespace tokenstore::base
