/// Everything that a connected backend consists of in one process: pool, listener, commit queues.
///
/// Thread use: any number of threads. Ownership: owns all its connections and the listener's thread. An
/// engine belongs to the process that made it: a forked child leaves it alone and makes its own.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <span>

#include "backends/postgres/doubts.hpp"
#include "backends/postgres/history.hpp"
#include "backends/postgres/listener.hpp"
#include "backends/postgres/pool.hpp"
#include "base/commit_queue.hpp"
#include "tokenstore/backends/postgres.hpp"

namespace tokenstore::postgres {

/// One caller's batch on its way through the queue.
struct CommitTicket {
  std::string_view workspace;
  std::span<const Mutation> batch;
  const Announcement* announcement;
  Deadline deadline;
  CommitResult result{};
};

class Engine {
 public:
  /// Connects and prepares the schema.
  static Result<std::unique_ptr<Engine>> open(const PostgresOptions& options, std::uint64_t first_counter);
  Engine(const PostgresOptions& options, std::uint64_t first_counter);

  using Action = std::function<std::optional<Failure>(Session& session, Deadline deadline)>;
  /// Runs something that may be run twice: once more on a new connection if the first had died while idle
  /// or its server is no primary any more, and again after a deadlock.
  std::optional<Failure> repeatable(Deadline deadline, const Action& action);
  /// One statement that only reads.
  std::optional<Failure> query(Sql which, const Params& params, Deadline deadline, Answer& answer);

  /// Before reading what a commit of unknown outcome touched: waits until the server is done with it.
  std::optional<Failure> settle(std::string_view workspace, std::uint64_t doubt, Deadline deadline);

  /// For a backend without the listener's thread.
  std::optional<Failure> renew_lease(Deadline deadline) {
    const std::lock_guard lock(renewing_);
    return listener.renew(deadline);
  }

  /// In the queue of its workspace, together with others that come at the same time.
  void commit(CommitTicket& ticket);

  /// In a child, which has no other thread yet.
  void abandon() noexcept { sockets.close_all(); }

  const Target target;
  Doubts doubts;
  History history;
  SocketTable sockets;
  Pool pool;
  Listener listener;

 private:
  /// Workspaces in different queues do not wait for each other.
  static constexpr std::size_t queue_count = 8;
  std::mutex renewing_;
  std::array<base::CommitQueue<CommitTicket>, queue_count> queues_;
};

/// Runs a group of batches in one transaction. Never throws.
void commit_group(Engine& engine, std::span<CommitTicket* const> group) noexcept;

}  // namespace tokenstore::postgres
