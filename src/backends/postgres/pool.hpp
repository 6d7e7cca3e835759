/// Connections for look-ups and commits, opened as they are needed, up to a bound.
///
/// Thread use: any number of threads; a Lease belongs to one. Ownership: the pool owns idle
/// connections, a Lease the one it holds; leases must die before the pool.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "backends/postgres/session.hpp"

namespace tokenstore::postgres {

class Pool {
 public:
  class Lease {
   public:
    Lease(Pool& pool, std::unique_ptr<Session> session, bool fresh, std::uint64_t generation) noexcept
        : pool_(&pool), session_(std::move(session)), fresh_(fresh), generation_(generation) {}
    Lease(Lease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)),
          session_(std::move(other.session_)),
          fresh_(other.fresh_),
          generation_(other.generation_) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (pool_ != nullptr) pool_->give_back(std::move(session_), generation_);
    }
    Session& operator*() const noexcept { return *session_; }
    Session* operator->() const noexcept { return session_.get(); }
    /// Opened for this lease: a failure is not that of a connection that had died while idle.
    bool fresh() const noexcept { return fresh_; }

   private:
    Pool* pool_;
    std::unique_ptr<Session> session_;
    bool fresh_;
    std::uint64_t generation_;
  };

  struct Taken {
    std::optional<Lease> lease;
    std::optional<Failure> failure;
  };

  Pool(const Target& target, SocketTable& sockets, std::size_t most) : target_(target), sockets_(sockets), most_(most) {
    idle_.reserve(most);
  }

  Taken take(Deadline deadline);
  /// Puts an open connection in, if there is room.
  void put(std::unique_ptr<Session> session);
  /// Closes every connection that is idle now, and the others when they come back: their server is gone.
  void retire();

 private:
  void give_back(std::unique_ptr<Session> session, std::uint64_t generation) noexcept;

  const Target& target_;
  SocketTable& sockets_;
  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Session>> idle_;
  std::size_t open_ = 0;  ///< idle, leased, and being opened
  std::uint64_t generation_ = 0;
};

}  // namespace tokenstore::postgres
