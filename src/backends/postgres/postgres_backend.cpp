#include "backends/postgres/postgres_backend.hpp"

#include <optional>
#include <utility>

#include "backends/postgres/schema.hpp"

namespace tokenstore {
namespace postgres {

PostgresBackend::PostgresBackend(PostgresOptions options, std::unique_ptr<Engine> engine)
    : options_(std::move(options)), engine_(engine.release()) {}

PostgresBackend::~PostgresBackend() {
  Engine* engine = engine_.load();
  if (guard_.forked()) {
    // Its thread and locks are the parent's: it can be left, not destroyed.
    engine->abandon();
  } else {
    delete engine;
  }
}

Result<Engine*> PostgresBackend::enter() {
  if (guard_.forked()) return adopt();
  return engine_.load(std::memory_order_acquire);
}

Result<Engine*> PostgresBackend::adopt() {
  std::optional<Error> error;
  guard_.adopt([&] {
    // The inherited engine is leaked: its mutexes may be held by threads that do not exist here.
    Engine* inherited = engine_.load();
    inherited->abandon();
    Result<std::unique_ptr<Engine>> made = Engine::open(options_, inherited->listener.counter() + 1);
    if (made) engine_.store(made->release());
    if (!made) error = made.error();
    return !error;
  });
  if (error) return *error;
  return engine_.load(std::memory_order_acquire);
}

Pulse PostgresBackend::pulse() noexcept {
  Pulse pulse = engine_.load(std::memory_order_acquire)->listener.pulse();
  // A child has no listener until its first look-up.
  if (guard_.forked()) pulse.trusted_until = std::numeric_limits<std::int64_t>::min();
  return pulse;
}

CommitResult PostgresBackend::commit(std::string_view workspace, std::span<const Mutation> batch,
                                     const Announcement* announcement) {
  if (options_.read_only) {
    return {CommitOutcome::failed, 0, Error(Status::read_only, "the store was opened read-only; nothing was changed")};
  }
  const Deadline deadline = Deadline::in(options_.deadline);
  const Result<Engine*> engine = enter();
  if (!engine) return {CommitOutcome::failed, 0, engine.error()};
  CommitTicket ticket{workspace, batch, announcement, deadline};
  (*engine)->commit(ticket);
  return ticket.result;
}

}  // namespace postgres

Result<std::shared_ptr<Backend>> postgres_backend(const PostgresOptions& options) {
  if (!postgres::is_schema_name(options.schema)) {
    return Error(Status::invalid_argument,
                 "the schema's name must be 1 to 40 of a-z, 0-9 and _, and not begin with a digit");
  }
  if (options.deadline.count() <= 0) return Error(Status::invalid_argument, "the deadline must be longer than 0");
  if (options.max_staleness.count() < 0) return Error(Status::invalid_argument, "max_staleness must not be negative");
  if (options.deadline > postgres::Deadline::longest || options.max_staleness > postgres::Deadline::longest) {
    return Error(Status::invalid_argument, "the deadline and max_staleness must be at most a day");
  }
  if (options.pool_size == 0 || options.pool_size > 100) {
    return Error(Status::invalid_argument, "the size of the pool must be 1 to 100");
  }
  Result<std::unique_ptr<postgres::Engine>> engine = postgres::Engine::open(options, 1);
  if (!engine) return engine.error();
  return std::shared_ptr<Backend>(std::make_shared<postgres::PostgresBackend>(options, std::move(*engine)));
}

}  // namespace tokenstore
