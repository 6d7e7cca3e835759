#include "common/kept_connections.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace hosting {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

void KeptConnections::start(std::function<void(Connection)> resume) {
  if (pipe2(wake_, O_CLOEXEC | O_NONBLOCK) != 0)
    throw std::runtime_error("cannot make a pipe: raise the limit of open files");
  resume_ = std::move(resume);
  running_ = true;
  thread_ = std::thread([this] { watch(); });
}

void KeptConnections::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    running_ = false;
  }
  wake();
  thread_.join();
  close(wake_[0]);
  close(wake_[1]);
}

void KeptConnections::keep(Connection connection) {
  const std::lock_guard lock(mutex_);
  if (!running_ || arriving_.size() >= most_) return;  // which closes it
  arriving_.push_back(std::move(connection));
  wake();  // with the lock held: afterwards the pipe may be gone
}

void KeptConnections::wake() const {
  const char any = 0;
  // A full pipe wakes as well, so it does not matter whether this one was written.
  [[maybe_unused]] const ssize_t written = write(wake_[1], &any, 1);
}

bool KeptConnections::take_new_ones() {
  const auto until = steady_clock::now() + idle_;
  const std::lock_guard lock(mutex_);
  for (auto& connection : arriving_) kept_.push_back({std::move(connection), until});
  arriving_.clear();
  return running_;
}

void KeptConnections::close_expired() {
  const auto now = steady_clock::now();
  const std::size_t too_many = kept_.size() > most_ ? kept_.size() - most_ : 0;
  auto last = kept_.begin() + static_cast<std::ptrdiff_t>(too_many);
  while (last != kept_.end() && last->until <= now) ++last;
  kept_.erase(kept_.begin(), last);
}

void KeptConnections::wait_once(bool stopping) {
  std::vector<pollfd> watched;
  watched.reserve(kept_.size() + 1);
  for (const Kept& kept : kept_) watched.push_back({kept.connection->socket(), POLLIN, 0});
  watched.push_back({wake_[0], POLLIN, 0});
  int time = kept_.empty() ? -1 : 0;
  if (!kept_.empty() && !stopping) {
    const auto left = std::chrono::ceil<milliseconds>(kept_.front().until - steady_clock::now());
    time = static_cast<int>(std::clamp<milliseconds::rep>(left.count(), 0, 60'000));
  }
  if (stopping) time = 0;
  if (poll(watched.data(), watched.size(), time) <= 0) return;

  std::array<char, 256> any{};
  while (read(wake_[0], any.data(), any.size()) > 0) continue;
  std::vector<Kept> waiting;
  waiting.reserve(kept_.size());
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    if (watched[i].revents != 0) {
      resume_(std::move(kept_[i].connection));
    } else {
      waiting.push_back(std::move(kept_[i]));
    }
  }
  kept_ = std::move(waiting);
}

void KeptConnections::watch() {
  while (take_new_ones()) {
    wait_once(false);
    close_expired();
  }
  wait_once(true);
  kept_.clear();
}

}  // namespace hosting
