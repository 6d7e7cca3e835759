/// One connection, on which every step ends by a deadline.
///
/// libpq in its non-blocking form, always in pipeline mode: a batch of statements is one round trip.
/// What goes past its deadline leaves a connection in an unknown state, so the connection is closed.
///
/// Thread use: one thread at a time. Ownership: owns the connection; registers its socket in the
/// table it was given, so that a forked child can close what it inherited without a word to the server.
#pragma once

#include <libpq-fe.h>

#include <bitset>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "backends/postgres/deadline.hpp"
#include "backends/postgres/errors.hpp"
#include "backends/postgres/socket_table.hpp"
#include "backends/postgres/sql.hpp"
#include "backends/postgres/wire.hpp"

namespace tokenstore::postgres {

/// What every connection of a backend is opened with.
struct Target {
  std::string conninfo;
  std::string schema;
  bool read_only = false;
  std::chrono::milliseconds deadline{5000};
};

/// A statement with its values: one of Sql, or text of its own that is not prepared.
struct Step {
  std::variant<Sql, std::string> statement;
  Params params{};
};

/// What a batch gave: an answer for each step, or the first failure.
struct Reply {
  std::vector<Answer> answers;
  std::optional<Failure> failure;
  bool ok() const noexcept { return !failure; }
};

class Session {
 public:
  struct Opened {
    std::unique_ptr<Session> session;
    std::optional<Failure> failure;
  };
  /// `interrupt`: a file descriptor that ends any wait when it becomes readable; -1: none.
  static Opened open(const Target& target, SocketTable& sockets, Deadline deadline, int interrupt = -1);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Sends all steps at once and waits for all answers. If one fails the rest is skipped by the server.
  Reply run(std::span<const Step> steps, Deadline deadline);
  Reply run(Sql which, Params params, Deadline deadline);
  Reply run(std::string statement, Deadline deadline);

  /// After a failure: may it be used again?
  bool usable() const noexcept { return usable_; }
  /// A warning that came with the last run(). Empty: none.
  const std::string& warning() const noexcept { return warning_; }

  enum class Woken : std::uint8_t { nothing, notified, broken, interrupted };
  /// Waits for a notification.
  Woken wait_for_notification(Deadline deadline);
  /// Takes those that have arrived. True: there was one.
  bool take_notifications() noexcept;

  /// Which history of the server this is: changes when a standby was promoted or a backup restored.
  const std::string& timeline() const noexcept { return timeline_; }
  bool in_recovery() const noexcept { return in_recovery_; }
  std::string parameter(const char* name) const;

 private:
  enum class Waited : std::uint8_t { ready, timed_out, interrupted, broken };

  Session(PGconn* connection, SocketTable& sockets, int interrupt) noexcept;
  std::optional<Failure> connect(Deadline deadline);
  std::optional<Failure> set_up(const Target& target, Deadline deadline);
  bool send(const Step& step);
  std::optional<Failure> receive(std::size_t steps, Reply& reply, Deadline deadline);
  Waited wait(bool for_writing, Deadline deadline) noexcept;
  Failure give_up(Failure failure) noexcept;
  static void on_notice(void* self, const PGresult* notice);

  PGconn* connection_;
  SocketTable& sockets_;
  int interrupt_;
  int slot_ = -1;
  bool usable_ = true;
  bool in_recovery_ = false;
  std::string warning_;
  std::string timeline_;
  std::bitset<sql_count> prepared_;
  std::vector<bool> sent_prepares_;  ///< of the batch under way: whether a step's answer follows that of a prepare
};

}  // namespace tokenstore::postgres
