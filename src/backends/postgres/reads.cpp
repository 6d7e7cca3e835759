// Look-ups, lists and the change feed.
#include <algorithm>

#include "backends/postgres/postgres_backend.hpp"
#include "backends/postgres/records.hpp"
#include "backends/postgres/schema.hpp"
#include "base/text_rules.hpp"

namespace tokenstore::postgres {
namespace {

/// No id is above this: ids have 16 octets.
const std::string& above_every_id() {
  static const std::string bound(64, '\xff');
  return bound;
}

std::int64_t row_limit(std::size_t limit) noexcept {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max() - 1);
  return static_cast<std::int64_t>(std::min(limit, most));
}

TokenQuery::State state_at(const TokenRecord& token, UnixMillis now) noexcept {
  if (token.revoked_at != std::numeric_limits<UnixMillis>::max()) return TokenQuery::State::revoked;
  if (token.expired_at != std::numeric_limits<UnixMillis>::max() || token.expires_at <= now) {
    return TokenQuery::State::expired;
  }
  if (token.not_before > now) return TokenQuery::State::pending;
  return TokenQuery::State::active;
}

bool matches(const TokenRecord& token, const TokenQuery& query) {
  if (query.state != TokenQuery::State::any && state_at(token, query.now) != query.state) return false;
  return query.text.empty() || base::contains_ignoring_ascii_case(token.description, query.text);
}

}  // namespace

Result<Answer> PostgresBackend::ask(Engine& engine, std::string_view workspace, std::uint64_t doubt, Sql which,
                                    const Params& params, std::string_view doing, Deadline deadline) {
  if (doubt != 0) {
    if (auto failure = engine.settle(workspace, doubt, deadline)) return error_of(*failure, doing);
  }
  Answer answer;
  if (auto failure = engine.query(which, params, deadline, answer)) return error_of(*failure, doing);
  return answer;
}

Result<Answer> PostgresBackend::ask(std::string_view workspace, Sql which, const Params& params,
                                    std::string_view doing) {
  const Deadline deadline = Deadline::in(options_.deadline);
  const Result<Engine*> engine = enter();
  if (!engine) return engine.error();
  const std::uint64_t doubt = (*engine)->doubts.any() ? (*engine)->doubts.about(workspace) : 0;
  return ask(**engine, workspace, doubt, which, params, doing, deadline);
}

Result<Answer> PostgresBackend::ask_about(std::string_view workspace, RecordKind kind, std::string_view key, Sql which,
                                          const Params& params, std::string_view doing) {
  const Deadline deadline = Deadline::in(options_.deadline);
  const Result<Engine*> engine = enter();
  if (!engine) return engine.error();
  const std::uint64_t doubt = (*engine)->doubts.any() ? (*engine)->doubts.about(workspace, kind, key) : 0;
  return ask(**engine, workspace, doubt, which, params, doing, deadline);
}

Result<std::optional<TokenRecord>> PostgresBackend::load_token(std::string_view workspace, std::string_view id) {
  Params params;
  params.octets(workspace).octets(id);
  const Result<Answer> answer = ask_about(workspace, RecordKind::token, id, Sql::load_token, params, "reading a token");
  if (!answer) return answer.error();
  if (answer->rows() == 0) return std::optional<TokenRecord>();
  return std::optional<TokenRecord>(read_token(*answer, 0));
}

Result<std::optional<OwnerRecord>> PostgresBackend::load_owner(std::string_view workspace, std::string_view owner) {
  Params params;
  params.octets(workspace).octets(owner);
  const Result<Answer> answer =
      ask_about(workspace, RecordKind::owner, owner, Sql::load_owner, params, "reading an owner");
  if (!answer) return answer.error();
  if (answer->rows() == 0) return std::optional<OwnerRecord>();
  return std::optional<OwnerRecord>(read_owner(*answer, 0));
}

Result<std::optional<WorkspaceRecord>> PostgresBackend::load_workspace(std::string_view workspace) {
  Params params;
  params.octets(workspace);
  const Result<Answer> answer =
      ask_about(workspace, RecordKind::workspace, workspace, Sql::load_workspace, params, "reading a workspace");
  if (!answer) return answer.error();
  if (answer->rows() == 0) return std::optional<WorkspaceRecord>();
  return std::optional<WorkspaceRecord>(read_workspace(*answer, 0));
}

Result<std::optional<StoreRecord>> PostgresBackend::load_store() {
  const Result<Answer> answer = ask({}, Sql::load_store, {}, "reading the store's record");
  if (!answer) return answer.error();
  if (answer->rows() == 0) return std::optional<StoreRecord>();
  return std::optional<StoreRecord>(read_store(*answer, 0));
}

