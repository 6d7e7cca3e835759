#include "cli/command_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

namespace tokenstore::cli {
namespace {

constexpr const char* summary = "Issue, look at, end and check access tokens in a tokenstore database.";

constexpr const char* footer =
    "Exit status:\n"
    "  0 done, or valid         1 the token is not valid     2 wrong usage\n"
    "  3 storage unavailable    4 not found                  5 refused: permission, policy or read-only\n"
    "  6 cannot open            7 damaged or tampered        8 unknown: it may have happened\n"
    "  9 conflict: ask again   10 cancelled                 70 a defect in tokenstore\n"
    "141 whoever read the output has gone\n"
    "\n"
    "Times: 2026-12-31 or 2026-12-31T23:59:59Z (UTC). Spans: 90d, 2w, 12h, 30m, 100s; a plain number is days.\n"
    "A token is never an argument: validate reads it from standard input.";

bool is_base62(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/// Short words of lower-case letters hold no secret; everything else is not repeated.
bool may_be_repeated(std::string_view word) noexcept {
  return !word.empty() && word.size() <= 20 &&
         std::all_of(word.begin(), word.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; });
}

void refuse_token_arguments(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (!looks_like_token(argv[i])) continue;
    for (int j = 1; j < argc; ++j) ::explicit_bzero(argv[j], ::strlen(argv[j]));  // out of the process list
    throw usage_failure(
        "a token must not be an argument, where process lists and shell histories keep it: give it on standard "
        "input, and revoke this one if it is real");
  }
}

void add_global_options(CLI::App& app, Globals& globals) {
  app.add_option("--db", globals.database, "The database file (or set TOKENSTORE_DB)")
      ->envname("TOKENSTORE_DB")
      ->type_name("PATH");
  app.add_option("--schema", globals.schema, "The schema in PostgreSQL (default: tokenstore; or set TOKENSTORE_SCHEMA)")
      ->envname("TOKENSTORE_SCHEMA")
      ->type_name("NAME");
  auto* key_file = app.add_option("--key-file", globals.key.file,
                                  "The key file (default: the database's name and .key; or set TOKENSTORE_KEY_FILE)");
  key_file->type_name("PATH");
  app.add_option("--key-credential", globals.key.credential,
                 "Instead: systemd's credential of this name (or set TOKENSTORE_KEY_CREDENTIAL)")
      ->type_name("NAME")
      ->excludes(key_file);
  app.add_option("--key-file-trust", globals.key.trust,
                 "Which other key files are taken: group-readable-of-root, world-readable-of-root, "
                 "inherited-descriptor (or set TOKENSTORE_KEY_FILE_TRUST)")
      ->type_name("NAMES");
  app.add_option("--journal", globals.journal,
                 "A file outside the database that testifies to what was ended (or set TOKENSTORE_JOURNAL)")
      ->envname("TOKENSTORE_JOURNAL")
      ->type_name("PATH");
  app.add_option("--workspace", globals.workspace, "Which workspace (default: default)")->type_name("NAME");
  app.add_option("--prefix", globals.prefix, "What the tokens begin with (default: pat)")->type_name("PREFIX");
  app.add_option("--as", globals.as, "Who asks: host (default), user:NAME or administrator:NAME")->type_name("ACTOR");
  app.add_flag("--json", globals.json, "Answer, and report errors, as JSON");
  app.add_flag("--quiet,-q", globals.quiet, "Only the answer: the token, the ids, the exit status");
  app.add_flag("--read-only", globals.read_only, "Change nothing, not even when a token was last used");
}

const CLI::App& deepest(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return *at;
}

std::string help_hint(const CLI::App& command) {
  std::string name;
  for (const CLI::App* at = &command; at->get_parent() != nullptr; at = at->get_parent())
    name.insert(0, " " + at->get_name());
  return fmt::format("see tokenstore{} --help", name);
}

std::string with_suggestion(const std::string& problem, const std::string& typed, const std::vector<std::string>& words,
                            const CLI::App& command) {
  if (!may_be_repeated(typed)) return fmt::format("{}: {}", problem, help_hint(command));
  const std::string near = nearest(typed, words);
  if (near.empty()) return fmt::format("{} '{}': {}", problem, typed, help_hint(command));
  return fmt::format("{} '{}': did you mean {}?", problem, typed, near);
}

bool is_flag(const CLI::Option& option) {
  return option.get_items_expected_max() == 0;
}

/// A flag is given or not: `--read-only=no` would be read in more than one way.
void refuse_values_of_flags(CLI::App& app) {
  for (CLI::Option* option : app.get_options([](const CLI::Option* each) { return is_flag(*each); })) {
    option->disable_flag_override();
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) refuse_values_of_flags(*command);
}

/// A command was left out or misspelt.
std::string command_problem(const CLI::App& app, const CLI::App& command) {
  const std::vector<std::string> rest = app.remaining(true);
  const auto word = std::find_if(rest.begin(), rest.end(), [](const std::string& w) { return !w.starts_with('-'); });
  if (word == rest.end()) return fmt::format("no command: {}", help_hint(command));
  std::vector<std::string> names;
  for (const CLI::App* child : command.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(child->get_name());
  }
  return with_suggestion("unknown command", *word, names, command);
}

/// Something is on the line that the command does not take.
std::string extra_problem(const CLI::App& app, const CLI::App& command) {
  const std::vector<std::string> rest = app.remaining(true);
  const std::string first = rest.empty() ? "" : rest.front();
  if (!first.starts_with('-')) {
    const bool validate = command.get_name() == "validate";
    return fmt::format("an argument too many: {}",
                       validate ? "the token belongs on standard input" : help_hint(command));
  }
  std::vector<std::string> names;
  for (const CLI::App* at = &command; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return with_suggestion("unknown option", first.substr(0, first.find('=')), names, command);
}

/// An option has no value, two, or one it does not take. The parser's own words may repeat what was
/// typed; only the option's name is safe.
std::string value_problem(const CLI::App& command, std::string_view told) {
  for (const CLI::App* at = &command; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      const std::string name = option->get_name();  // "--json"; of a flag the parser tells "json was given ..."
      const std::string word(told.substr(0, told.find(' ')));
      if (is_flag(*option) && (option->check_lname(word) || option->check_sname(word))) {
        return fmt::format("{} takes no value: {}", name, help_hint(command));
      }
      if (is_flag(*option) || told.find(name) == std::string_view::npos) continue;
      return fmt::format("{} {}: {}", name, option->count() > 1 ? "may be given only once" : "takes one value",
                         help_hint(command));
    }
  }
  return fmt::format("wrong usage: {}", help_hint(command));
}

std::string problem_of(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = deepest(app);
  const bool is_group = !command.get_subcommands([](const CLI::App*) { return true; }).empty();
  const auto kind = static_cast<CLI::ExitCodes>(error.get_exit_code());
  const bool extra = kind == CLI::ExitCodes::ExtrasError;
  if (is_group && (extra || kind == CLI::ExitCodes::RequiredError)) return command_problem(app, command);
  if (extra) return extra_problem(app, command);
  if (kind == CLI::ExitCodes::RequiredError || kind == CLI::ExitCodes::ExcludesError)
    return fmt::format("{}: {}", error.what(), help_hint(command));
  if (kind == CLI::ExitCodes::ArgumentMismatch) return value_problem(command, error.what());
  return fmt::format("wrong usage: {}", help_hint(command));
}

/// An empty value is most often a variable that was not set; only texts may be empty on purpose.
void refuse_empty_values(const CLI::App& app) {
  constexpr std::array<std::string_view, 4> free_text{"--description", "--reason", "--metadata", "--text"};
  for (const CLI::App* at = &deepest(app); at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      const std::string name = option->get_name();
      const auto& values = option->results();
      if (std::find(free_text.begin(), free_text.end(), name) != free_text.end()) continue;
      if (std::find(values.begin(), values.end(), "") == values.end()) continue;
      throw usage_failure(fmt::format("{} is empty: give it a value or leave it out", name));
    }
  }
}

