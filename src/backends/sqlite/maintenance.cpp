// Housekeeping and the storage's own check.
#include <fmt/format.h>

#include <algorithm>

#include "backends/sqlite/errors.hpp"
#include "backends/sqlite/location.hpp"
#include "backends/sqlite/look_up.hpp"
#include "backends/sqlite/schema.hpp"

namespace tokenstore::sqlite {
namespace {

using SteadyClock = std::chrono::steady_clock;

/// A WAL of this size is emptied when no reader needs it any more.
constexpr std::uint64_t wal_size_wanted = 4 << 20;
constexpr std::chrono::seconds copies_interval{10};

struct OverlongFeed {
  std::string workspace;
  std::int64_t revision;
  std::int64_t feed_from;
};

/// Copies what is committed from the WAL into the database file, as far as readers allow, and cuts the
/// WAL when it has grown and nobody needs it. Never waits: a writer or reader in the way means later.
int checkpoint(Connection& connection, std::uint64_t wal_size, bool& more) {
  int frames = 0;
  int copied = 0;
  int code = sqlite3_wal_checkpoint_v2(connection.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
  if (code == SQLITE_OK && frames == copied && wal_size > wal_size_wanted) {
    code = sqlite3_wal_checkpoint_v2(connection.handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, &frames, &copied);
  }
  if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED) {
    more = true;
    return SQLITE_OK;
  }
  if (code == SQLITE_OK && frames > copied) more = true;
  return code;
}

int trim_one(Engine& engine, Connection& connection, const OverlongFeed& feed, std::int64_t from) {
  int code = Query(connection, Sql::begin_write).run();
  if (code != SQLITE_OK) return code;
  if (engine.check_files(true)) code = SQLITE_ABORT;
  if (code == SQLITE_OK) code = Query(connection, Sql::drop_changes).text(1, feed.workspace).number(2, from).run();
  if (code == SQLITE_OK) code = Query(connection, Sql::set_feed_from).text(1, feed.workspace).number(2, from).run();
  if (code == SQLITE_OK) code = Query(connection, Sql::commit).run();
  if (code != SQLITE_OK && connection.in_transaction()) Query(connection, Sql::rollback).run();
  return code;
}

/// Commits trim their own feed as they go; this is for what they left, in steps that hold the lock briefly.
int trim_feeds(Engine& engine, Connection& connection, SteadyClock::time_point deadline, bool& more) {
  std::vector<OverlongFeed> feeds;
  {
    Query row(connection, Sql::overlong_feeds);
    row.number(1, feed_revisions + feed_slack);
    int code = row.step();
    for (; code == SQLITE_ROW; code = row.step()) {
      feeds.push_back({std::string(row.text_at(0)), row.number_at(1), row.number_at(2)});
    }
    if (code != SQLITE_DONE) return code;
  }
  for (const OverlongFeed& feed : feeds) {
    const std::int64_t target = feed.revision - feed_revisions;
    for (std::int64_t from = feed.feed_from; from < target;) {
      if (SteadyClock::now() >= deadline) {
        more = true;
        return SQLITE_OK;
      }
      from = std::min<std::int64_t>(from + feed_slack, target);
      const int code = trim_one(engine, connection, feed, from);
      if (code != SQLITE_OK) return code;
    }
  }
  return SQLITE_OK;
}

/// Passes SQLite's progress on to the caller's for as long as it lives; the connection lives longer.
class ProgressOf {
 public:
  ProgressOf(Connection& connection, const Progress& progress) : connection_(connection), progress_(progress) {
    constexpr int steps_between_reports = 100'000;
    if (progress_) sqlite3_progress_handler(connection_.handle(), steps_between_reports, &on_progress, this);
  }
  ~ProgressOf() { sqlite3_progress_handler(connection_.handle(), 0, nullptr, nullptr); }
  ProgressOf(const ProgressOf&) = delete;
  ProgressOf& operator=(const ProgressOf&) = delete;

 private:
  static int on_progress(void* self) {
    try {
      return static_cast<const ProgressOf*>(self)->progress_(0, 0) ? 0 : 1;
    } catch (...) {
      return 1;
    }
  }

  Connection& connection_;
  const Progress& progress_;
};

}  // namespace

Result<bool> SqliteBackend::maintain(std::chrono::milliseconds budget) {
  const auto deadline = SteadyClock::now() + budget;
  const Visit visit = enter();
  if (visit.error()) return *visit.error();
  if (std::optional<Error> error = visit->check_files(true)) return std::move(*error);
  if (options_.read_only) return false;
  const std::lock_guard lock(visit->upkeep_mutex);

  const auto now = SteadyClock::now();
  if (now - visit->copies_counted_at >= copies_interval) {
    visit->copies_counted_at = now;
    if (copies_of_sqlite_on(visit->target.path + "-shm") > 1) {
      visit->report_second_copy();
      return *visit->check_files(true);
    }
  }

  const Result<Connection*> connection = visit->upkeep_connection();
  if (!connection) return connection.error();
  bool more = false;
  int code = trim_feeds(*visit, **connection, deadline, more);
  if ((code & 0xff) == SQLITE_BUSY) {
    more = true;
    code = SQLITE_OK;
  }
  if (code == SQLITE_OK) code = checkpoint(**connection, visit->watch.wal_size(), more);
  if (code == SQLITE_OK) return more;
  if (std::optional<Error> error = visit->check_files(true)) return std::move(*error);
  if (spoils_connection(code)) visit->upkeep.reset();
  return error_of(code, "tidying up");
}

Result<std::vector<std::string>> SqliteBackend::check_integrity(std::size_t most, const Progress& progress) {
  return look_up<std::vector<std::string>>(true, "checking integrity", [&](Connection& connection, auto& problems) {
    if (const Result<void> ours = check_objects(connection, options_.path); !ours) {
      problems.push_back(ours.error().message());
    }
    const ProgressOf reports(connection, progress);
    const std::string sql = fmt::format("PRAGMA integrity_check({})", std::clamp<std::size_t>(most, 1, 1'000'000));
    sqlite3_stmt* raw = nullptr;
    int code = sqlite3_prepare_v2(connection.handle(), sql.c_str(), -1, &raw, nullptr);
    const std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> statement(raw, &sqlite3_finalize);
    while (code == SQLITE_OK && (code = sqlite3_step(raw)) == SQLITE_ROW) {
      const auto* text = static_cast<const char*>(sqlite3_column_blob(raw, 0));
      const std::string line(text == nullptr ? "" : text, static_cast<std::size_t>(sqlite3_column_bytes(raw, 0)));
      if (line != "ok" && problems.size() < most) problems.push_back(line);
      code = SQLITE_OK;
    }
    // Damage that keeps the check itself from running is what was asked about.
    if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB) {
      if (problems.size() < most) problems.emplace_back("the file is too damaged for its check to be completed");
      return SQLITE_OK;
    }
    // Asked to stop: what was found so far.
    return code == SQLITE_DONE || code == SQLITE_INTERRUPT ? SQLITE_OK : code;
  });
}

}  // namespace tokenstore::sqlite
