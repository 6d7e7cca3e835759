// Last uses, housekeeping, and the storage's own check.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "backends/postgres/postgres_backend.hpp"
#include "backends/postgres/schema.hpp"
#include "backends/postgres/schema_objects.hpp"

namespace tokenstore::postgres {
namespace {

constexpr std::size_t uses_slice = 1'000;
constexpr std::int64_t trim_slice = 1'000;
constexpr std::int64_t scan_slice = 5'000;

/// The newest use of each token, in order of id.
std::map<std::string_view, const Use*> newest_of(std::span<const Use> uses) {
  std::map<std::string_view, const Use*> newest;
  for (const Use& use : uses) {
    const Use*& kept = newest[use.id];
    if (kept == nullptr || kept->used_at < use.used_at) kept = &use;
  }
  return newest;
}

}  // namespace

Result<void> PostgresBackend::record_uses(std::string_view workspace, std::span<const Use> uses) {
  if (options_.read_only) return Error(Status::read_only, "the store was opened read-only; nothing was changed");
  const Deadline deadline = Deadline::in(options_.deadline);
  const Result<Engine*> engine = enter();
  if (!engine) return engine.error();
  while (!uses.empty()) {
    const std::span<const Use> slice = uses.first(std::min(uses.size(), uses_slice));
    uses = uses.subspan(slice.size());
    std::vector<std::string_view> ids;
    std::vector<std::string_view> from;
    std::vector<std::int64_t> at;
    for (const auto& [id, use] : newest_of(slice)) {
      ids.push_back(id);
      at.push_back(use->used_at);
      from.push_back(use->used_from);
    }
    Params params;
    params.octets(workspace).all_octets(ids).all_numbers(at).all_octets(from);
    Answer ignored;
    if (auto failure = (*engine)->query(Sql::note_uses, params, deadline, ignored)) {
      return error_of(*failure, "writing last uses");
    }
  }
  return {};
}

Result<bool> PostgresBackend::maintain(std::chrono::milliseconds budget) {
  const Deadline call = Deadline::in(options_.deadline);
  const Deadline wanted = Deadline::in(budget);
  const Result<Engine*> entered = enter();
  if (!entered) return entered.error();
  Engine& engine = **entered;
  if (!engine.listener.has_thread()) {
    if (auto failure = engine.renew_lease(call)) return error_of(*failure, "asking for changes");
  }
  if (options_.read_only) return false;
  Params longer_than;
  longer_than.number(feed_revisions + feed_slack);
  Answer feeds;
  if (auto failure = engine.query(Sql::overlong_feeds, longer_than, call, feeds)) {
    return error_of(*failure, "tidying up");
  }
  for (int row = 0; row < feeds.rows(); ++row) {
    const std::int64_t target = feeds.number(row, 1) - feed_revisions;
    // In steps, each of which holds the workspace's row briefly.
    for (std::int64_t from = feeds.number(row, 2); from < target;) {
      if (wanted.over() || call.over()) return true;
      from = std::min(from + trim_slice, target);
      Params params;
      params.octets(feeds.octets(row, 0)).number(from);
      Answer ignored;
      if (auto failure = engine.query(Sql::trim_feed, params, call, ignored)) return error_of(*failure, "tidying up");
    }
  }
  return false;
}

Result<std::vector<std::string>> PostgresBackend::check_integrity(std::size_t most, const Progress& progress) {
  const Result<Engine*> entered = enter();
  if (!entered) return entered.error();
  Engine& engine = **entered;
  std::vector<std::string> problems;
  const auto note = [&](std::string problem) {
    if (problems.size() < most) problems.push_back(std::move(problem));
  };
  // Damage is what was asked about; any other failure ends the check.
  const auto is_damage = [](const Failure& failure) { return failure.state.starts_with("XX"); };
  const auto deadline = [this] { return Deadline::in(options_.deadline); };

  Answer stray;
  if (auto failure = engine.query(Sql::stray_changes, {}, deadline(), stray)) {
    if (!is_damage(*failure)) return error_of(*failure, "checking integrity");
    note("the change feed cannot be read: " + failure->text);
  } else if (stray.number(0, 0) != 0) {
    note(fmt::format("the change feed of {} workspaces is ahead of its revision", stray.number(0, 0)));
  }

  const auto compare = [&](Session& session, Deadline by) {
    Misfits misfits = misfitting_objects(session, engine.target, by);
    for (const std::string& line : misfits.lines) note(fmt::format("the schema '{}' {}", engine.target.schema, line));
    return std::move(misfits.failure);
  };
  if (auto failure = engine.repeatable(deadline(), compare)) return error_of(*failure, "checking integrity");

  std::string workspace;
  std::string id;
  std::uint64_t done = 0;
  for (;;) {
    if (progress && !progress(done, 0)) return problems;
    Params params;
    params.octets(workspace).octets(id).number(scan_slice);
    Answer slice;
    if (auto failure = engine.query(Sql::scan_tokens, params, deadline(), slice)) {
      if (!is_damage(*failure)) return error_of(*failure, "checking integrity");
      note(fmt::format("the tokens after the first {} cannot be read: {}", done, failure->text));
      return problems;
    }
    if (slice.rows() == 0) return problems;
    workspace = slice.octets(0, 0);
    id = slice.octets(0, 1);
    done += slice.counter(0, 2);
    if (slice.number(0, 2) < scan_slice) return problems;
  }
}

}  // namespace tokenstore::postgres
