/// The one thread of a store, for hosts that asked for it.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/at_fork.hpp"
#include "base/fork_guard.hpp"

namespace tokenstore {

/// Calls `work` every `interval`, or soon after a turn that says with `true` that it left some, until destroyed; the
/// destructor waits for a call under way. A fork waits for it too (AtFork), so that a child inherits nothing that
/// `work` had half done. A forked child has no such thread: there the object is inert.
class UpkeepThread final : private base::AtFork {
 public:
  UpkeepThread(std::chrono::milliseconds interval, std::function<bool()> work)
      : state_(std::make_unique<State>(interval, std::move(work))) {}
  ~UpkeepThread() override {
    at_fork_.reset();
    // Joining a thread that is not here, or destroying what it waits on, would hang.
    if (guard_.forked()) static_cast<void>(state_.release());
  }
  UpkeepThread(const UpkeepThread&) = delete;
  UpkeepThread& operator=(const UpkeepThread&) = delete;

 private:
  struct State {
    State(std::chrono::milliseconds interval, std::function<bool()> task)
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
      self = std::this_thread::get_id();
      busy = false;
      bool more = false;
      while (!wake.wait_for(lock, more ? std::min(pause, short_pause) : pause, [this] { return stopping; })) {
        lock.unlock();
        more = take_turn();
        lock.lock();
      }
    }

    // With sequentially consistent stores, either this sees that a fork has begun, or the fork sees this busy.
    bool take_turn() {
      busy = true;
      const bool more = !forking && work();
      busy = false;
      return more;
    }

    /// Others want the storage too.
    static constexpr std::chrono::milliseconds short_pause{20};

    const std::chrono::milliseconds pause;
    const std::function<bool()> work;
    std::mutex mutex;
    std::condition_variable wake;
    bool stopping = false;
    std::atomic<bool> busy{true};  // until it has come up
    std::atomic<bool> forking{false};
    std::atomic<std::thread::id> self{};
    std::thread thread;
  };

  void rest(std::chrono::steady_clock::time_point deadline) noexcept override {
    state_->forking = true;
    // A host's own storage may fork from the turn itself, which is then not what to wait for.
    if (state_->self.load() == std::this_thread::get_id()) return;
    while (state_->busy && !guard_.forked() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  void resume(bool) noexcept override { state_->forking = false; }

  base::ForkGuard guard_;
  std::unique_ptr<State> state_;
  std::optional<base::AtForkEntry> at_fork_{std::in_place, static_cast<base::AtFork&>(*this)};
};

}  // namespace tokenstore
