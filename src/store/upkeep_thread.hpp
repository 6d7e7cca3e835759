/// The one thread of a store, for hosts that asked for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "base/fork_guard.hpp"

namespace tokenstore {

/// Calls `work` every `interval` until destroyed; the destructor waits for a call under way. A forked
/// child has no such thread: there the object is inert.
class UpkeepThread {
 public:
  UpkeepThread(std::chrono::milliseconds interval, std::function<void()> work)
      : state_(std::make_unique<State>(interval, std::move(work))) {}
  ~UpkeepThread() {
    // Joining a thread that is not here, or destroying what it waits on, would hang.
    if (guard_.forked()) static_cast<void>(state_.release());
  }
  UpkeepThread(const UpkeepThread&) = delete;
  UpkeepThread& operator=(const UpkeepThread&) = delete;

 private:
  struct State {
    State(std::chrono::milliseconds interval, std::function<void()> task)
        : pause(interval), work(std::move(task)), thread([this] { run(); }) {}
    ~State() {
      {
        const std::lock_guard lock(mutex);
        stopping = true;
      }
      wake.notify_all();
      thread.join();
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    void run() {
      std::unique_lock lock(mutex);
      while (!wake.wait_for(lock, pause, [this] { return stopping; })) {
        lock.unlock();
        work();
        lock.lock();
      }
    }

    const std::chrono::milliseconds pause;
    const std::function<void()> work;
    std::mutex mutex;
    std::condition_variable wake;
    bool stopping = false;
    std::thread thread;
  };

  base::ForkGuard guard_;
  std::unique_ptr<State> state_;
};

}  // namespace tokenstore
