#include "backends/sqlite/sqlite_backend.hpp"

#include <unistd.h>

#include "backends/sqlite/location.hpp"

namespace tokenstore::sqlite {
namespace {

Error orphaned() {
  return {Status::unavailable,
          "the process was forked while another of its threads was using the store; open the store again in the child"};
}

}  // namespace

Result<std::shared_ptr<Backend>> SqliteBackend::open(const SqliteOptions& options) {
  return opened(std::make_shared<SqliteBackend>(options));
}

Result<std::shared_ptr<Backend>> SqliteBackend::open_backup(const std::string& path) {
  SqliteOptions options;
  options.path = path;
  options.create = false;
  options.read_only = true;
  return opened(std::make_shared<SqliteBackend>(std::move(options), true));
}

Result<std::shared_ptr<Backend>> SqliteBackend::opened(std::shared_ptr<SqliteBackend> backend) {
  const Visit visit = backend->come_in();
  Result<std::unique_ptr<Engine>> engine = backend->open_engine(backend->options_, 1);
  if (!engine) return engine.error();
  // A relative path means the directory of now, also for a child that opens the file anew later.
  backend->options_.path = (*engine)->target.path;
  backend->engine_.store(engine->release(), std::memory_order_release);
  return std::shared_ptr<Backend>(std::move(backend));
}

SqliteBackend::~SqliteBackend() {
  Engine* engine = engine_.load(std::memory_order_acquire);
  if (guard_.forked() || orphaned_.load(std::memory_order_acquire)) {
    // A child that never used the store. If a thread of the parent was inside at the fork, SQLite's
    // state is not ours to touch: it is left where it is.
    if (orphaned_.load(std::memory_order_acquire) || door_.is_anybody_inside()) return;
    if (engine != nullptr) engine->leave_files();
    delete engine;
    return;
  }
  const Visit visit = come_in();
  delete engine;
}

SqliteBackend::Visit SqliteBackend::enter() {
  if (guard_.forked()) {
    if (std::optional<Error> error = adopt()) return Visit(std::move(*error));
  }
  return come_in();
}

SqliteBackend::Visit SqliteBackend::come_in() noexcept {
  door_.enter();
  return {door_, engine_.load(std::memory_order_acquire)};
}

std::optional<Error> SqliteBackend::adopt() {
  if (orphaned_.load(std::memory_order_acquire)) return orphaned();
  std::optional<Error> error;
  guard_.adopt([&] { return !(error = adopt_engine()); });
  return error;
}

std::optional<Error> SqliteBackend::adopt_engine() {
  if (door_.is_anybody_inside()) {
    orphaned_.store(true, std::memory_order_release);
    return orphaned();
  }
  // The inherited connections are at rest. Closing them releases SQLite's bookkeeping of locks that this
  // process does not have (locks are not inherited), so that the new ones really take theirs.
  Engine* inherited = engine_.exchange(nullptr, std::memory_order_acq_rel);
  if (inherited != nullptr) {
    counter_.store(inherited->pulse.beyond(), std::memory_order_release);
    inherited->leave_files();
    delete inherited;
  }
  SqliteOptions options = options_;
  options.create = false;
  Result<std::unique_ptr<Engine>> engine = open_engine(options, counter_.load(std::memory_order_acquire));
  if (!engine) return engine.error();
  if (!(*engine)->target.immutable && !holds_shared_lock((*engine)->target.path)) {
    // Another store on this file is still as it was inherited, so SQLite took no locks of its own.
    (*engine)->leave_files();
    return Error(Status::unavailable,
                 "another store on the same file was open at the fork and has not been used or closed in the child "
                 "since; do so, and try again");
  }
  engine_.store(engine->release(), std::memory_order_release);
  return std::nullopt;
}

Pulse SqliteBackend::pulse() noexcept {
  if (guard_.forked()) return {0, std::numeric_limits<std::int64_t>::min()};
  return engine_.load(std::memory_order_acquire)->read_pulse();
}

CommitResult SqliteBackend::commit(std::string_view workspace, std::span<const Mutation> batch,
                                   const Announcement* announcement) {
  const Visit visit = enter();
  CommitResult refused;
  if (visit.error()) {
    refused.error.emplace(*visit.error());
    return refused;
  }
  if (options_.read_only) {
    refused.error.emplace(Status::read_only, "the store was opened read-only; nothing was changed");
    return refused;
  }
  CommitTicket ticket{workspace, batch, announcement, {}};
  Engine& engine = *visit;
  engine.queue.submit(ticket, [&engine](std::span<CommitTicket* const> group) { engine.commit_group(group); });
  return std::move(ticket.result);
}

}  // namespace tokenstore::sqlite

namespace tokenstore {

Result<std::shared_ptr<Backend>> sqlite_backend(const SqliteOptions& options) {
  return sqlite::SqliteBackend::open(options);
}

Result<std::shared_ptr<Backend>> sqlite_backup_backend(const std::string& path) {
  return sqlite::SqliteBackend::open_backup(path);
}

}  // namespace tokenstore
