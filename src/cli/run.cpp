#include "cli/run.hpp"

#include <new>

#include "cli/command_line.hpp"

namespace tokenstore::cli {
namespace {

void report(const Globals& globals, ExitCode code, const std::string& status, const std::string& message) {
  if (!globals.json) {
    write_err("tokenstore: " + printable(message) + "\n");
    return;
  }
  Json json;
  json["error"] = {{"status", status}, {"exit_code", static_cast<int>(code)}, {"message", message}};
  write_err(json_line(json));
}

}  // namespace

ExitCode run_command(int argc, char** argv) {
  Globals globals;
  try {
    const Run chosen = parse_command_line(argc, argv, globals);
    if (!chosen) return ExitCode::ok;
    Session session(globals);
    return chosen(session);
  } catch (const OutputClosed&) {
    return ExitCode::closed;
  } catch (const Failure& failure) {
    report(globals, failure.code(), failure.status(), failure.what());
    return failure.code();
  } catch (const std::bad_alloc&) {
    write_err("tokenstore: out of memory\n");
    return ExitCode::unavailable;
  } catch (const std::exception&) {
    report(globals, ExitCode::internal, "internal", "a defect in tokenstore: please report what was asked for");
    return ExitCode::internal;
  }
}

}  // namespace tokenstore::cli
