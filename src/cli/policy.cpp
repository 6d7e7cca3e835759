// policy: the rules of a workspace.
#include <limits>

#include "cli/command.hpp"
#include "cli/times.hpp"

namespace tokenstore::cli {
namespace {

struct PolicyOptions {};

ExitCode run_policy(Session& session, const PolicyOptions&) {
  session.answer(take(session.store().policy(session.actor())));
  return ExitCode::ok;
}

struct SetOptions {
  std::string tokens_enabled;
  std::string users_may_issue;
  std::string never_allowed;
  std::string longest;
  std::string fallback;
  std::string most_active;
};

/// Puts the options over a policy; everything is parsed before anything is changed.
Policy changed(Policy policy, const SetOptions& options) {
  bool any = false;
  const auto given = [&any](const std::string& value) { return value.empty() ? false : (any = true); };
  if (given(options.tokens_enabled)) policy.tokens_enabled = parse_yes_no("--tokens-enabled", options.tokens_enabled);
  if (given(options.users_may_issue)) {
    policy.users_may_issue = parse_yes_no("--users-may-issue", options.users_may_issue);
  }
  if (given(options.never_allowed)) policy.never_allowed = parse_yes_no("--never-allowed", options.never_allowed);
  if (given(options.longest)) {
    policy.longest_lifetime = options.longest == "unlimited" ? never : parse_span_option("--longest", options.longest);
  }
  if (given(options.fallback)) policy.default_lifetime = parse_span_option("--default", options.fallback);
  if (given(options.most_active)) {
    policy.most_active_per_owner = static_cast<std::uint32_t>(
        parse_count("--most-active", options.most_active, 0, std::numeric_limits<std::uint32_t>::max()));
  }
  if (!any) throw usage_failure("nothing to set: see tokenstore policy set --help");
  return policy;
}

ExitCode run_set(Session& session, const SetOptions& options) {
  static_cast<void>(changed(Policy(), options));  // wrong values are found before anything is opened
  TokenStore& store = session.store();
  const Actor actor = session.actor();
  const Policy now = take(store.policy(actor));
  session.answer(take(store.set_policy(actor, changed(now, options))));
  return ExitCode::ok;
}

}  // namespace

void add_policy_commands(CLI::App& app, Run& chosen) {
  CLI::App* group = app.add_subcommand("policy", "Show and set the rules of a workspace");
  group->require_subcommand(1)->fallthrough();

  std::shared_ptr<PolicyOptions> show;
  add_command(*group, chosen, "show", "Show the workspace's rules", run_policy, show);

  std::shared_ptr<SetOptions> set;
  CLI::App* command = add_command(*group, chosen, "set", "Change some of the workspace's rules", run_set, set);
  command->add_option("--tokens-enabled", set->tokens_enabled, "no: nothing validates, nothing is issued")
      ->type_name("yes|no");
  command->add_option("--users-may-issue", set->users_may_issue, "no: administrators and the host only")
      ->type_name("yes|no");
  command->add_option("--never-allowed", set->never_allowed, "May a token have no end?")->type_name("yes|no");
  command->add_option("--longest", set->longest, "The longest lifetime: 366d, 12h, ... or unlimited")
      ->type_name("TIME");
  command->add_option("--default", set->fallback, "The lifetime of a token that asks for none")->type_name("TIME");
  command->add_option("--most-active", set->most_active, "Active and pending tokens per owner; 0: no limit")
      ->type_name("N");
}

}  // namespace tokenstore::cli