Result<TokenList> PostgresBackend::list_tokens(std::string_view workspace, const TokenQuery& query) {
  constexpr std::size_t largest_slice = 1'000;
  TokenList list;
  if (query.limit == 0 || query.scan_limit == 0) return list;
  std::string before = query.before_id.empty() ? above_every_id() : query.before_id;
  std::size_t looked_at = 0;
  // One row more than is wanted tells whether there is more. A filter that finds little takes larger slices.
  std::size_t slice = std::min({query.limit, query.scan_limit, largest_slice}) + 1;
  for (;;) {
    Params params;
    params.octets(workspace).octets(before).number(row_limit(slice));
    if (!query.owner.empty()) params.octets(query.owner);
    const Result<Answer> answer =
        ask(workspace, query.owner.empty() ? Sql::list_tokens : Sql::list_tokens_of_owner, params, "listing tokens");
    if (!answer) return answer.error();
    for (int row = 0; row < answer->rows(); ++row) {
      if (list.tokens.size() >= query.limit || looked_at >= query.scan_limit) {
        list.next_before_id = before;
        return list;
      }
      TokenRecord token = read_token(*answer, row);
      ++looked_at;
      before = token.id;
      if (matches(token, query)) list.tokens.push_back(std::move(token));
    }
    if (static_cast<std::size_t>(answer->rows()) < slice) return list;
    slice = std::min(slice * 2, largest_slice);
  }
}

Result<OwnerList> PostgresBackend::list_owners(std::string_view workspace, std::string_view after, std::size_t limit) {
  Params params;
  params.octets(workspace).octets(after).number(row_limit(limit) + 1);
  const Result<Answer> answer = ask(workspace, Sql::list_owners, params, "listing owners");
  if (!answer) return answer.error();
  OwnerList list;
  for (int row = 0; row < answer->rows(); ++row) {
    if (list.owners.size() >= limit) {
      list.more = true;
      break;
    }
    list.owners.push_back(read_owner(*answer, row));
  }
  return list;
}

Result<std::vector<WorkspaceRecord>> PostgresBackend::list_workspaces(std::string_view after, std::size_t limit) {
  Params params;
  params.octets(after).number(row_limit(limit));
  const Result<Answer> answer = ask({}, Sql::list_workspaces, params, "listing workspaces");
  if (!answer) return answer.error();
  std::vector<WorkspaceRecord> list;
  list.reserve(static_cast<std::size_t>(answer->rows()));
  for (int row = 0; row < answer->rows(); ++row) list.push_back(read_workspace(*answer, row));
  return list;
}

Result<TokenCounts> PostgresBackend::count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) {
  Params params;
  params.octets(workspace).number(now);
  if (!owner.empty()) params.octets(owner);
  const Result<Answer> answer =
      ask(workspace, owner.empty() ? Sql::count_tokens : Sql::count_tokens_of_owner, params, "counting tokens");
  if (!answer) return answer.error();
  TokenCounts counts;
  counts.active = answer->counter(0, 0);
  counts.pending = answer->counter(0, 1);
  counts.expired = answer->counter(0, 2);
  counts.revoked = answer->counter(0, 3);
  return counts;
}

Result<std::uint64_t> PostgresBackend::count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                                  std::uint64_t at_most) {
  Params params;
  params.octets(workspace).octets(owner).number(now).number(row_limit(at_most));
  const Result<Answer> answer = ask(workspace, Sql::count_live, params, "counting tokens");
  if (!answer) return answer.error();
  return answer->counter(0, 0);
}

Result<std::vector<EndedToken>> PostgresBackend::list_ended(std::string_view workspace, UnixMillis ended_before,
                                                            std::size_t limit) {
  Params params;
  params.octets(workspace).number(ended_before).number(row_limit(limit));
  const Result<Answer> answer = ask(workspace, Sql::list_ended, params, "listing ended tokens");
  if (!answer) return answer.error();
  std::vector<EndedToken> ended;
  ended.reserve(static_cast<std::size_t>(answer->rows()));
  for (int row = 0; row < answer->rows(); ++row) {
    ended.push_back({std::string(answer->octets(row, 0)), answer->counter(row, 1)});
  }
  return ended;
}

Result<Changes> PostgresBackend::changes(std::string_view workspace, std::uint64_t after_revision) {
  const Deadline deadline = Deadline::in(options_.deadline);
  const Result<Engine*> engine = enter();
  if (!engine) return engine.error();
  Params params;
  // A revision beyond any that can be: nothing lies after it.
  const auto after =
      static_cast<std::int64_t>(std::min<std::uint64_t>(after_revision, std::numeric_limits<std::int64_t>::max()));
  params.octets(workspace).number(after).number(feed_entries_max + 1);
  Answer answer;
  std::string timeline;
  const auto failure = (*engine)->repeatable(deadline, [&](Session& session, Deadline by) -> std::optional<Failure> {
    Reply reply = session.run(Sql::changes, params, by);
    if (!reply.ok()) return reply.failure;
    answer = std::move(reply.answers[0]);
    timeline = session.timeline();
    return std::nullopt;
  });
  if (failure) return error_of(*failure, "reading the change feed");
  Changes changes;
  if (answer.rows() > 0) {
    changes.revision = answer.counter(0, 0);
    changes.link = answer.bytes<Bytes32>(0, 1);
    changes.complete_from = answer.counter(0, 2);
  }
  const bool same_history = (*engine)->history.note(workspace, timeline, changes.revision, after_revision);
  // A revision that lies ahead was seen in another history than this one.
  changes.everything = !same_history || after_revision > changes.revision || after_revision < changes.complete_from ||
                       answer.rows() > feed_entries_max;
  if (changes.everything) return changes;
  for (int row = 0; row < answer.rows(); ++row) {
    if (answer.is_null(row, 3)) continue;  // the head alone
    changes.entries.push_back(
        {answer.counter(row, 3), std::string(answer.octets(row, 4)), answer.bytes<Bytes32>(row, 5)});
  }
  return changes;
}

}  // namespace tokenstore::postgres
