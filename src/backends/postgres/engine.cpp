#include "backends/postgres/engine.hpp"

#include "backends/postgres/schema.hpp"

namespace tokenstore::postgres {
namespace {

constexpr int most_read_attempts = 4;

}  // namespace

Engine::Engine(const PostgresOptions& options, std::uint64_t first_counter)
    : target{options.conninfo, options.schema, options.read_only, options.deadline},
      pool(target, sockets, options.pool_size),
      listener(target, sockets, options.clock ? options.clock : system_clock(), options.max_staleness, first_counter) {}

Result<std::unique_ptr<Engine>> Engine::open(const PostgresOptions& options, std::uint64_t first_counter) {
  auto engine = std::make_unique<Engine>(options, first_counter);
  const Deadline deadline = Deadline::in(options.deadline);
  Session::Opened opened = Session::open(engine->target, engine->sockets, deadline);
  if (!opened.session) return connecting_error(*opened.failure);
  if (const Result<void> ready = prepare_schema(*opened.session, engine->target, options.create, deadline); !ready) {
    return ready.error();
  }
  engine->pool.put(std::move(opened.session));
  if (options.listener_thread && options.max_staleness.count() > 0) engine->listener.start_thread();
  return engine;
}

std::optional<Failure> Engine::repeatable(Deadline deadline, const Action& action) {
  for (int attempt = 1;; ++attempt) {
    Pool::Taken taken = pool.take(deadline);
    if (!taken.lease) return taken.failure;
    Session& session = **taken.lease;
    std::optional<Failure> failure = action(session, deadline);
    if (!failure || attempt >= most_read_attempts || deadline.over()) return failure;
    if (failure->is_read_only_server() && !target.read_only) {
      pool.retire();
      continue;
    }
    if (failure->is_retryable()) continue;
    if (failure->kind == Failure::Kind::lost && !taken.lease->fresh()) {
      pool.retire();  // the others have most likely died of the same
      continue;
    }
    return failure;
  }
}

std::optional<Failure> Engine::query(Sql which, const Params& params, Deadline deadline, Answer& answer) {
  return repeatable(deadline, [&](Session& session, Deadline by) -> std::optional<Failure> {
    Reply reply = session.run(which, params, by);
    if (!reply.ok()) return reply.failure;
    answer = std::move(reply.answers[0]);
    return std::nullopt;
  });
}

std::optional<Failure> Engine::settle(std::string_view workspace, std::uint64_t doubt, Deadline deadline) {
  std::vector<Step> steps(3);
  steps[0].statement = Sql::begin;
  steps[1].statement = Sql::wait_for_feed;
  steps[1].params.octets(workspace);
  steps[2].statement = Sql::rollback;
  auto failure = repeatable(deadline, [&](Session& session, Deadline by) {
    Reply reply = session.run(steps, by);
    if (!reply.ok() && session.usable()) session.run(Sql::rollback, {}, by);
    return reply.failure;
  });
  if (failure) {
    failure->text = "the outcome of an earlier change is still open: " + failure->text;
    return failure;
  }
  doubts.settled(workspace, doubt);
  return std::nullopt;
}

void Engine::commit(CommitTicket& ticket) {
  const std::size_t at = std::hash<std::string_view>{}(ticket.workspace) % queue_count;
  queues_[at].submit(ticket, [this](std::span<CommitTicket* const> group) { commit_group(*this, group); });
}

}  // namespace tokenstore::postgres
