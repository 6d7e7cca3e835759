// expire, revoke, delete, purge: how tokens end.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/terminal.hpp"
#include "cli/times.hpp"

namespace tokenstore::cli {
namespace {

struct ExpireOptions {
  std::string id;
  std::string at;
  std::string in;
};

ExitCode run_expire(Session& session, const ExpireOptions& options) {
  TokenStore& store = session.store();
  std::optional<UnixMillis> at;
  if (!options.at.empty()) at = parse_time_option("--at", options.at);
  if (!options.in.empty()) at = store.now() + parse_span_option("--in", options.in);
  session.answer(take(store.expire(session.actor(), checked_id(options.id), at)));
  return ExitCode::ok;
}

struct RevokeOptions {
  std::string id;
  std::string reason;
};

ExitCode run_revoke(Session& session, const RevokeOptions& options) {
  session.answer(take(session.store().revoke(session.actor(), checked_id(options.id), options.reason)));
  return ExitCode::ok;
}

struct DeleteOptions {
  std::string id;
  bool yes = false;
};

ExitCode run_delete(Session& session, const DeleteOptions& options) {
  TokenStore& store = session.store();
  const std::string& id = checked_id(options.id);
  if (!options.yes) confirm(fmt::format("delete token {} for good?", id));
  take(store.remove(session.actor(), id));
  Json json;
  json["deleted"] = id;
  session.answer(json, fmt::format("deleted {}\n", id));
  return ExitCode::ok;
}

struct PurgeOptions {
  std::string before;
  bool yes = false;
};

ExitCode run_purge(Session& session, const PurgeOptions& options) {
  TokenStore& store = session.store();
  const UnixMillis before = parse_past_option("--before", options.before, store.now());
  if (before > store.now()) throw usage_failure("--before lies in the future: purge removes what has ended already");
  if (!options.yes) confirm(fmt::format("delete every token that ended before {} for good?", format_time(before)));
  const Actor actor = session.actor();
  std::uint64_t removed = 0;
  bool complete = false;
  {
    ProgressLine progress("removed", session.quiet());
    while (!complete) {
      constexpr std::chrono::milliseconds slice{250};
      const Result<PurgeResult> part = store.purge(actor, before, slice);
      if (!part) {
        session.note(fmt::format("{} were removed before this happened", removed));
        throw Failure(part.error());
      }
      removed += part->removed;
      complete = part->complete;
      progress.update(removed, 0);
    }
  }
  Json json;
  json["removed"] = removed;
  json["ended_before"] = format_time_exact(before);
  session.answer(json, fmt::format("removed {} that ended before {}\n", removed, format_time(before)));
  return ExitCode::ok;
}

}  // namespace

void add_end_commands(CLI::App& app, Run& chosen) {
  std::shared_ptr<ExpireOptions> expire;
  CLI::App* command =
      add_command(app, chosen, "expire", "Bring a token's end forward: to now, or to an earlier time than it has",
                  run_expire, expire);
  command->add_option("ID", expire->id, "The token's id")->required();
  CLI::Option* at = command->add_option("--at", expire->at, "When it ends instead of now")->type_name("DATE");
  command->add_option("--in", expire->in, "How long until it ends")->type_name("TIME")->excludes(at);

  std::shared_ptr<RevokeOptions> revoke;
  command = add_command(app, chosen, "revoke", "End a token for good; its record stays", run_revoke, revoke);
  command->add_option("ID", revoke->id, "The token's id")->required();
  command->add_option("--reason", revoke->reason, "Why, for the record")->type_name("TEXT");

  std::shared_ptr<DeleteOptions> remove;
  command = add_command(app, chosen, "delete", "Delete a token and its record; cannot be undone", run_delete, remove);
  command->add_option("ID", remove->id, "The token's id")->required();
  command->add_flag("--yes,-y", remove->yes, "Do not ask");

  std::shared_ptr<PurgeOptions> purge;
  command =
      add_command(app, chosen, "purge", "Delete the records of tokens that ended before a date", run_purge, purge);
  command->add_option("--before", purge->before, "A date, or an age such as 90d")->required()->type_name("DATE|AGE");
  command->add_flag("--yes,-y", purge->yes, "Do not ask");
}

}  // namespace tokenstore::cli
