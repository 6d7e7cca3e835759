/// Whose a file may be: theirs who runs the program, and if that is root, theirs to whom a file or directory that is
/// named belongs. Any thread.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace tokenstore::base {

struct FileOwner {
  uid_t user = 0;
  gid_t group = 0;
};

/// Of what is named; empty unless root runs the program and it is there.
std::optional<FileOwner> owner_for_root(const std::string& named) noexcept;

/// What a user is told whose program is given the file of somebody else.
std::string belongs_to_another(uid_t user);

}  // namespace tokenstore::base
