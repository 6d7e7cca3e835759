/// Keeps processes that open one store apart while one of them is making it.
///
/// Whoever creates the database holds its key file exclusively, whoever opens it shares it, and nobody
/// holds it for longer than the opening takes. So a process that fails to create a store can take back
/// what it made without taking it from another that has begun to use it. Advisory (flock); where the
/// file system knows no such lock, nothing is held and nothing is taken back. One thread at a time.
#pragma once

#include <string>

namespace tokenstore::seal {

class KeyFileLock {
 public:
  enum class Mode { shared, exclusive };

  /// Waits until the lock is had.
  KeyFileLock(const std::string& path, Mode mode);
  ~KeyFileLock();
  KeyFileLock(const KeyFileLock&) = delete;
  KeyFileLock& operator=(const KeyFileLock&) = delete;

  /// Whether the path still names the file that was opened. True also of one that is there and could not be opened:
  /// reading it says why.
  bool current() const noexcept;
  bool exclusive() const noexcept { return held_ && mode_ == Mode::exclusive; }

 private:
  std::string path_;
  Mode mode_;
  int descriptor_ = -1;
  bool missing_ = false;
  bool held_ = false;
};

}  // namespace tokenstore::seal
