/// Who is inside SQLite: a fork waits until nobody is, and what it leaves to the child is then at rest.
///
/// Any number of threads. Nobody waits for anything else while inside, least of all for a door.
#pragma once

#include <atomic>

#include "base/at_fork.hpp"

namespace tokenstore::sqlite {

class Door final : private base::AtFork {
 public:
  Door() = default;

  /// Waits while a fork is under way.
  void enter() noexcept;
  void leave() noexcept { inside_.fetch_sub(1, std::memory_order_release); }
  /// In a child: whether a thread of the parent was inside at the fork.
  bool is_anybody_inside() const noexcept { return inside_.load(std::memory_order_acquire) != 0; }

  /// While one lives, this thread is inside.
  class Stay {
   public:
    explicit Stay(Door& door) noexcept : door_(door) { door_.enter(); }
    ~Stay() { door_.leave(); }
    Stay(const Stay&) = delete;
    Stay& operator=(const Stay&) = delete;

   private:
    Door& door_;
  };

 private:
  void rest(std::chrono::steady_clock::time_point deadline) noexcept override;
  void resume(bool in_child) noexcept override;

  std::atomic<int> inside_{0};
  std::atomic<bool> forking_{false};  ///< nobody may come in
  bool resting_ = false;              ///< nobody was inside when the fork began
  const base::AtForkEntry at_fork_{*this};
};

}  // namespace tokenstore::sqlite
