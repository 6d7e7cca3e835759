#include "backends/postgres/session.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "backends/postgres/conninfo.hpp"

namespace tokenstore::postgres {
namespace {

/// The longest sleep without a look at what libpq holds: with TLS, an answer may sit in OpenSSL's buffer
/// while the socket is silent.
constexpr std::chrono::milliseconds longest_sleep{100};

/// How long the server keeps a transaction, and with it locks, whose client has vanished.
constexpr std::chrono::milliseconds vanished_client_grace{1000};

std::string statement_name(Sql which) {
  return "ts" + std::to_string(static_cast<int>(which));
}

}  // namespace

Session::Session(PGconn* connection, SocketTable& sockets, int interrupt) noexcept
    : connection_(connection), sockets_(sockets), interrupt_(interrupt) {}

Session::~Session() {
  sockets_.remove(slot_);
  PQfinish(connection_);
}

Failure Session::give_up(Failure failure) noexcept {
  usable_ = false;
  return failure;
}

void Session::on_notice(void* self, const PGresult* notice) {
  const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity == nullptr || std::string_view(severity) != "WARNING") return;
  const char* text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
  try {
    static_cast<Session*>(self)->warning_ = one_line(text != nullptr && *text != '\0' ? text : "a warning");
  } catch (...) {
    static_cast<Session*>(self)->usable_ = false;  // called from C: nothing may be thrown
  }
}

