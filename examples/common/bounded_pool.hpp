/// Threads that serve connections, and a bounded number of connections that wait for one. cpp-httplib's own
/// pool takes in connections without end: in a flood it grows, until the process can open no file any more.
///
/// Thread use: cpp-httplib's thread that accepts connections calls enqueue and shutdown; any may ask
/// and enqueue.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <httplib.h>

namespace hosting {

class BoundedPool : public httplib::TaskQueue {
 public:
  BoundedPool(std::size_t threads, std::size_t most_waiting);

  /// Waits while as many wait as may: no more are accepted then, and clients queue up in the kernel, which
  /// has a bound of its own.
  void enqueue(std::function<void()> serve) override;
  /// Does anything wait for a thread?
  bool has_waiting();
  /// Serves those that wait, then ends the threads.
  void shutdown() override;

 private:
  void work();

  std::size_t most_waiting_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::condition_variable left_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace hosting
