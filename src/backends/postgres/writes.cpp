// Commits: several callers' batches in one transaction, in two round trips.
//
// The first locks the workspaces' rows in the feed and reads the revisions of every record that is named.
// Whoever writes to a workspace holds its row, so these stay true until the end. The second writes, announces
// and commits. Until it is sent, a failure means that nothing happened.
#include <map>
#include <set>
#include <tuple>

#include "backends/postgres/engine.hpp"
#include "backends/postgres/records.hpp"
#include "backends/postgres/schema.hpp"
#include "base/mutation.hpp"

namespace tokenstore::postgres {
namespace {

using Key = std::tuple<std::string_view, RecordKind, std::string_view>;  // views into the batches

/// A transaction over a group of tickets that has not sent its writes yet.
class GroupCommit {
 public:
  GroupCommit(Engine& engine, Session& session, std::span<CommitTicket* const> group, Deadline deadline)
      : engine_(engine), session_(session), group_(group), deadline_(deadline) {}

  /// The first round trip. The order of the locks is that of the names, so that hosts do not deadlock.
  std::optional<Failure> read() {
    for (const CommitTicket* ticket : group_) {
      spaces_.try_emplace(ticket->workspace);
      for (const Mutation& mutation : ticket->batch) {
        Space& space = spaces_[ticket->workspace];
        if (mutation.kind == RecordKind::token) space.tokens.insert(mutation.key);
        if (mutation.kind == RecordKind::owner) space.owners.insert(mutation.key);
        if (mutation.kind == RecordKind::store) names_store_ = true;
      }
    }
    if (auto failure = read_once()) return failure;
    if (!new_spaces_) return std::nullopt;
    // A workspace's first commit: its row has to be there before it can be locked.
    std::vector<Step> steps;
    for (const auto& [name, space] : spaces_) {
      steps.push_back({Sql::add_feed, {}});
      steps.back().params.octets(name);
    }
    if (Reply reply = session_.run(steps, deadline_); !reply.ok()) return reply.failure;
    return read_once();
  }

  /// Decides about every ticket and collects what is to be written.
  void decide() {
    for (CommitTicket* ticket : group_) decide(*ticket);
  }
  bool anything_to_write() const noexcept { return !writes_.empty(); }

  bool announces_anything() const noexcept { return announces_; }

  /// The second round trip. Empty: it is committed.
  std::optional<Failure> write(std::string& warning) {
    for (const auto& [name, space] : spaces_) {
      if (!space.announced) continue;
      writes_.push_back({Sql::set_feed_head, {}});
      writes_.back().params.octets(name).counter(space.revision).octets(space.link);
    }
    // NOTIFY takes a lock of the whole database until the transaction ends: only where somebody has to hear.
    if (announces_) {
      writes_.push_back({Sql::notify, {}});
      writes_.back().params.octets(channel_of(engine_.target.schema));
    }
    writes_.push_back({Sql::commit, {}});
    Reply reply = session_.run(writes_, deadline_);
    warning = session_.warning();
    if (!reply.ok()) return reply.failure;
    if (reply.answers.back().command() != "COMMIT") {
      return Failure{Failure::Kind::refused, {}, "the server rolled the transaction back"};
    }
    return std::nullopt;
  }

 private:
  struct Space {
    std::set<std::string_view> tokens;
    std::set<std::string_view> owners;
    std::uint64_t revision = 0;
    Bytes32 link{};
    bool announced = false;
  };

  std::optional<Failure> read_once() {
    std::vector<Step> steps;
    if (!begun_) steps.push_back({Sql::begin, {}});
    for (const auto& [name, space] : spaces_) {
      steps.push_back({Sql::lock_feed, {}});
      steps.back().params.octets(name);
    }
    for (const auto& [name, space] : spaces_) {
      const std::vector<std::string_view> tokens(space.tokens.begin(), space.tokens.end());
      const std::vector<std::string_view> owners(space.owners.begin(), space.owners.end());
      steps.push_back({Sql::token_revisions, {}});
      steps.back().params.octets(name).all_octets(tokens);
      steps.push_back({Sql::owner_revisions, {}});
      steps.back().params.octets(name).all_octets(owners);
      steps.push_back({Sql::workspace_revision, {}});
      steps.back().params.octets(name);
    }
    if (names_store_) steps.push_back({Sql::store_revision, {}});
    Reply reply = session_.run(steps, deadline_);
    if (!reply.ok()) return reply.failure;
    std::size_t at = begun_ ? 0 : 1;
    begun_ = true;
    new_spaces_ = false;
    revisions_.clear();
    for (auto& [name, space] : spaces_) {
      const Answer& feed = reply.answers[at++];
      if (feed.rows() == 0) new_spaces_ = true;
      space.revision = feed.rows() == 0 ? 0 : feed.counter(0, 0);
      if (feed.rows() != 0) space.link = feed.bytes<Bytes32>(0, 1);
    }
    for (auto& [name, space] : spaces_) {
      note(name, RecordKind::token, space.tokens, reply.answers[at++]);
      note(name, RecordKind::owner, space.owners, reply.answers[at++]);
      const Answer& settings = reply.answers[at++];
      revisions_[{name, RecordKind::workspace, name}] = settings.rows() == 0 ? 0 : settings.counter(0, 0);
    }
    if (names_store_) {
      const Answer& store = reply.answers[at];
      revisions_[Key{std::string_view(), RecordKind::store, std::string_view()}] =
          store.rows() == 0 ? 0 : store.counter(0, 0);
    }
    return std::nullopt;
  }

