// validate: asks about a token that comes on standard input.
#include "cli/command.hpp"
#include "cli/terminal.hpp"

namespace tokenstore::cli {
namespace {

struct ValidateOptions {
  std::string scope;
  std::string client_address;
};

ExitCode run_validate(Session& session, const ValidateOptions& options) {
  TokenStore& store = session.store();  // first, so that nobody types a token for nothing
  const SecretText text = read_token_from_input();
  const Verdict verdict = store.validate(text.reveal(), Demand(options.scope, options.client_address));
  session.answer(verdict);
  switch (verdict.outcome()) {
    case Outcome::valid:
      return ExitCode::ok;
    case Outcome::invalid:
      return ExitCode::invalid;
    case Outcome::unavailable:
      break;
  }
  return ExitCode::unavailable;
}

}  // namespace

void add_validate_command(CLI::App& app, Run& chosen) {
  std::shared_ptr<ValidateOptions> options;
  CLI::App* command = add_command(app, chosen, "validate", "Ask whether the token on standard input may do something",
                                  run_validate, options);
  command->add_option("--scope,-s", options->scope, "What the token is to do")->required()->type_name("SCOPE");
  command
      ->add_option("--client-address", options->client_address, "Who brought it: an address to note as last used from")
      ->type_name("ADDRESS");
}

}  // namespace tokenstore::cli
