/// Connections that wait for their next request, without a thread each: a proxy keeps many open, and threads that
/// waited for them would be missing for those that have something to ask.
///
/// Thread use: keep from any thread; start and stop from one.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "common/bounded_stream.hpp"

namespace hosting {

class KeptConnections {
 public:
  using Connection = std::unique_ptr<BoundedStream>;

  /// Of more than `most` the one that has waited longest is closed, and each after `idle`.
  KeptConnections(std::size_t most, std::chrono::milliseconds idle) : most_(most), idle_(idle) {}
  ~KeptConnections() { stop(); }

  /// `resume` is called with each connection on which something has arrived.
  void start(std::function<void(Connection)> resume);
  void keep(Connection connection);
  /// Hands over what has arrived by now, and closes the rest.
  void stop();

 private:
  struct Kept {
    Connection connection;
    std::chrono::steady_clock::time_point until;
  };

  void watch();
  /// Waits until something happens, and hands over what has arrived.
  void wait_once(bool stopping);
  void close_expired();
  bool take_new_ones();
  void wake() const;

  std::size_t most_;
  std::chrono::milliseconds idle_;
  std::function<void(Connection)> resume_;
  std::thread thread_;
  int wake_[2]{-1, -1};  ///< a pipe, whose reading end is waited for with the connections

  std::vector<Kept> kept_;  ///< the watching thread's; who has waited longest stands first

  std::mutex mutex_;  ///< for what follows
  std::vector<Connection> arriving_;
  bool running_ = false;
};

}  // namespace hosting
