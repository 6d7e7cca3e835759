/// A SQLite VFS that stands between the backend and the real one, and asks a plan before every call.
///
/// Thread use: register before opening, unregister after closing; the plan is called from whatever
/// thread does the I/O and must look after itself. Ownership: keep the plan alive while registered.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace tokenstore::test {

enum class FileCall : std::uint8_t {
  open,
  close,
  read,
  write,
  truncate,
  sync,
  size,
  lock,
  remove,
  access,
  shm_map,
  shm_lock,
};

/// One call that is about to be made.
struct FileEvent {
  FileCall call;
  std::string_view path;
  sqlite3_int64 offset = 0;  ///< for truncate: the new size
  const void* data = nullptr;
  int size = 0;
};

class FaultPlan {
 public:
  virtual ~FaultPlan() = default;
  /// SQLITE_OK lets the call through; anything else is its result instead.
  virtual int before(const FileEvent& event) = 0;
  /// After a write, truncate, sync or remove that succeeded.
  virtual void after(const FileEvent&) {}
};

/// Fails the n-th call, and maybe every one after it.
class FailNth final : public FaultPlan {
 public:
  FailNth(std::int64_t nth, bool for_ever) : nth_(nth), for_ever_(for_ever) {}
  int before(const FileEvent& event) override;
  /// Calls so far.
  std::int64_t calls() const { return calls_.load(); }
  bool fired() const { return calls_.load() >= nth_; }
  /// From now on everything succeeds.
  void relent() { relented_ = true; }

 private:
  std::int64_t nth_;
  bool for_ever_;
  std::atomic<std::int64_t> calls_{0};
  std::atomic<bool> relented_{false};
};

/// Registers itself under name() for as long as it lives.
class FaultVfs {
 public:
  explicit FaultVfs(FaultPlan& plan);
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  sqlite3_vfs vfs_{};
};

}  // namespace tokenstore::test
