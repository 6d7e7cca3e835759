// Group commit and last uses.
#include <algorithm>
#include <new>

#include "backends/sqlite/errors.hpp"
#include "backends/sqlite/records.hpp"
#include "backends/sqlite/schema.hpp"
#include "backends/sqlite/sqlite_backend.hpp"
#include "base/mutation.hpp"

namespace tokenstore::sqlite {
namespace {

/// A write transaction: rolled back unless it was committed.
class Transaction {
 public:
  explicit Transaction(Connection& connection) noexcept : connection_(connection) {}
  ~Transaction() { roll_back(); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  int begin() noexcept { return Query(connection_, Sql::begin_write).run(); }
  int commit() noexcept { return Query(connection_, Sql::commit).run(); }
  void roll_back() noexcept {
    // SQLite has done it itself after some errors.
    if (connection_.in_transaction()) Query(connection_, Sql::rollback).run();
  }

 private:
  Connection& connection_;
};

void answer(CommitTicket& ticket, CommitOutcome outcome, std::uint64_t revision) noexcept {
  ticket.result.outcome = outcome;
  ticket.result.revision = revision;
  ticket.result.error.reset();
}

void fail(CommitTicket& ticket, CommitOutcome outcome, const Error& error) {
  ticket.result.outcome = outcome;
  ticket.result.revision = 0;
  ticket.result.error.emplace(error);
}

enum class Held : std::uint8_t { yes, no };

Sql revision_statement(RecordKind kind) {
  switch (kind) {
    case RecordKind::owner:
      return Sql::owner_revision;
    case RecordKind::workspace:
      return Sql::workspace_revision;
    case RecordKind::store:
      return Sql::store_revision;
    case RecordKind::token:
      break;
  }
  return Sql::token_revision;
}

/// The stored revision of the record that a step names; 0: absent.
int read_revision(Connection& connection, std::string_view workspace, const Mutation& mutation,
                  RecordRevision& found) noexcept {
  Query row(connection, revision_statement(mutation.kind));
  row.text(1, workspace).text(2, mutation.key);
  const int code = row.step();
  if (code == SQLITE_ROW) found = static_cast<RecordRevision>(row.number_at(0));
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int check_precondition(Connection& connection, std::string_view workspace, const Mutation& mutation, Held& held) {
  RecordRevision found = 0;
  const int code = read_revision(connection, workspace, mutation, found);
  held = found == mutation.expected ? Held::yes : Held::no;
  return code;
}

int put(Connection& connection, std::string_view workspace, const Mutation& mutation) {
  if (const auto* token = std::get_if<TokenRecord>(&mutation.record)) {
    Query query(connection, mutation.expected == 0 ? Sql::insert_token : Sql::update_token);
    bind_token(query, workspace, *token);
    if (mutation.expected == 0) bind_new_uses(query, *token);
    return query.run();
  }
  if (const auto* owner = std::get_if<OwnerRecord>(&mutation.record)) {
    Query query(connection, Sql::put_owner);
    bind_owner(query, workspace, *owner);
    return query.run();
  }
  if (const auto* settings = std::get_if<WorkspaceRecord>(&mutation.record)) {
    Query query(connection, Sql::put_workspace);
    bind_workspace(query, *settings);
    return query.run();
  }
  Query query(connection, Sql::put_store);
  bind_store(query, std::get<StoreRecord>(mutation.record));
  return query.run();
}

int apply(Connection& connection, std::string_view workspace, const Mutation& mutation) {
  switch (mutation.action) {
    case Mutation::Action::check:
      return SQLITE_OK;
    case Mutation::Action::put:
      return put(connection, workspace, mutation);
    case Mutation::Action::remove:
      return Query(connection, Sql::delete_token).text(1, workspace).text(2, mutation.key).run();
  }
  return SQLITE_MISUSE;
}

/// Revision and link of a workspace's feed. 0 and zeroes: nothing was announced yet.
int read_head(Connection& connection, std::string_view workspace, std::int64_t& revision, Bytes32& link) {
  Query head(connection, Sql::feed_head);
  const int code = head.text(1, workspace).step();
  if (code == SQLITE_ROW) {
    revision = head.number_at(0);
    link = read_link(head, 1);
    return SQLITE_OK;
  }
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

/// Appends an announcement. `revision` and `link` are of the head before.
int announce(Connection& connection, std::string_view workspace, const Announcement& announcement,
             std::int64_t revision, const Bytes32& link) {
  const Bytes32 next = announcement.link(static_cast<std::uint64_t>(revision), link);
  const std::string_view entry = announcement.entry();
  Query head(connection, Sql::set_feed_head);
  int code = head.text(1, workspace).number(2, revision).blob(3, next).run();
  if (code != SQLITE_OK) return code;
  Query change(connection, Sql::add_change);
  change.text(1, workspace).number(2, revision);
  change.blob(3, {reinterpret_cast<const std::uint8_t*>(entry.data()), entry.size()}).blob(4, next);
  return change.run();
}

int trim_feed(Connection& connection, std::string_view workspace, std::int64_t revision) {
  const std::int64_t from = revision - feed_revisions;
  int code = Query(connection, Sql::drop_changes).text(1, workspace).number(2, from).run();
  if (code == SQLITE_OK) code = Query(connection, Sql::set_feed_from).text(1, workspace).number(2, from).run();
  return code;
}

bool only_checks(std::span<const Mutation> batch) {
  for (const Mutation& mutation : batch) {
    if (mutation.action != Mutation::Action::check) return false;
  }
  return true;
}

/// Runs one batch inside the open transaction. All preconditions come first, so that a batch that does
/// not hold has not changed anything and its neighbours go on.
int run_batch(Connection& connection, CommitTicket& ticket, bool& wrote) {
  if (!base::is_well_formed(ticket.workspace, ticket.batch)) {
    fail(ticket, CommitOutcome::failed, base::misfit());
    return SQLITE_OK;
  }
  for (const Mutation& mutation : ticket.batch) {
    Held held = Held::no;
    const int code = check_precondition(connection, ticket.workspace, mutation, held);
    if (code != SQLITE_OK) return code;
    if (held == Held::no) {
      answer(ticket, CommitOutcome::conflict, 0);
      return SQLITE_OK;
    }
  }
  std::int64_t revision = 0;
  Bytes32 link{};
  int code = read_head(connection, ticket.workspace, revision, link);
  if (code != SQLITE_OK) return code;
  if (ticket.announcement != nullptr || !only_checks(ticket.batch)) {
    for (const Mutation& mutation : ticket.batch) {
      code = apply(connection, ticket.workspace, mutation);
      if (code != SQLITE_OK) return code;
    }
    if (ticket.announcement != nullptr) {
      ++revision;
      code = announce(connection, ticket.workspace, *ticket.announcement, revision, link);
      if (code == SQLITE_OK && revision > feed_revisions && revision % feed_slack == 0) {
        code = trim_feed(connection, ticket.workspace, revision);
      }
      if (code != SQLITE_OK) return code;
    }
    ticket.wrote = true;
    wrote = true;
  }
  answer(ticket, CommitOutcome::committed, static_cast<std::uint64_t>(revision));
  return SQLITE_OK;
}

void fail_all(std::span<CommitTicket* const> group, CommitOutcome outcome, const Error& error) {
  for (CommitTicket* ticket : group) fail(*ticket, outcome, error);
}

/// What a step would have left behind, were its batch committed.
bool shows(const Mutation& mutation, RecordRevision found) noexcept {
  if (mutation.action == Mutation::Action::put) return found > mutation.expected;
  return found == 0 || found > mutation.expected;
}

/// Is there no trace of a batch that was not committed? `revision`: what it would have reached.
int look_for_traces(Connection& connection, const CommitTicket& ticket, bool& found) noexcept {
  if (ticket.announcement != nullptr) {
    std::int64_t revision = 0;
    Bytes32 link{};
    if (const int code = read_head(connection, ticket.workspace, revision, link); code != SQLITE_OK) return code;
    if (static_cast<std::uint64_t>(revision) >= ticket.result.revision) found = true;
  }
  for (const Mutation& mutation : ticket.batch) {
    if (mutation.action == Mutation::Action::check) continue;
    RecordRevision now = 0;
    if (const int code = read_revision(connection, ticket.workspace, mutation, now); code != SQLITE_OK) return code;
    if (shows(mutation, now)) found = true;
  }
  return SQLITE_OK;
}

/// After a COMMIT that failed: may the transaction come back? A commit record can have reached the WAL
/// although syncing it failed, and recovery after a crash would then find it. A durable commit after it
/// overwrites it; only if that succeeds is it certain that nothing happened.
CommitOutcome settle(Connection& connection, std::span<CommitTicket* const> group) noexcept {
  Transaction barrier(connection);
  if (barrier.begin() != SQLITE_OK) return CommitOutcome::unknown;
  for (const CommitTicket* ticket : group) {
    if (!ticket->wrote) continue;
    bool found = false;
    // Ours, or somebody else's since: it cannot be told.
    if (look_for_traces(connection, *ticket, found) != SQLITE_OK || found) return CommitOutcome::unknown;
  }
  // Writing the same number again makes a frame all the same.
  int code = SQLITE_OK;
  const std::int64_t version = connection.number("PRAGMA user_version", code);
  if (code != SQLITE_ROW) return CommitOutcome::unknown;
  if (connection.execute(("PRAGMA user_version = " + std::to_string(version)).c_str()) != SQLITE_OK) {
    return CommitOutcome::unknown;
  }
  return barrier.commit() == SQLITE_OK ? CommitOutcome::failed : CommitOutcome::unknown;
}

/// The whole group in one transaction. False: one of several batches could not be run, and nothing
/// happened; each is to be tried by itself.
bool try_group(Engine& engine, Connection& connection, std::span<CommitTicket* const> group, int& spoiling_code,
               CommitOutcome& if_memory_runs_out) {
  const std::string& path = engine.target.path;
  Transaction transaction(connection);
  int code = transaction.begin();
  if (code != SQLITE_OK) {
    spoiling_code = code;
    fail_all(group, CommitOutcome::failed, error_of(code, "waiting to write"));
    return true;
  }
  // Whoever replaces the file does so while nobody can write: what waited for that must not go on in the old one.
  if (std::optional<Error> error = engine.check_files(true)) {
    fail_all(group, CommitOutcome::failed, *error);
    return true;
  }
  if (const Result<void> ours = check_unchanged(connection, path); !ours) {
    fail_all(group, CommitOutcome::failed, ours.error());
    return true;
  }
  bool wrote = false;
  for (CommitTicket* ticket : group) {
    ticket->wrote = false;
    code = run_batch(connection, *ticket, wrote);
    if (code == SQLITE_OK) continue;
    transaction.roll_back();
    if (group.size() > 1) return false;
    spoiling_code = code;
    fail(*ticket, CommitOutcome::failed, error_of(code, "writing"));
    return true;
  }
  if (!wrote) return true;

  if_memory_runs_out = CommitOutcome::unknown;
  code = transaction.commit();
  if (code == SQLITE_OK) return true;
  spoiling_code = code;
  transaction.roll_back();
  // A full disk leaves the commit record unwritten; anything else is less clear.
  CommitOutcome outcome = CommitOutcome::failed;
  const int primary = code & 0xff;
  if (primary != SQLITE_FULL && primary != SQLITE_BUSY) outcome = settle(connection, group);
  const Error error = error_of(code, "making a change durable");
  for (CommitTicket* ticket : group) {
    if (ticket->wrote) fail(*ticket, outcome, error);
  }
  return true;
}

int note_uses(Engine& engine, Connection& connection, std::string_view workspace, std::span<const Use> uses) {
  Transaction transaction(connection);
  if (const int code = transaction.begin(); code != SQLITE_OK) return code;
  if (engine.check_files(true)) return SQLITE_ABORT;
  for (const Use& use : uses) {
    Query query(connection, Sql::note_use);
    query.text(1, workspace).text(2, use.id).number(3, use.used_at).text(4, use.used_from);
    if (const int code = query.run(); code != SQLITE_OK) return code;
  }
  return transaction.commit();
}

}  // namespace

void Engine::commit_group(std::span<CommitTicket* const> group) noexcept {
  if (run_group(group)) return;
  for (std::size_t i = 0; i < group.size(); ++i) run_group(group.subspan(i, 1));
}

// False: try each batch by itself.
bool Engine::run_group(std::span<CommitTicket* const> group) noexcept {
  // Every ticket starts out as what it is if nothing more can be done for it.
  CommitOutcome if_memory_runs_out = CommitOutcome::failed;
  try {
    if (std::optional<Error> error = check_files(true)) {
      fail_all(group, CommitOutcome::failed, *error);
      return true;
    }
    const std::lock_guard lock(writer_mutex);
    const Result<Connection*> connection = writer_connection();
    if (!connection) {
      fail_all(group, CommitOutcome::failed, connection.error());
      return true;
    }
    int code = SQLITE_OK;
    const bool settled = try_group(*this, **connection, group, code, if_memory_runs_out);
    if (spoils_connection(code)) discard_writer();
    return settled;
  } catch (const std::bad_alloc&) {
    for (CommitTicket* ticket : group) {
      // Short enough for the text to need no memory.
      fail(*ticket, if_memory_runs_out, Error(Status::out_of_memory, "out of memory"));
    }
    return true;
  }
}

Result<void> SqliteBackend::record_uses(std::string_view workspace, std::span<const Use> uses) {
  const Visit visit = enter();
  if (visit.error()) return *visit.error();
  if (options_.read_only) return Error(Status::read_only, "the store was opened read-only; nothing was changed");
  if (std::optional<Error> error = visit->check_files(true)) return std::move(*error);
  // In slices, so that commits do not wait long for the lock.
  constexpr std::size_t slice_max = 1000;
  while (!uses.empty()) {
    const std::span<const Use> slice = uses.first(std::min(uses.size(), slice_max));
    uses = uses.subspan(slice.size());
    const std::lock_guard lock(visit->writer_mutex);
    const Result<Connection*> connection = visit->writer_connection();
    if (!connection) return connection.error();
    const int code = note_uses(*visit, **connection, workspace, slice);
    if (code != SQLITE_OK) {
      if (std::optional<Error> error = visit->check_files(true)) return std::move(*error);
      if (spoils_connection(code)) visit->discard_writer();
      return error_of(code, "writing last uses");
    }
  }
  return {};
}

}  // namespace tokenstore::sqlite
