// issue: the only command that ever shows a token.
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <memory>

#include "cli/command.hpp"

namespace tokenstore::cli {
namespace {

struct IssueOptions {
  std::string owner;
  std::vector<std::string> scopes;
  std::string description;
  std::string lifetime = "default";
  std::string not_before;
  std::string metadata;
  std::string metadata_file;
};

std::vector<std::string> words_of(const std::vector<std::string>& values) {
  std::vector<std::string> words;
  for (const std::string& value : values) {
    std::size_t from = 0;
    while (from <= value.size()) {
      const std::size_t end = std::min(value.find(' ', from), value.size());
      if (end > from) words.push_back(value.substr(from, end - from));
      from = end + 1;
    }
  }
  return words;
}

std::string read_metadata(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  std::array<char, metadata_max + 1> octets{};
  const std::size_t size = file ? std::fread(octets.data(), 1, octets.size(), file.get()) : 0;
  if (!file || std::ferror(file.get()) != 0) throw usage_failure("--metadata-file: the file cannot be read");
  if (size > metadata_max)
    throw usage_failure(fmt::format("--metadata-file: the file has more than {} octets", metadata_max));
  return {octets.data(), size};
}

std::string owner_of(const Session& session, const IssueOptions& options) {
  if (!options.owner.empty()) return options.owner;
  if (session.actor().kind() != Actor::Kind::host) return session.actor().name();
  throw usage_failure("whose token? give the OWNER");
}

void show(const Session& session, const Issued& issued) {
  if (session.json()) {
    const std::string info = json_line(to_json(issued.info));
    write_out_revealed(R"({"token":")", issued.text, R"(",)" + info.substr(1));
    return;
  }
  write_out_revealed({}, issued.text, "\n");
  session.note("shown once: copy the token now, it cannot be had again");
}

ExitCode run_issue(Session& session, const IssueOptions& options) {
  IssueRequest request;
  request.owner = owner_of(session, options);
  request.scopes = words_of(options.scopes);
  request.description = options.description;
  request.lifetime = parse_lifetime_option("--lifetime", options.lifetime);
  if (!options.not_before.empty()) request.not_before = parse_time_option("--not-before", options.not_before);
  request.metadata = options.metadata_file.empty() ? options.metadata : read_metadata(options.metadata_file);

  TokenStore& store = session.store();
  const Issued issued = take(store.issue(session.actor(), request));
  try {
    show(session, issued);
  } catch (const std::exception&) {
    // Nobody received the text, so nobody could ever use or miss this token: take it back.
    const bool gone = store.remove(Actor::host(), issued.info.id).ok();
    throw Failure(ExitCode::unavailable, "output",
                  fmt::format("the token could not be written to standard output: {}",
                              gone ? "it was deleted again" : "delete " + issued.info.id + ", which nobody holds"));
  }
  if (!session.json() && !session.quiet()) {
    write_err(to_text(issued.info));
    if (issued.info.scopes.empty()) session.note("it has no scope, so it grants nothing");
  }
  return ExitCode::ok;
}

}  // namespace

void add_issue_command(CLI::App& app, Run& chosen) {
  std::shared_ptr<IssueOptions> options;
  CLI::App* command = add_command(app, chosen, "issue", "Make a token and show it, once", run_issue, options);
  command->add_option("OWNER", options->owner, "Whose token it is (default: who --as says)");
  command->add_option("--scope,-s", options->scopes, "What it may do; may be given again (none: nothing)")
      ->allow_extra_args(false)
      ->type_name("SCOPE");
  command->add_option("--description,-d", options->description, "What it is for")->type_name("TEXT");
  command
      ->add_option("--lifetime,-l", options->lifetime,
                   "90d, 12h, 30m, 100s, a number of days, never (or -1), default (or 0)")
      ->type_name("TIME");
  command->add_option("--not-before", options->not_before, "The date from which it is valid")->type_name("DATE");
  CLI::Option* metadata =
      command->add_option("--metadata", options->metadata, "Text that validation hands back")->type_name("TEXT");
  command->add_option("--metadata-file", options->metadata_file, "A file of octets that validation hands back")
      ->type_name("PATH")
      ->excludes(metadata);
}

}  // namespace tokenstore::cli
