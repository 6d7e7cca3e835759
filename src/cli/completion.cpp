// completion: scripts that make a shell complete this command.
#include "cli/command.hpp"
#include "cli/completion_scripts.hpp"

namespace tokenstore::cli {
namespace {

struct CompletionOptions {
  std::string shell;
};

ExitCode run_completion(Session&, const CompletionOptions& options) {
  if (options.shell == "bash") {
    write_out(bash_completion);
  } else if (options.shell == "zsh") {
    write_out(zsh_completion);
  } else {
    throw usage_failure("completion is there for bash and zsh");
  }
  return ExitCode::ok;
}

}  // namespace

void add_completion_command(CLI::App& app, Run& chosen) {
  std::shared_ptr<CompletionOptions> options;
  CLI::App* command =
      add_command(app, chosen, "completion", "Print a completion script for a shell", run_completion, options);
  command->add_option("SHELL", options->shell, "bash or zsh")->required();
}

}  // namespace tokenstore::cli
