/// Brings things to rest before the process forks, so that a child never inherits them half changed.
///
/// A child has none of its parent's other threads: what one of them was in the middle of stays like that
/// for ever, and some of it (SQLite's own mutexes) is nobody's to repair. Only a handler that runs before
/// the fork can help, and handlers are the process's. So this keeps the library's one global: a list of
/// what takes part, empty unless stores are open. The handlers go when the library is unloaded.
///
/// A fork by other means (_Fork, clone) runs no handler; whoever takes part has to notice that it was not
/// at rest.
#pragma once

#include <chrono>

namespace tokenstore::base {

class AtFork {
 public:
  /// A fork waits for all that take part together no longer than this, then goes ahead.
  static constexpr std::chrono::milliseconds longest_wait{1000};

  virtual ~AtFork() = default;
  AtFork() = default;
  AtFork(const AtFork&) = delete;
  AtFork& operator=(const AtFork&) = delete;

  /// Keeps further calls out and waits for those under way, until `deadline`.
  virtual void rest(std::chrono::steady_clock::time_point deadline) noexcept = 0;
  /// After the fork, in parent and child: lets calls in again.
  virtual void resume(bool in_child) noexcept = 0;
};

/// While one lives, its subject takes part in every fork. The subject must outlive it. Who came last rests first, so
/// that whatever uses a subject is through with it before it lets no more calls in.
class AtForkEntry {
 public:
  /// Throws std::bad_alloc if the handlers cannot be installed.
  explicit AtForkEntry(AtFork& subject);
  ~AtForkEntry();
  AtForkEntry(const AtForkEntry&) = delete;
  AtForkEntry& operator=(const AtForkEntry&) = delete;

 private:
  friend struct AtForkHandlers;
  AtFork& subject_;
  AtForkEntry* next_ = nullptr;
  AtForkEntry* previous_ = nullptr;
};

}  // namespace tokenstore::base
