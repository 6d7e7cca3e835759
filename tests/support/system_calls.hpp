/// What this program and the libraries in it ask the system to change on disk, to be watched and kept from happening;
/// and each moment at which somebody else could have changed it.
///
/// The functions of the same names in this program stand before the C library's. One watcher at a time; it is called by
/// whatever thread makes the call.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace tokenstore::test {

enum class Change : std::uint8_t {
  create,
  mode,
  write,
  truncate,
  sync,
  sync_directory,
  link,
  rename,
  exchange,
  remove
};

struct SystemCall {
  Change change;
  std::string path;  ///< absolute
  std::string to{};  ///< of link, rename and exchange
  off_t offset = 0;  ///< of truncate: the new size
  std::string_view data{};
};

/// What the watcher answers for the process to end there.
inline constexpr int ends_process = -1;
/// And how it ends then.
inline constexpr int ended_by_watcher = 99;

struct Watcher {
  /// Before the call: 0 lets it through, anything else is its error.
  std::function<int(const SystemCall&)> before{};
  /// After it, if it succeeded; with the data that was written.
  std::function<void(const SystemCall&)> after{};
  /// Half of what a write is kept from writing is written.
  bool halves_writes = false;
  /// Syncs are made, and not only told.
  bool syncs = true;
  /// Before any call that looks at files, opens, locks or maps one, wherever that lies.
  std::function<void()> any{};
};

/// Watches what happens under a directory for as long as it lives.
class Watch {
 public:
  Watch(std::string directory, Watcher watcher);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
};

}  // namespace tokenstore::test
