#include "backends/sqlite/acting_owner.hpp"

#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tokenstore::sqlite {

ActingOwner::ActingOwner(const std::string& of) noexcept {
  struct stat owned {};
  if (::geteuid() != 0 || ::stat(of.c_str(), &owned) != 0 || owned.st_uid == 0) return;
  // Both return what was there before, whether or not they could change it.
  group_ = static_cast<gid_t>(::setfsgid(owned.st_gid));
  user_ = static_cast<uid_t>(::setfsuid(owned.st_uid));
  acting_ = true;
}

ActingOwner::~ActingOwner() {
  if (!acting_) return;
  ::setfsuid(user_);
  ::setfsgid(group_);
}

}  // namespace tokenstore::sqlite