  void note(std::string_view workspace, RecordKind kind, const std::set<std::string_view>& asked,
            const Answer& answer) {
    for (int row = 0; row < answer.rows(); ++row) {
      // The key of the map is the batch's text, which outlives the answer.
      const auto key = asked.find(answer.octets(row, 0));
      if (key != asked.end()) revisions_[{workspace, kind, *key}] = answer.counter(row, 1);
    }
  }

  void decide(CommitTicket& ticket) {
    if (!base::is_well_formed(ticket.workspace, ticket.batch)) {
      ticket.result = {CommitOutcome::failed, 0, base::misfit()};
      return;
    }
    std::map<Key, RecordRevision> after;  // of this ticket alone, until all of its steps hold
    std::vector<Step> writes;
    for (const Mutation& mutation : ticket.batch) {
      const Key key = key_of(ticket, mutation);
      const auto found = revisions_.find(key);
      const RecordRevision now = found == revisions_.end() ? 0 : found->second;
      if (now != mutation.expected) {
        ticket.result = {CommitOutcome::conflict, 0, std::nullopt};
        return;
      }
      if (mutation.action == Mutation::Action::check) continue;
      add_write(writes, ticket.workspace, mutation, now);
      after[key] = mutation.action == Mutation::Action::remove ? 0 : revision_in(mutation.record);
    }
    for (const auto& [key, revision] : after) revisions_[key] = revision;
    Space& space = spaces_.find(ticket.workspace)->second;
    if (ticket.announcement != nullptr) announce(writes, ticket, space);
    writes_.insert(writes_.end(), std::make_move_iterator(writes.begin()), std::make_move_iterator(writes.end()));
    ticket.result = {CommitOutcome::committed, space.revision, std::nullopt};
  }

  /// All workspaces share the store's record; the key of the others begins with theirs.
  static Key key_of(const CommitTicket& ticket, const Mutation& mutation) noexcept {
    const std::string_view workspace = mutation.kind == RecordKind::store ? std::string_view() : ticket.workspace;
    return {workspace, mutation.kind, mutation.key};
  }

  void announce(std::vector<Step>& writes, const CommitTicket& ticket, Space& space) {
    ++space.revision;
    space.link = ticket.announcement->link(space.revision, space.link);
    space.announced = true;
    announces_ = true;
    writes.push_back({Sql::add_change, {}});
    writes.back().params.octets(ticket.workspace).counter(space.revision);
    writes.back().params.octets(ticket.announcement->entry()).octets(space.link);
  }

  static RecordRevision revision_in(const Record& record) {
    return std::visit([](const auto& one) { return one.revision; }, record);
  }

  static void add_write(std::vector<Step>& writes, std::string_view workspace, const Mutation& mutation,
                        RecordRevision now) {
    if (mutation.action == Mutation::Action::remove) {
      writes.push_back({Sql::delete_token, {}});
      writes.back().params.octets(workspace).octets(mutation.key);
    } else if (const auto* token = std::get_if<TokenRecord>(&mutation.record)) {
      if (now == 0) {
        writes.push_back({Sql::insert_token, new_token(workspace, *token)});
      } else {
        writes.push_back({Sql::update_token, changed_token(workspace, *token)});
      }
    } else if (const auto* owner = std::get_if<OwnerRecord>(&mutation.record)) {
      writes.push_back({Sql::put_owner, owner_row(workspace, *owner)});
    } else if (const auto* settings = std::get_if<WorkspaceRecord>(&mutation.record)) {
      writes.push_back({Sql::put_workspace, workspace_row(*settings)});
    } else {
      // No row is locked that would keep two hosts from making it at once: the second must fail, not replace it.
      writes.push_back(
          {now == 0 ? Sql::insert_store : Sql::update_store, store_row(std::get<StoreRecord>(mutation.record))});
    }
  }

