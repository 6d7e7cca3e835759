// journal: reading it as an audit trail, verifying it, accepting what is left of a damaged one, and healing from it.
#include "tokenstore/journal.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "cli/command.hpp"
#include "cli/terminal.hpp"
#include "cli/times.hpp"

namespace tokenstore::cli {
namespace {

/// How often a journal that is followed is looked at.
constexpr int follow_pause_ms = 250;
/// Rows that are lined up and written together.
constexpr std::size_t rows_at_once = 200;

const std::string& journal_of(const Session& session) {
  const std::string& journal = session.globals().journal;
  if (journal.empty()) throw usage_failure("no journal: give --journal PATH, or set TOKENSTORE_JOURNAL");
  return journal;
}

/// The keys of now, wherever they can be read more than once: they may change while a journal is followed.
Keyring keyring_of(Session& session) {
  const Globals& globals = session.globals();
  const bool beside = !globals.database.empty() && !is_postgres(globals.database);
  const std::string key_file = beside ? globals.database + ".key" : std::string();
  const std::string owner_of = beside ? globals.database : std::string();
  if (globals.key.to_be_read_first()) return session.keyring(key_file, owner_of);
  return read_keyring(globals.key, key_file, owner_of);
}

std::string_view record_name(RecordKind kind) noexcept {
  switch (kind) {
    case RecordKind::token:
      return "token";
    case RecordKind::owner:
      return "owner";
    case RecordKind::workspace:
      return "workspace";
    case RecordKind::store:
      break;
  }
  return "store";
}

std::string_view problem_name(JournalProblem::Kind kind) noexcept {
  switch (kind) {
    case JournalProblem::Kind::damaged:
      return "damaged";
    case JournalProblem::Kind::missing:
      return "missing";
    case JournalProblem::Kind::no_key:
      break;
  }
  return "no_key";
}

Json or_null(std::string_view text) {
  return text.empty() ? Json(nullptr) : Json(std::string(text));
}

std::string describe(const JournalProblem& problem) {
  if (problem.kind == JournalProblem::Kind::missing) return problem.what;
  return fmt::format("{}, octet {}, behind entry {}: {}", problem.file, problem.octet, problem.entry, problem.what);
}

struct EntriesOptions {
  std::string from;
  std::string to;
  std::string owner;
  std::string token;
  std::string actor;
  std::string kind;
  std::string after = "0";
  bool follow = false;
};

JournalDeed deed_of(const std::string& word) {
  std::string names;
  for (int number = static_cast<int>(JournalDeed::issued); number <= static_cast<int>(JournalDeed::accepted);
       ++number) {
    const auto deed = static_cast<JournalDeed>(number);
    if (word == journal_deed_name(deed)) return deed;
    names += (names.empty() ? "" : ", ") + std::string(journal_deed_name(deed));
  }
  throw usage_failure("--kind takes one of " + names);
}

/// Writes entries as they come, so that a long journal takes no more memory than some rows.
class EntryWriter {
 public:
  explicit EntryWriter(const Session& session) : json_(session.json()) {}

  void add(const JournalEntry& entry) {
    if (json_) {
      lines_ += json_line(to_json(entry));
    } else {
      const auto cell = [](std::string_view text) { return std::string(text); };
      table_.add({entry.number == 0 ? "" : std::to_string(entry.number), entry.at == 0 ? "" : format_time(entry.at),
                  cell(journal_deed_name(entry.deed)), cell(entry.key_id.empty() ? entry.token_id : entry.key_id),
                  cell(entry.owner), cell(entry.workspace), cell(entry.actor), cell(entry.reason)});
    }
    if (++rows_ % rows_at_once == 0) flush();
  }
  void flush() {
    const std::string text = json_ ? std::exchange(lines_, {}) : table_.take_text();
    if (rows_ != 0 && !text.empty()) write_out(text);
  }

 private:
  static Json to_json(const JournalEntry& entry) {
    Json json;
    json["number"] = entry.number == 0 ? Json(nullptr) : Json(entry.number);
    json["segment"] = entry.segment;
    json["at"] = entry.at == 0 ? Json(nullptr) : Json(format_time_exact(entry.at));
    json["kind"] = std::string(journal_deed_name(entry.deed));
    json["record"] = std::string(record_name(entry.kind));
    json["workspace"] = or_null(entry.workspace);
    json["token"] = or_null(entry.token_id);
    json["key"] = or_null(entry.key_id);
    json["owner"] = or_null(entry.owner);
    json["actor"] = or_null(entry.actor);
    json["reason"] = or_null(entry.reason);
    json["revision"] = entry.revision == 0 ? Json(nullptr) : Json(entry.revision);
    json["gone"] = entry.gone;
    const bool ends = entry.kind == RecordKind::token && entry.ends_at != never && entry.ends_at != 0;
    json["ends_at"] = ends ? Json(format_time_exact(entry.ends_at)) : Json(nullptr);
    return json;
  }

