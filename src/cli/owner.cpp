// owner: who the tokens act for.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/terminal.hpp"
#include "cli/times.hpp"

namespace tokenstore::cli {
namespace {

struct NameOptions {
  std::string name;
};

ExitCode answer_owner(Session& session, const OwnerInfo& owner) {
  session.answer(owner);
  return owner.tampered ? ExitCode::damaged : ExitCode::ok;
}

ExitCode run_show(Session& session, const NameOptions& options) {
  return answer_owner(session, take(session.store().owner(session.actor(), options.name)));
}

ExitCode run_resume(Session& session, const NameOptions& options) {
  return answer_owner(session, take(session.store().resume(session.actor(), options.name)));
}

struct ReasonOptions {
  std::string name;
  std::string reason;
  bool yes = false;
};

ExitCode run_suspend(Session& session, const ReasonOptions& options) {
  return answer_owner(session, take(session.store().suspend(session.actor(), options.name, options.reason)));
}

ExitCode run_revoke_all(Session& session, const ReasonOptions& options) {
  TokenStore& store = session.store();
  if (!options.yes) confirm(fmt::format("revoke every token of {} for good?", options.name));
  const std::uint64_t revoked = take(store.revoke_all(session.actor(), options.name, options.reason));
  Json json;
  json["owner"] = options.name;
  json["revoked"] = revoked;
  session.answer(json, fmt::format("revoked {} of {}\n", revoked, printable(options.name)));
  return ExitCode::ok;
}

struct AllowOptions {
  std::string name;
  std::string issue;
  std::string use;
};

ExitCode run_allow(Session& session, const AllowOptions& options) {
  if (options.issue.empty() && options.use.empty()) throw usage_failure("nothing to set: give --issue or --use");
  TokenStore& store = session.store();
  const Actor actor = session.actor();
  OwnerSettings settings;
  const Result<OwnerInfo> known = store.owner(actor, options.name);
  if (known) {
    settings = known->settings;
  } else if (known.status() != Status::not_found) {
    throw Failure(known.error());
  }
  if (!options.issue.empty()) settings.may_issue = parse_yes_no("--issue", options.issue);
  if (!options.use.empty()) settings.may_use = parse_yes_no("--use", options.use);
  return answer_owner(session, take(store.set_owner(actor, options.name, settings)));
}

struct OwnersOptions {
  std::string cursor;
  std::string limit = "50";
  bool all = false;
};

void add_owners(const Session& session, const std::vector<OwnerInfo>& owners, Table& table, Json& list) {
  std::string out;
  for (const OwnerInfo& owner : owners) {
    if (session.json()) {
      list.push_back(to_json(owner));
    } else if (session.quiet()) {
      out += printable(owner.owner) + "\n";
    } else {
      table.add({owner.owner,
                 owner.tampered    ? "tampered"
                 : owner.suspended ? "suspended"
                                   : "active",
                 yes_no(owner.settings.may_issue), yes_no(owner.settings.may_use),
                 owner.suspended_at ? format_time(*owner.suspended_at) : ""});
    }
  }
  write_out(out + table.take_text());
}

ExitCode run_list(Session& session, const OwnersOptions& options) {
  constexpr std::uint64_t most = 1'000'000;
  std::uint64_t wanted = options.all ? most : parse_count("--limit", options.limit, 1, most);
  std::string cursor = options.cursor;
  Table table({"OWNER", "STATE", "MAY ISSUE", "MAY USE", "SUSPENDED"});
  Json list = Json::array();
  std::uint64_t shown = 0;
  do {
    const auto limit = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, page_max));
    const OwnerPage page = take(session.store().list_owners(session.actor(), cursor, limit));
    add_owners(session, page.owners, table, list);
    shown += page.owners.size();
    if (!options.all) wanted -= page.owners.size();
    cursor = page.next;
  } while (!cursor.empty() && wanted > 0);
  if (session.json()) {
    Json json;
    json["owners"] = std::move(list);
    json["next"] = cursor.empty() ? Json(nullptr) : Json(cursor);
    write_out(json_line(json));
  }
  if (shown == 0) session.note("no owners");
  if (!cursor.empty()) session.note(fmt::format("there may be more: --cursor '{}', or --all", cursor));
  return ExitCode::ok;
}

}  // namespace

void add_owner_commands(CLI::App& app, Run& chosen) {
  CLI::App* group = app.add_subcommand("owner", "Show, suspend and restrict the owners of tokens");
  group->require_subcommand(1)->fallthrough();
  constexpr const char* name = "The owner's name";

  std::shared_ptr<NameOptions> show;
  CLI::App* command = add_command(*group, chosen, "show", "Show an owner's settings", run_show, show);
  command->add_option("NAME", show->name, name)->required();

  std::shared_ptr<OwnersOptions> list;
  command = add_command(*group, chosen, "list", "List owners by name", run_list, list);
  command->add_option("--cursor", list->cursor, "Go on where the list before ended")->type_name("CURSOR");
  CLI::Option* limit = command->add_option("--limit,-n", list->limit, "At most this many (default 50)")->type_name("N");
  command->add_flag("--all", list->all, "All of them, page after page")->excludes(limit);

  std::shared_ptr<ReasonOptions> suspend;
  command = add_command(*group, chosen, "suspend", "Stop every token of an owner at once", run_suspend, suspend);
  command->add_option("NAME", suspend->name, name)->required();
  command->add_option("--reason", suspend->reason, "Why, for the record")->type_name("TEXT");

  std::shared_ptr<NameOptions> resume;
  command = add_command(*group, chosen, "resume", "Let a suspended owner's tokens work again", run_resume, resume);
  command->add_option("NAME", resume->name, name)->required();

  std::shared_ptr<AllowOptions> allow;
  command = add_command(*group, chosen, "allow", "Set what an owner may do", run_allow, allow);
  command->add_option("NAME", allow->name, name)->required();
  command->add_option("--issue", allow->issue, "May they make tokens? (the host still may, for them)")
      ->type_name("yes|no");
  command->add_option("--use", allow->use, "May their tokens be used?")->type_name("yes|no");

  std::shared_ptr<ReasonOptions> revoke_all;
  command =
      add_command(*group, chosen, "revoke-all", "Revoke every token of an owner for good", run_revoke_all, revoke_all);
  command->add_option("NAME", revoke_all->name, name)->required();
  command->add_option("--reason", revoke_all->reason, "Why, for the record")->type_name("TEXT");
  command->add_flag("--yes,-y", revoke_all->yes, "Do not ask");
}

}  // namespace tokenstore::cli
