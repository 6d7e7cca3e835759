/// How commands join the command line: each file adds its own to the parser, and the one that was
/// asked for leaves what to run. Parsing touches nothing; everything happens in the run.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "cli/exit_code.hpp"
#include "cli/session.hpp"

namespace tokenstore::cli {

using Run = std::function<ExitCode(Session&)>;

void add_setup_commands(CLI::App& app, Run& chosen);      ///< init, keygen, pattern
void add_issue_command(CLI::App& app, Run& chosen);       ///< issue
void add_list_commands(CLI::App& app, Run& chosen);       ///< list, show
void add_validate_command(CLI::App& app, Run& chosen);    ///< validate
void add_end_commands(CLI::App& app, Run& chosen);        ///< expire, revoke, delete, purge
void add_owner_commands(CLI::App& app, Run& chosen);      ///< owner ...
void add_policy_commands(CLI::App& app, Run& chosen);     ///< policy ...
void add_key_commands(CLI::App& app, Run& chosen);        ///< key ...
void add_upkeep_commands(CLI::App& app, Run& chosen);     ///< check, stats
void add_copy_command(CLI::App& app, Run& chosen);        ///< copy
void add_backup_commands(CLI::App& app, Run& chosen);     ///< backup, restore
void add_journal_commands(CLI::App& app, Run& chosen);    ///< journal ...
void add_completion_command(CLI::App& app, Run& chosen);  ///< completion

/// A leaf of the command tree whose options live in an Options of its own.
template <typename Options>
CLI::App* add_command(CLI::App& parent, Run& chosen, const std::string& name, const std::string& summary,
                      ExitCode (*run)(Session&, const Options&), std::shared_ptr<Options>& options) {
  CLI::App* command = parent.add_subcommand(name, summary);
  options = std::make_shared<Options>();
  command->callback(
      [&chosen, run, options] { chosen = [run, options](Session& session) { return run(session, *options); }; });
  return command;
}

// Values of options. Each Failure names the option and never repeats the value: it might be a token.
bool parse_yes_no(const std::string& option, const std::string& value);
std::uint64_t parse_count(const std::string& option, const std::string& value, std::uint64_t least, std::uint64_t most);
Lifetime parse_lifetime_option(const std::string& option, const std::string& value);
/// A date.
UnixMillis parse_time_option(const std::string& option, const std::string& value);
/// A date, or an age (then that long before `now`).
UnixMillis parse_past_option(const std::string& option, const std::string& value, UnixMillis now);
/// A span of time, in milliseconds.
std::int64_t parse_span_option(const std::string& option, const std::string& value);
/// The id of a token; a Failure says so when it cannot be one.
const std::string& checked_id(const std::string& id);

}  // namespace tokenstore::cli