/// Taken for a path, a connection string would be repeated in errors, and its password with it. So it is not repeated
/// here either.
void refuse_other_conninfos(const CLI::App& app) {
  constexpr std::array<std::string_view, 3> places{"--db", "--from", "--to"};
  for (const CLI::App* at = &deepest(app); at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      const std::string name = option->get_name();
      const auto& values = option->results();
      if (std::find(places.begin(), places.end(), name) == places.end()) continue;
      if (std::none_of(values.begin(), values.end(), [](const auto& value) { return is_other_conninfo(value); }))
        continue;
      throw usage_failure(fmt::format(
          "{} takes a path or a postgresql:// URI, no other connection string: a file of such a name is ./NAME", name));
    }
  }
}

}  // namespace

bool looks_like_token(std::string_view text) noexcept {
  constexpr std::size_t handle_size = 19;  // version, key id and id: public, and always before the secret
  constexpr std::size_t enough_secret = 8;
  const auto base62_run = [text](std::size_t from) {
    const std::string_view rest = text.substr(from);
    return static_cast<std::size_t>(std::find_if_not(rest.begin(), rest.end(), is_base62) - rest.begin());
  };
  for (std::size_t at = text.find('1'); at != std::string_view::npos; at = text.find('1', at + 1)) {
    const std::size_t end = at + handle_size;
    if (at > 0 && is_base62(text[at - 1])) continue;
    if (base62_run(at) != handle_size || end >= text.size() || text[end] != '_') continue;
    if (base62_run(end + 1) >= enough_secret) return true;
  }
  return false;
}

