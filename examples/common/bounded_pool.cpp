#include "common/bounded_pool.hpp"

#include <utility>

namespace hosting {

BoundedPool::BoundedPool(std::size_t threads, std::size_t most_waiting) : most_waiting_(most_waiting) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

void BoundedPool::enqueue(std::function<void()> serve) {
  {
    std::unique_lock lock(mutex_);
    left_.wait(lock, [this] { return waiting_.size() < most_waiting_; });
    waiting_.push_back(std::move(serve));
  }
  arrived_.notify_one();
}

bool BoundedPool::has_waiting() {
  const std::lock_guard lock(mutex_);
  return !waiting_.empty();
}

void BoundedPool::shutdown() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  arrived_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void BoundedPool::work() {
  for (;;) {
    std::function<void()> serve;
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [this] { return !waiting_.empty() || stopping_; });
      if (waiting_.empty()) return;
      serve = std::move(waiting_.front());
      waiting_.pop_front();
    }
    left_.notify_one();
    serve();
  }
}

}  // namespace hosting
