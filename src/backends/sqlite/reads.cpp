// Look-ups and lists.
#include <algorithm>

#include "backends/sqlite/look_up.hpp"
#include "backends/sqlite/records.hpp"
#include "backends/sqlite/schema.hpp"
#include "base/text_rules.hpp"

namespace tokenstore::sqlite {
namespace {

int done_or(int code) {
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

std::int64_t bounded(std::uint64_t count) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
  return static_cast<std::int64_t>(std::min(count, most));
}

Sql list_statement(const TokenQuery& query) {
  if (!query.owner.empty()) return Sql::list_tokens_of_owner;
  if (query.state == TokenQuery::State::revoked) return Sql::list_revoked_tokens;
  return Sql::list_tokens;
}

bool wanted(const Query& row, const TokenQuery& query) {
  if (query.state != TokenQuery::State::any && read_state(row, query.now) != query.state) return false;
  return query.text.empty() || base::contains_ignoring_ascii_case(read_description(row), query.text);
}

template <typename T, typename Read>
int load_one(Query& row, std::optional<T>& answer, Read read) {
  const int code = row.step();
  if (code == SQLITE_ROW) answer = read(row);
  return code == SQLITE_ROW ? SQLITE_OK : done_or(code);
}

}  // namespace

Result<std::optional<TokenRecord>> SqliteBackend::load_token(std::string_view workspace, std::string_view id) {
  return look_up<std::optional<TokenRecord>>(false, "reading a token", [&](Connection& connection, auto& answer) {
    Query row(connection, Sql::load_token);
    row.text(1, workspace).text(2, id);
    return load_one(row, answer, read_token);
  });
}

Result<std::optional<OwnerRecord>> SqliteBackend::load_owner(std::string_view workspace, std::string_view owner) {
  return look_up<std::optional<OwnerRecord>>(false, "reading an owner", [&](Connection& connection, auto& answer) {
    Query row(connection, Sql::load_owner);
    row.text(1, workspace).text(2, owner);
    return load_one(row, answer, read_owner);
  });
}

Result<std::optional<WorkspaceRecord>> SqliteBackend::load_workspace(std::string_view workspace) {
  return look_up<std::optional<WorkspaceRecord>>(false, "reading a workspace",
                                                 [&](Connection& connection, auto& answer) {
                                                   Query row(connection, Sql::load_workspace);
                                                   row.text(1, workspace);
                                                   return load_one(row, answer, read_workspace);
                                                 });
}

Result<std::optional<StoreRecord>> SqliteBackend::load_store() {
  return look_up<std::optional<StoreRecord>>(false, "reading the store's record",
                                             [&](Connection& connection, auto& answer) {
                                               Query row(connection, Sql::load_store);
                                               return load_one(row, answer, read_store);
                                             });
}

Result<TokenList> SqliteBackend::list_tokens(std::string_view workspace, const TokenQuery& query) {
  return look_up<TokenList>(false, "listing tokens", [&](Connection& connection, TokenList& list) {
    const std::int64_t scan_limit = std::max<std::int64_t>(bounded(query.scan_limit), 1);
    Query row(connection, list_statement(query));
    row.text(1, workspace);
    // In SQLite every text is below every blob, so an empty blob is a bound above all ids.
    if (query.before_id.empty()) {
      row.blob(2, {});
    } else {
      row.text(2, query.before_id);
    }
    row.number(3, scan_limit + 1);
    if (!query.owner.empty()) row.text(4, query.owner);

    std::string lowest;
    std::int64_t looked_at = 0;
    int code = SQLITE_DONE;
    while (list.tokens.size() < query.limit && looked_at < scan_limit) {
      code = row.step();
      if (code != SQLITE_ROW) return done_or(code);
      ++looked_at;
      lowest.assign(read_id(row));
      if (wanted(row, query)) list.tokens.push_back(read_token(row));
    }
    // One more row tells whether there is a next part.
    code = row.step();
    if (code == SQLITE_ROW) {
      list.next_before_id = std::move(lowest);
      code = SQLITE_OK;
    }
    return done_or(code);
  });
}

Result<OwnerList> SqliteBackend::list_owners(std::string_view workspace, std::string_view after, std::size_t limit) {
  return look_up<OwnerList>(false, "listing owners", [&](Connection& connection, OwnerList& list) {
    Query row(connection, Sql::list_owners);
    row.text(1, workspace).text(2, after).number(3, bounded(limit) + 1);
    int code = row.step();
    for (; code == SQLITE_ROW; code = row.step()) {
      if (list.owners.size() == limit) {
        list.more = true;
        return SQLITE_OK;
      }
      list.owners.push_back(read_owner(row));
    }
    return done_or(code);
  });
}

Result<std::vector<WorkspaceRecord>> SqliteBackend::list_workspaces(std::string_view after, std::size_t limit) {
  return look_up<std::vector<WorkspaceRecord>>(false, "listing workspaces", [&](Connection& connection, auto& list) {
    Query row(connection, Sql::list_workspaces);
    row.text(1, after).number(2, bounded(limit));
    int code = row.step();
    for (; code == SQLITE_ROW; code = row.step()) list.push_back(read_workspace(row));
    return done_or(code);
  });
}

Result<TokenCounts> SqliteBackend::count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) {
  return look_up<TokenCounts>(false, "counting tokens", [&](Connection& connection, TokenCounts& counts) {
    Query row(connection, owner.empty() ? Sql::count_tokens : Sql::count_tokens_of_owner);
    row.text(1, workspace).number(2, now);
    if (!owner.empty()) row.text(3, owner);
    const int code = row.step();
    if (code != SQLITE_ROW) return done_or(code);
    counts.active = static_cast<std::uint64_t>(row.number_at(0));
    counts.pending = static_cast<std::uint64_t>(row.number_at(1));
    counts.expired = static_cast<std::uint64_t>(row.number_at(2));
    counts.revoked = static_cast<std::uint64_t>(row.number_at(3));
    return SQLITE_OK;
  });
}