std::string nearest(std::string_view typed, const std::vector<std::string>& words) {
  std::string best;
  std::size_t least = typed.size() <= 4 ? 2 : 3;  // one slip in a short word, two in a longer one
  for (const std::string& word : words) {
    // Levenshtein's distance, a row at a time.
    std::vector<std::size_t> row(word.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < typed.size(); ++i) {
      std::size_t diagonal = std::exchange(row[0], i + 1);
      for (std::size_t j = 0; j < word.size(); ++j) {
        const std::size_t replaced = diagonal + (typed[i] == word[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
      }
    }
    if (row.back() < least) {
      least = row.back();
      best = word;
    }
  }
  return best;
}

Run parse_command_line(int argc, char** argv, Globals& globals) {
  // Known before parsing, so that usage errors keep the form that was asked for.
  globals.json = std::any_of(argv, argv + argc, [](const char* word) { return std::string_view(word) == "--json"; });
  refuse_token_arguments(argc, argv);
  // The parser does not tell an option from its variable, which may be there for other databases.
  const auto is_given = [&](std::string_view name) {
    return std::any_of(argv, argv + argc, [name](std::string_view word) {
      return word.starts_with(name) && (word.size() == name.size() || word[name.size()] == '=');
    });
  };
  globals.schema_given = is_given("--schema");
  globals.workspace_given = is_given("--workspace");

  CLI::App app(summary, "tokenstore");
  app.fallthrough();  // global options may follow the command
  app.footer("Options of every command, exit status and the forms of times: tokenstore --help");
  add_global_options(app, globals);
  app.set_version_flag("--version", "tokenstore " TOKENSTORE_CLI_VERSION, "Print the version");
  Run chosen;
  add_setup_commands(app, chosen);
  add_issue_command(app, chosen);
  add_list_commands(app, chosen);
  add_validate_command(app, chosen);
  add_end_commands(app, chosen);
  add_owner_commands(app, chosen);
  add_policy_commands(app, chosen);
  add_key_commands(app, chosen);
  add_upkeep_commands(app, chosen);
  add_copy_command(app, chosen);
  add_backup_commands(app, chosen);
  add_journal_commands(app, chosen);
  add_completion_command(app, chosen);
  app.require_subcommand(1);
  app.footer(footer);
  refuse_values_of_flags(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    write_out(app.help());
    return {};
  } catch (const CLI::CallForVersion& version) {
    write_out(std::string(version.what()) + "\n");
    return {};
  } catch (const CLI::ParseError& error) {
    throw usage_failure(problem_of(app, error));
  }
  refuse_empty_values(app);
  refuse_other_conninfos(app);
  globals.key.complete_from_environment();
  globals.key.key_file_trust();  // a wrong one is wrong usage, whatever the command
  return chosen;
}

}  // namespace tokenstore::cli
