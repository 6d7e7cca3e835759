/// Hears of other hosts' commits, and holds the lease under which the pulse may be trusted.
///
/// With a thread: LISTEN, then ask the server three times per max_staleness; each answer renews the lease,
/// counted from when the question was sent. A notification only moves the pulse sooner. A server
/// without LISTEN is asked all the same. Without a thread, renew() is that question.
///
/// Thread use: pulse() and moved() from any; renew() from one at a time. Ownership: owns its connection.
#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <optional>
#include <thread>

#include "backends/postgres/session.hpp"
#include "tokenstore/backend.hpp"

namespace tokenstore::postgres {

class Listener {
 public:
  Listener(const Target& target, SocketTable& sockets, std::shared_ptr<Clock> clock,
           std::chrono::milliseconds max_staleness, std::uint64_t first_counter);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void start_thread();
  bool has_thread() const noexcept { return thread_.joinable(); }

  Pulse pulse() noexcept;
  /// This process has changed something, or may have.
  void moved() noexcept { counter_.fetch_add(1, std::memory_order_acq_rel); }
  /// Asks the server once and renews the lease.
  std::optional<Failure> renew(Deadline deadline);

  std::uint64_t counter() const noexcept { return counter_.load(std::memory_order_acquire); }

 private:
  static constexpr std::int64_t not_at_all = std::numeric_limits<std::int64_t>::min();

  void listen_until_stopped() noexcept;
  /// Connects if need be, listens, and raises the pulse so that everything is read again.
  std::optional<Failure> attach(Deadline deadline);
  std::optional<Failure> ask(Deadline deadline);
  bool sleep(std::chrono::milliseconds wait) const noexcept;

  const Target& target_;
  SocketTable& sockets_;
  const std::shared_ptr<Clock> clock_;
  const std::chrono::milliseconds max_staleness_;
  std::atomic<std::uint64_t> counter_;
  std::atomic<std::int64_t> trusted_until_{not_at_all};
  std::unique_ptr<Session> session_;
  std::int64_t seen_ = 0;
  int stop_ = -1;  ///< an eventfd
  std::thread thread_;
};

}  // namespace tokenstore::postgres
