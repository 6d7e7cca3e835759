#include "base/file.hpp"

#include <sys/types.h>

namespace tokenstore::base {

int write_all(int file, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

int read_at(int file, std::uint64_t from, std::span<char> buffer, std::size_t& got) noexcept {
  for (got = 0; got < buffer.size();) {
    const ssize_t more = ::pread(file, buffer.data() + got, buffer.size() - got, static_cast<off_t>(from + got));
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) return errno;
    if (more == 0) break;
    got += static_cast<std::size_t>(more);
  }
  return 0;
}

}  // namespace tokenstore::base