  const bool json_;
  Table table_{{"ENTRY", "TIME", "KIND", "ID", "OWNER", "WORKSPACE", "ACTOR", "REASON"}};
  std::string lines_;
  std::size_t rows_ = 0;
};

/// What was shown is genuine; but not all of it may be there.
void refuse_if_damaged(const JournalReport& report) {
  for (const JournalProblem& problem : report.problems) {
    if (problem.accepted) continue;
    const bool damaged = problem.kind != JournalProblem::Kind::no_key;
    throw Failure(Error(damaged ? Status::journal_damaged : Status::wrong_key,
                        fmt::format("the journal is not whole: {}; see tokenstore journal verify", describe(problem))));
  }
}

/// Waits a little, or until whoever reads the output has gone.
void wait_for_more() {
  pollfd output{STDOUT_FILENO, 0, 0};
  if (::poll(&output, 1, follow_pause_ms) > 0 && (output.revents & (POLLERR | POLLHUP)) != 0) throw OutputClosed();
}

ExitCode run_entries(Session& session, const EntriesOptions& options) {
  const std::string& journal = journal_of(session);
  const UnixMillis now = system_clock()->wall();
  JournalQuery query;
  if (!options.from.empty()) query.from = parse_past_option("--from", options.from, now);
  if (!options.to.empty()) query.to = parse_past_option("--to", options.to, now);
  if (!options.kind.empty()) query.deed = deed_of(options.kind);
  if (!options.token.empty()) query.token_id = checked_id(options.token);
  query.owner = options.owner;
  query.actor = options.actor;
  if (session.globals().workspace_given) query.workspace = session.globals().workspace;
  const bool all = options.after == "0";
  const std::uint64_t after = parse_count("--after", options.after, 0, UINT64_MAX);
  EntryWriter writer(session);
  std::uint64_t shown = 0;
  for (;;) {
    const auto reading = read_journal(journal, keyring_of(session), query, [&](const JournalEntry& entry) {
      if (!all && entry.number <= after) return true;
      ++shown;
      writer.add(entry);
      return true;
    });
    writer.flush();
    refuse_if_damaged(take(reading).report);
    query.after = reading->next;
    if (!options.follow) break;
    wait_for_more();
  }
  if (shown == 0) session.note("no entries");
  return ExitCode::ok;
}

struct JournalVerifyOptions {};

std::string hex(const Bytes16& octets) {
  std::string text;
  for (const std::uint8_t octet : octets) text += fmt::format("{:02x}", octet);
  return text;
}

Json report_json(const JournalReport& report) {
  Json json;
  json["ok"] = !report.damaged() && !report.lacks_key();
  json["store"] = report.store == Bytes16{} ? Json(nullptr) : Json(hex(report.store));
  json["segments"] = report.segments;
  json["first_segment"] = report.first_segment;
  json["entries"] = report.entries;
  json["last_entry"] = report.last_entry;
  json["torn_octets"] = report.torn;
  json["problems"] = Json::array();
  for (const JournalProblem& problem : report.problems) {
    json["problems"].push_back({{"kind", std::string(problem_name(problem.kind))},
                                {"accepted", problem.accepted},
                                {"file", problem.file},
                                {"segment", problem.segment},
                                {"octet", problem.octet},
                                {"entry", problem.entry},
                                {"what", problem.what}});
  }
  return json;
}

std::string report_text(const JournalReport& report) {
  std::string text = fmt::format("{} entries in {} segments are good; the last is entry {}\n", report.entries,
                                 report.segments, report.last_entry);
  if (report.first_segment > 1) {
    text += fmt::format("segments before {} are not there any more, which is no damage\n", report.first_segment);
  }
  if (report.torn != 0) {
    text +=
        fmt::format("{} octets at the end are a write that did not come to its own, which is no damage\n", report.torn);
  }
  for (const JournalProblem& problem : report.problems) {
    text += problem.accepted ? "accepted: " : problem.kind == JournalProblem::Kind::no_key ? "not read: " : "DAMAGED: ";
    text += printable(describe(problem)) + "\n";
  }
  return text;
}

ExitCode run_journal_verify(Session& session, const JournalVerifyOptions&) {
  const JournalReport report = take(verify_journal(journal_of(session), keyring_of(session)));
  session.answer(report_json(report), report_text(report));
  if (report.damaged()) return ExitCode::damaged;
  return report.lacks_key() ? ExitCode::cannot_open : ExitCode::ok;
}

struct JournalAcceptOptions {
  bool yes = false;
};

ExitCode run_journal_accept(Session& session, const JournalAcceptOptions& options) {
  const std::string& journal = journal_of(session);
  if (session.globals().read_only) throw usage_failure("accept writes to the journal: leave out --read-only");
  if (!options.yes) {
    // Nobody accepts what nobody has looked at.
    if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDERR_FILENO) != 1) {
      throw usage_failure("there is nobody to ask: look at what tokenstore journal verify says, then give --yes");
    }
    const JournalReport report = take(verify_journal(journal, keyring_of(session)));
    write_err(report_text(report));
    confirm("begin a new segment with all that is good, and keep the damaged file beside it?");
  }
  const JournalAcceptance accepted = take(accept_journal(journal, keyring_of(session), session.actor()));
  Json json = report_json(accepted.found);
  json.erase("ok");
  json["segment"] = accepted.segment;
  json["kept_file"] = or_null(accepted.kept_file);
  std::string text = report_text(accepted.found);
  text += fmt::format("accepted: segment {} goes on behind entry {}\n", accepted.segment, accepted.found.last_entry);
  if (!accepted.kept_file.empty())
    text += fmt::format("the file that was in use is {}\n", printable(accepted.kept_file));
  session.answer(json, text);
  return ExitCode::ok;
}

