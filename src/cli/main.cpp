/// The `tokenstore` command: parses, dispatches, and turns what happened into an exit status.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <new>

#include "cli/command_line.hpp"

namespace {

using namespace tokenstore::cli;

/// A database opened as descriptor 1 or 2 would be written over by the next message. Standard output
/// that is closed is replaced by one that refuses writes, so that no token is written to nowhere.
void occupy_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) == -1 && ::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd)
      std::_Exit(70);
  }
}

void report(const Globals& globals, ExitCode code, const std::string& status, const std::string& message) {
  if (!globals.json) {
    write_err("tokenstore: " + printable(message) + "\n");
    return;
  }
  Json json;
  json["error"] = {{"status", status}, {"exit_code", static_cast<int>(code)}, {"message", message}};
  write_err(json_line(json));
}

ExitCode run(int argc, char** argv) {
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

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away is an error of write(), not the end
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);  // a core file would hold the keys
  return static_cast<int>(run(argc, argv));
}
