// key: what hangs on which key, and sealing everything anew so that one can be taken out.
#include <fmt/format.h>

#include "cli/command.hpp"
#include "cli/terminal.hpp"

namespace tokenstore::cli {
namespace {

struct ResealOptions {};

ExitCode run_reseal(Session& session, const ResealOptions&) {
  TokenStore& store = session.store();
  ResealResult all;
  {
    ProgressLine line("sealed", session.quiet());
    do {
      const ResealResult some = take(store.reseal(session.actor(), all.next));
      all.resealed += some.resealed;
      all.kept += some.kept;
      all.refused += some.refused;
      all.next = some.next;
      line.update(all.resealed + all.kept, 0);
    } while (!all.next.empty());
  }
  Json json;
  json["resealed"] = all.resealed;
  json["kept"] = all.kept;
  json["refused"] = all.refused;
  std::string text = fmt::format("{} records sealed anew, {} were already\n", all.resealed, all.kept);
  if (all.refused != 0) text += fmt::format("{} are not genuine and were left: see tokenstore check\n", all.refused);
  session.answer(json, text);
  return all.refused == 0 ? ExitCode::ok : ExitCode::damaged;
}

}  // namespace

void add_key_commands(CLI::App& app, Run& chosen) {
  CLI::App* group = app.add_subcommand("key", "Change keys: seal records anew");
  group->require_subcommand(1)->fallthrough();

  std::shared_ptr<ResealOptions> reseal;
  add_command(*group, chosen, "reseal", "Seal every record of the workspace under the active key, while it is in use",
              run_reseal, reseal);
}

}  // namespace tokenstore::cli