Session::Opened Session::open(const Target& target, SocketTable& sockets, Deadline deadline, int interrupt) {
  const ConninfoFacts given = facts_of(target.conninfo);
  if (!given.well_formed) {
    // libpq's own words would quote a piece of the string, which may be the password.
    return {nullptr, Failure{Failure::Kind::refused,
                             {},
                             "the connection string is malformed (in a URI, special characters of a password are "
                             "percent-encoded: %40 for @, %2F for /)"}};
  }
  // The last mention of a keyword counts; what `dbname` expands to counts where it stands.
  std::vector<const char*> keywords = {"dbname", "client_encoding", "fallback_application_name"};
  std::vector<const char*> values = {target.conninfo.c_str(), "UTF8", "tokenstore"};
  if (!given.says_session_attrs) {
    keywords.push_back("target_session_attrs");
    values.push_back("read-write");
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  PGconn* connection = PQconnectStartParams(keywords.data(), values.data(), 1);
  if (connection == nullptr) throw std::bad_alloc();
  std::unique_ptr<Session> session(new Session(connection, sockets, interrupt));
  PQsetNoticeReceiver(connection, &Session::on_notice, session.get());
  if (auto failure = session->connect(deadline)) return {nullptr, std::move(failure)};
  if (auto failure = session->set_up(target, deadline)) return {nullptr, std::move(failure)};
  return {std::move(session), std::nullopt};
}

std::optional<Failure> Session::connect(Deadline deadline) {
  if (PQstatus(connection_) == CONNECTION_BAD) return lost_connection(connection_);
  for (PostgresPollingStatusType next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;
       next = PQconnectPoll(connection_)) {
    if (next == PGRES_POLLING_FAILED) {
      Failure failure = lost_connection(connection_);
      failure.kind = Failure::Kind::refused;
      return failure;
    }
    pollfd ready[2] = {{PQsocket(connection_), static_cast<short>(next == PGRES_POLLING_WRITING ? POLLOUT : POLLIN), 0},
                       {interrupt_, POLLIN, 0}};
    int count = 0;
    do {
      count = poll(ready, 2, static_cast<int>(deadline.left().count()));
    } while (count < 0 && errno == EINTR && !deadline.over());
    if (count <= 0) return timed_out();
    if (ready[1].revents != 0) return Failure{Failure::Kind::interrupted, {}, "the backend is being closed"};
  }
  slot_ = sockets_.add(PQsocket(connection_));
  if (slot_ < 0) return Failure{Failure::Kind::lost, {}, "too many connections in one backend"};
  if (PQsetnonblocking(connection_, 1) != 0 || PQenterPipelineMode(connection_) != 1) {
    return lost_connection(connection_);
  }
  return std::nullopt;
}

std::optional<Failure> Session::set_up(const Target& target, Deadline deadline) {
  // The names below are found in pg_catalog and in our schema, and nowhere else.
  const auto set = [](const char* name, const std::string& value) {
    Step step{std::string("SELECT pg_catalog.set_config($1::text, $2::text, false)"), {}};
    step.params.octets(name).octets(value);
    return step;
  };
  const auto grace = target.deadline + vanished_client_grace;
  std::vector<Step> steps;
  steps.push_back(set("search_path", '"' + target.schema + '"'));
  steps.push_back(set("statement_timeout", std::to_string(target.deadline.count())));
  steps.push_back(set("idle_in_transaction_session_timeout", std::to_string(grace.count())));
  if (target.read_only) steps.push_back(set("default_transaction_read_only", "on"));
  // A change that was acknowledged is durable: a server that does not wait by default is asked to.
  steps.push_back({std::string("SELECT pg_catalog.set_config('synchronous_commit', 'on', false) "
                               "WHERE pg_catalog.current_setting('synchronous_commit') = 'off'"),
                   {}});
  if (Reply reply = run(steps, deadline); !reply.ok()) return reply.failure;

  // Servers that only speak the protocol do not know this; their history is then taken to be one.
  Reply reply =
      run("SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN '' ELSE "
          "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END",
          deadline);
  if (reply.ok()) {
    in_recovery_ = reply.answers[0].boolean(0, 0);
    timeline_ = std::string(reply.answers[0].octets(0, 1));
  } else if (reply.failure->kind != Failure::Kind::refused) {
    return reply.failure;
  }
  return std::nullopt;
}

std::string Session::parameter(const char* name) const {
  const char* value = PQparameterStatus(connection_, name);
  return value == nullptr ? std::string() : std::string(value);
}

bool Session::send(const Step& step) {
  const std::vector<const char*> values = step.params.values();
  const std::vector<int> lengths = step.params.lengths();
  const std::vector<int> formats(values.size(), 1);
  const int count = step.params.size();
  if (const auto* text = std::get_if<std::string>(&step.statement)) {
    sent_prepares_.push_back(false);
    return PQsendQueryParams(connection_, text->c_str(), count, nullptr, values.data(), lengths.data(), formats.data(),
                             1) == 1;
  }
  const Sql which = std::get<Sql>(step.statement);
  const auto at = static_cast<std::size_t>(which);
  const std::string name = statement_name(which);
  sent_prepares_.push_back(!prepared_[at]);
  if (!prepared_[at]) {
    if (PQsendPrepare(connection_, name.c_str(), sql_text(which), 0, nullptr) != 1) return false;
    prepared_[at] = true;
  }
  return PQsendQueryPrepared(connection_, name.c_str(), count, values.data(), lengths.data(), formats.data(), 1) == 1;
}

Reply Session::run(std::span<const Step> steps, Deadline deadline) {
  Reply reply;
  if (!usable_) {
    reply.failure = lost_connection(nullptr);
    return reply;
  }
  warning_.clear();
  sent_prepares_.clear();
  const std::bitset<sql_count> prepared_before = prepared_;
  for (const Step& step : steps) {
    if (!send(step)) {
      reply.failure = give_up(lost_connection(connection_));
      return reply;
    }
  }
  if (PQpipelineSync(connection_) != 1) {
    reply.failure = give_up(lost_connection(connection_));
    return reply;
  }
  reply.failure = receive(steps.size(), reply, deadline);
  // After a failure it is not known which of the prepares took place before it.
  if (reply.failure && prepared_ != prepared_before) usable_ = false;
  return reply;
}

Reply Session::run(Sql which, Params params, Deadline deadline) {
  const Step step{which, std::move(params)};
  return run({&step, 1}, deadline);
}

Reply Session::run(std::string statement, Deadline deadline) {
  const Step step{std::move(statement), {}};
  return run({&step, 1}, deadline);
}

std::optional<Failure> Session::receive(std::size_t steps, Reply& reply, Deadline deadline) {
  std::optional<Failure> first;
  std::size_t step = 0;
  bool prepare_expected = steps > 0 && sent_prepares_[0];
  bool flushing = true;
  for (;;) {
    if (flushing) {
      const int flushed = PQflush(connection_);
      if (flushed < 0) return give_up(lost_connection(connection_));
      flushing = flushed == 1;
    }
    while (PQisBusy(connection_) == 0) {
      ResultPointer result(PQgetResult(connection_));
      if (!result) {
        if (PQstatus(connection_) == CONNECTION_BAD) return give_up(first ? *first : lost_connection(connection_));
        continue;  // between the answers of two statements
      }
      switch (PQresultStatus(result.get())) {
        case PGRES_PIPELINE_SYNC:
          if (!first && step != steps) return give_up(Failure{Failure::Kind::lost, {}, "an answer is missing"});
          return first;
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
          if (prepare_expected) {
            prepare_expected = false;
            break;
          }
          reply.answers.emplace_back(std::move(result));
          if (++step < steps) prepare_expected = sent_prepares_[step];
          break;
        case PGRES_PIPELINE_ABORTED:
          break;
        default:
          if (!first) first = failure_of(result.get());
          // FATAL: the connection ends with it, and no more answers come.
          if (first->kind != Failure::Kind::refused) return give_up(*first);
      }
    }
    switch (wait(flushing, deadline)) {
      case Waited::ready:
        break;
      case Waited::timed_out:
        return give_up(timed_out());
      case Waited::interrupted:
        return give_up(Failure{Failure::Kind::interrupted, {}, "the backend is being closed"});
      case Waited::broken:
        // What the server said last may be waiting in libpq's buffer.
        if (PQisBusy(connection_) != 0) return give_up(first ? *first : lost_connection(connection_));
    }
  }
}

Session::Waited Session::wait(bool for_writing, Deadline deadline) noexcept {
  const auto left = std::min(deadline.left(), longest_sleep);
  if (left.count() == 0) return Waited::timed_out;
  pollfd ready[2] = {{PQsocket(connection_), static_cast<short>(POLLIN | (for_writing ? POLLOUT : 0)), 0},
                     {interrupt_, POLLIN, 0}};
  const int count = poll(ready, 2, static_cast<int>(left.count()));
  if (count < 0 && errno != EINTR) return Waited::broken;
  if (count > 0 && ready[1].revents != 0) return Waited::interrupted;
  // Also after a silent wait: see longest_sleep.
  return PQconsumeInput(connection_) == 1 ? Waited::ready : Waited::broken;
}

bool Session::take_notifications() noexcept {
  bool any = false;
  while (PGnotify* notification = PQnotifies(connection_)) {
    PQfreemem(notification);
    any = true;
  }
  return any;
}

Session::Woken Session::wait_for_notification(Deadline deadline) {
  for (;;) {
    if (take_notifications()) return Woken::notified;
    switch (wait(false, deadline)) {
      case Waited::ready:
        break;
      case Waited::timed_out:
        return Woken::nothing;
      case Waited::interrupted:
        return Woken::interrupted;
      case Waited::broken:
        usable_ = false;
        return Woken::broken;
    }
  }
}

}  // namespace tokenstore::postgres