  Engine& engine_;
  Session& session_;
  std::span<CommitTicket* const> group_;
  Deadline deadline_;
  bool begun_ = false;
  bool new_spaces_ = false;
  bool names_store_ = false;
  bool announces_ = false;
  std::map<std::string_view, Space> spaces_;
  std::map<Key, RecordRevision> revisions_;
  std::vector<Step> writes_;
};

/// What has been decided but did not happen, or may not have.
void settle_tickets(Engine& engine, std::span<CommitTicket* const> group, CommitOutcome outcome, const Error& error) {
  for (CommitTicket* ticket : group) {
    if (ticket->result.outcome != CommitOutcome::committed && !ticket->batch.empty()) {
      if (ticket->result.outcome == CommitOutcome::conflict) continue;
      if (ticket->result.error && ticket->result.error->status() == Status::invalid_argument) continue;
    }
    if (outcome == CommitOutcome::unknown) {
      for (const Mutation& mutation : ticket->batch) {
        if (mutation.action != Mutation::Action::check) engine.doubts.add(ticket->workspace, mutation);
      }
    }
    ticket->result = {outcome, 0, error};
  }
}

enum class Try : std::uint8_t { done, again, one_by_one };

/// Forgets what a ticket was told by an attempt that came to nothing.
void reset(std::span<CommitTicket* const> group) {
  for (CommitTicket* ticket : group) ticket->result = {};
}

Try try_group(Engine& engine, std::span<CommitTicket* const> group, Deadline deadline, bool may_repeat) {
  reset(group);
  Pool::Taken taken = engine.pool.take(deadline);
  if (!taken.lease) {
    settle_tickets(engine, group, CommitOutcome::failed, error_of(*taken.failure, "connecting to write"));
    return Try::done;
  }
  Session& session = **taken.lease;
  GroupCommit transaction(engine, session, group, deadline);
  std::optional<Failure> failure = transaction.read();
  bool sent = false;
  std::string warning;
  if (!failure) {
    transaction.decide();
    if (!transaction.anything_to_write()) {
      session.run(Sql::rollback, {}, deadline);
      return Try::done;
    }
    sent = true;
    failure = transaction.write(warning);
    // Before anybody is told, and also if it only may have happened.
    if (transaction.announces_anything()) engine.listener.moved();
  }
  if (!failure) {
    for (const CommitTicket* ticket : group) {
      if (ticket->result.outcome == CommitOutcome::committed) {
        engine.history.note(ticket->workspace, session.timeline(), ticket->result.revision, 0);
      }
    }
    if (!warning.empty()) {
      // The commit is local only: the wait for a synchronous standby was cancelled.
      settle_tickets(engine, group, CommitOutcome::unknown,
                     Error(Status::unknown,
                           "the change is on the primary, but it is not certain that a standby has "
                           "it: " +
                               warning));
    }
    return Try::done;
  }

  const bool refused = failure->kind == Failure::Kind::refused;
  if (refused && session.usable()) session.run(Sql::rollback, {}, deadline);
  if (!sent || refused) {
    const bool server_changed =
        failure->is_read_only_server() || (failure->kind == Failure::Kind::lost && !taken.lease->fresh());
    if (server_changed) engine.pool.retire();
    if (may_repeat && (server_changed || failure->is_retryable()) && !deadline.over()) return Try::again;
    if (group.size() > 1 && refused && !deadline.over()) return Try::one_by_one;
    if (group.size() == 1 && failure->state == "23505") {
      group[0]->result = {CommitOutcome::conflict, 0, std::nullopt};
      return Try::done;
    }
    settle_tickets(engine, group, CommitOutcome::failed, error_of(*failure, "writing"));
    return Try::done;
  }
  settle_tickets(engine, group, CommitOutcome::unknown,
                 Error(Status::unknown, "it is not known whether the change was made: " + failure->text));
  return Try::done;
}

void run_group(Engine& engine, std::span<CommitTicket* const> group, Deadline deadline) {
  constexpr int most_attempts = 4;
  for (int attempt = 1;; ++attempt) {
    switch (try_group(engine, group, deadline, attempt < most_attempts)) {
      case Try::done:
        return;
      case Try::again:
        break;
      case Try::one_by_one:
        for (std::size_t at = 0; at < group.size(); ++at) {
          run_group(engine, group.subspan(at, 1), group[at]->deadline);
        }
        return;
    }
  }
}

}  // namespace

void commit_group(Engine& engine, std::span<CommitTicket* const> group) noexcept {
  try {
    std::vector<CommitTicket*> in_time;
    in_time.reserve(group.size());
    Deadline first = Deadline::in(Deadline::longest);
    for (CommitTicket* ticket : group) {
      if (ticket->deadline.over()) {
        ticket->result = {CommitOutcome::failed, 0,
                          Error(Status::unavailable, "earlier changes kept the server busy until the deadline")};
        continue;
      }
      in_time.push_back(ticket);
      if (ticket->deadline.at() < first.at()) first = ticket->deadline;
    }
    if (!in_time.empty()) run_group(engine, in_time, first);
  } catch (...) {
    // Out of memory, possibly after the commit was sent.
    for (CommitTicket* ticket : group) {
      ticket->result = {CommitOutcome::unknown, 0, std::nullopt};
    }
    engine.listener.moved();
  }
}

}  // namespace tokenstore::postgres
