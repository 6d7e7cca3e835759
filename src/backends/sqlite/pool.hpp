/// Read connections, as many as there are threads reading at once.
///
/// Thread use: any number of threads; a Lease belongs to one. Ownership: the pool owns idle
/// connections, a Lease the one it holds; leases must die before the pool.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "backends/sqlite/connection.hpp"

namespace tokenstore::sqlite {

class ReadPool {
 public:
  /// More idle connections than this are closed.
  static constexpr std::size_t idle_max = 32;
  using Opener = std::function<Result<std::unique_ptr<Connection>>()>;

  class Lease {
   public:
    Lease(ReadPool& pool, std::unique_ptr<Connection> connection, std::uint64_t generation) noexcept
        : pool_(&pool), connection_(std::move(connection)), generation_(generation) {}
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (connection_) pool_->give_back(std::move(connection_), generation_);
    }
    Connection& operator*() const noexcept { return *connection_; }
    Connection* operator->() const noexcept { return connection_.get(); }
    /// Closes the connection instead of keeping it for others.
    void discard() noexcept { connection_.reset(); }

   private:
    ReadPool* pool_;
    std::unique_ptr<Connection> connection_;
    std::uint64_t generation_;
  };

  explicit ReadPool(Opener opener) : opener_(std::move(opener)) { idle_.reserve(idle_max); }

  Result<Lease> take() {
    std::uint64_t generation = 0;
    {
      const std::lock_guard lock(mutex_);
      generation = generation_;
      if (!idle_.empty()) {
        // The last one given back: its pages are the warmest.
        std::unique_ptr<Connection> connection = std::move(idle_.back());
        idle_.pop_back();
        return Lease(*this, std::move(connection), generation);
      }
    }
    Result<std::unique_ptr<Connection>> opened = opener_();
    if (!opened) return opened.error();
    return Lease(*this, std::move(*opened), generation);
  }

  /// Closes every connection that is idle now, and the others when they come back.
  void retire() {
    std::vector<std::unique_ptr<Connection>> retired;
    const std::lock_guard lock(mutex_);
    ++generation_;
    retired.swap(idle_);
    idle_.reserve(idle_max);
  }

  /// For each idle connection; nobody else may be using the pool.
  template <typename Action>
  void for_each_idle(Action action) {
    for (const std::unique_ptr<Connection>& connection : idle_) action(*connection);
  }

 private:
  void give_back(std::unique_ptr<Connection> connection, std::uint64_t generation) noexcept {
    // Whoever was thrown out of a transaction left it open: the next one would read what was then, for ever.
    if (connection->in_transaction()) return;
    const std::lock_guard lock(mutex_);
    // Room was reserved, so nothing here can throw.
    if (generation == generation_ && idle_.size() < idle_.capacity()) idle_.push_back(std::move(connection));
  }

  Opener opener_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
  std::uint64_t generation_ = 0;
};

}  // namespace tokenstore::sqlite