struct HealOptions {};

ExitCode run_heal(Session& session, const HealOptions&) {
  journal_of(session);
  if (session.globals().read_only) throw usage_failure("heal writes to the database: leave out --read-only");
  TokenStore& store = session.store();
  const std::uint64_t at_opening = store.statistics().healed;
  const HealReport report = [&] {
    ProgressLine line("looked at", session.quiet());
    return take(store.heal(session.actor(), [&line](std::uint64_t done, std::uint64_t total) {
      line.update(done, total);
      return true;
    }));
  }();
  const Json json{{"looked_at", report.looked_at}, {"healed_at_opening", at_opening}, {"ended", report.ended},
                  {"removed", report.removed},     {"settings", report.settings},     {"refused", report.refused}};
  std::string text =
      fmt::format("{} lines looked at: {} tokens ended again, {} deleted again, {} settings put forward\n",
                  report.looked_at, report.ended, report.removed, report.settings);
  if (report.refused != 0)
    text += fmt::format("{} are not genuine and were left: see tokenstore check\n", report.refused);
  session.answer(json, text);
  return report.refused == 0 ? ExitCode::ok : ExitCode::damaged;
}

}  // namespace

void add_journal_commands(CLI::App& app, Run& chosen) {
  CLI::App* group =
      app.add_subcommand("journal", "Read the journal as an audit trail, verify it, accept what is left, heal from it");
  group->require_subcommand(1)->fallthrough();

  std::shared_ptr<EntriesOptions> show;
  CLI::App* command =
      add_command(*group, chosen, "show", "Show what was done, oldest first; needs no database", run_entries, show);
  command->add_option("--from", show->from, "Only what was done since: a date, or an age such as 7d")
      ->type_name("DATE|AGE");
  command->add_option("--to", show->to, "Only what was done before: a date, or an age")->type_name("DATE|AGE");
  command->add_option("--owner,-o", show->owner, "Only what concerns this owner")->type_name("NAME");
  command->add_option("--token", show->token, "Only what was done to the token of this id")->type_name("ID");
  command->add_option("--actor", show->actor, "Only what this user or administrator has done")->type_name("NAME");
  command->add_option("--kind", show->kind, "Only issued, revoked, expired, suspended ...")->type_name("KIND");
  command->add_option("--after", show->after, "Only entries behind the one of this number")->type_name("N");
  command->add_flag("--follow,-f", show->follow, "Go on with what is done from now on");

  std::shared_ptr<JournalVerifyOptions> verify;
  add_command(*group, chosen, "verify", "Verify all of it, and say where it is damaged; needs no database",
              run_journal_verify, verify);

  std::shared_ptr<JournalAcceptOptions> accept;
  command =
      add_command(*group, chosen, "accept", "Go on from what is good of a damaged journal; keeps the damaged file",
                  run_journal_accept, accept);
  command->add_flag("--yes,-y", accept->yes, "Do not ask");

  std::shared_ptr<HealOptions> heal;
  add_command(*group, chosen, "heal", "Put forward again what went back behind the journal", run_heal, heal);
}

}  // namespace tokenstore::cli
