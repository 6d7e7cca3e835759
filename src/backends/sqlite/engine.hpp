/// Everything that an open database consists of in one process: connections, queue, pulse, watch.
///
/// Thread use: as each member says; the writer only under `writer_mutex`, upkeep under `upkeep_mutex`.
/// Ownership: owns all its connections. An engine belongs to the process that opened it: after a fork
/// the child closes what it inherited and opens an engine of its own.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "backends/sqlite/connection.hpp"
#include "backends/sqlite/file_watch.hpp"
#include "backends/sqlite/opening.hpp"
#include "backends/sqlite/pool.hpp"
#include "backends/sqlite/wal_pulse.hpp"
#include "base/commit_queue.hpp"
#include "tokenstore/backend.hpp"
#include "tokenstore/backends/sqlite.hpp"

namespace tokenstore::sqlite {

/// One caller's batch on its way through the queue.
struct CommitTicket {
  std::string_view workspace;
  std::span<const Mutation> batch;
  const Announcement* announcement;
  CommitResult result{};
  bool wrote = false;  ///< the group's transaction holds something of it
};

class Engine {
 public:
  /// Opens an existing or (if the options say so) new database. `first_counter` is the pulse's.
  static Result<std::unique_ptr<Engine>> open(const SqliteOptions& options, std::uint64_t first_counter);

  /// What a backup holds.
  static Result<std::unique_ptr<Engine>> open_backup(const std::string& path, std::uint64_t first_counter);

  Engine(OpenedFile opened, std::uint64_t* wal_header, bool pulse_trusted, std::uint64_t first_counter);

  /// Closing it will touch no file: in a child that inherited it, or where the names are another's by now.
  void leave_files() noexcept;

  /// Has anything happened to the files? `always`: look now, and not only if the pulse has moved or the last look was
  /// long ago. An error means: answer nothing.
  std::optional<Error> check_files(bool always);

  /// Another copy of SQLite was found to have the file open: from now on nothing is answered.
  void report_second_copy();

  /// The writer's connection, opened anew if it was spoilt. Under `writer_mutex`.
  Result<Connection*> writer_connection();
  void discard_writer() noexcept { writer.reset(); }
  Result<Connection*> upkeep_connection();

  /// Runs a group of batches in one transaction. Never throws; called by one thread at a time.
  void commit_group(std::span<CommitTicket* const> group) noexcept;

  Pulse read_pulse() noexcept;

  const Target target;
  FileWatch watch;
  std::mutex keeper_mutex;
  /// Kept open for as long as the engine: it holds the WAL-index in memory and the files in place.
  std::unique_ptr<Connection> keeper;
  WalPulse pulse;
  const bool has_wal_header;
  const bool pulse_trusted;
  ReadPool readers;
  base::CommitQueue<CommitTicket> queue;
  std::mutex writer_mutex;
  std::unique_ptr<Connection> writer;
  std::mutex upkeep_mutex;
  std::unique_ptr<Connection> upkeep;
  std::chrono::steady_clock::time_point copies_counted_at{};

 private:
  /// Whether the file was swapped for another while it was being opened.
  bool was_swapped() noexcept;
  /// One more connection to the file that is open, and to no other that has its name by now.
  Result<std::unique_ptr<Connection>> connect(const Target& how);
  bool run_group(std::span<CommitTicket* const> group) noexcept;

  std::atomic<bool> second_copy_{false};
  std::int64_t data_version_ = 0;
  std::atomic<std::uint64_t> pulse_at_look_{0};  ///< as it was before the last look that it asked for
  std::atomic<bool> files_were_well_{true};
};

}  // namespace tokenstore::sqlite