Result<std::uint64_t> SqliteBackend::count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                                std::uint64_t at_most) {
  return look_up<std::uint64_t>(false, "counting live tokens", [&](Connection& connection, std::uint64_t& count) {
    Query row(connection, Sql::count_live);
    row.text(1, workspace).text(2, owner).number(3, now).number(4, bounded(at_most));
    const int code = row.step();
    if (code != SQLITE_ROW) return done_or(code);
    count = static_cast<std::uint64_t>(row.number_at(0));
    return SQLITE_OK;
  });
}

Result<std::vector<EndedToken>> SqliteBackend::list_ended(std::string_view workspace, UnixMillis ended_before,
                                                          std::size_t limit) {
  return look_up<std::vector<EndedToken>>(false, "listing ended tokens", [&](Connection& connection, auto& list) {
    Query row(connection, Sql::list_ended);
    row.text(1, workspace).number(2, ended_before).number(3, bounded(limit));
    int code = row.step();
    for (; code == SQLITE_ROW; code = row.step()) {
      list.push_back({std::string(row.text_at(0)), static_cast<RecordRevision>(row.number_at(1))});
    }
    return done_or(code);
  });
}

Result<Changes> SqliteBackend::changes(std::string_view workspace, std::uint64_t after_revision) {
  std::optional<Error> altered;
  auto answer = look_up<Changes>(true, "reading the change feed", [&](Connection& connection, Changes& changes) {
    if (const Result<void> ours = check_unchanged(connection, options_.path); !ours) {
      altered = ours.error();
      return SQLITE_OK;
    }
    Query row(connection, Sql::changes);
    const auto after =
        static_cast<std::int64_t>(std::min<std::uint64_t>(after_revision, std::numeric_limits<std::int64_t>::max()));
    row.text(1, workspace).number(2, after).number(3, feed_entries_max + 1);
    int code = row.step();
    std::size_t octets = 0;
    for (; code == SQLITE_ROW; code = row.step()) {
      changes.revision = static_cast<std::uint64_t>(row.number_at(0));
      changes.link = read_link(row, 1);
      changes.complete_from = static_cast<std::uint64_t>(row.number_at(2));
      if (after_revision > changes.revision || after_revision < changes.complete_from) changes.everything = true;
      if (row.is_null(3)) continue;
      octets += row.text_at(4).size();
      if (changes.entries.size() == feed_entries_max || octets > feed_octets_max) changes.everything = true;
      if (changes.everything) break;
      changes.entries.push_back(
          {static_cast<std::uint64_t>(row.number_at(3)), std::string(row.text_at(4)), read_link(row, 5)});
    }
    // A revision from before the file was put back, or of another file.
    if (after_revision > changes.revision) changes.everything = true;
    if (changes.everything) changes.entries.clear();
    return code == SQLITE_ROW ? SQLITE_OK : done_or(code);
  });
  if (altered) return *altered;
  return answer;
}

}  // namespace tokenstore::sqlite
