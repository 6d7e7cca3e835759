/// A file under a name of its own beside another, until it is given that one's place. One thread.
///
/// It is of mode 0600 from its first moment, whatever the umask, and removed with all that SQLite puts beside it
/// unless it was kept. A process that is killed leaves it: "<path>.new-<16 digits>".
#pragma once

#include <array>
#include <string>

namespace tokenstore::base {

class TemporaryFile {
 public:
  /// Nothing is made yet.
  explicit TemporaryFile(const std::string& beside);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  /// Makes it. 0 or the error's number.
  int create() const noexcept;
  /// Makes what was written to it durable. 0 or the error's number.
  int sync() const noexcept;
  /// Empty if the system had no random octets for it.
  const std::string& path() const noexcept { return names_.back(); }
  /// It has another name now, or is somebody else's.
  void keep() noexcept { kept_ = true; }

 private:
  std::array<std::string, 4> names_;  ///< those that SQLite may put beside it, then its own
  bool kept_ = false;
};

}  // namespace tokenstore::base
