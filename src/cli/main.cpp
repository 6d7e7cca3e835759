/// The `tokenstore` command: makes the process safe to hold keys, and ends with what the command says.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "cli/run.hpp"

namespace {

/// A database opened as descriptor 1 or 2 would be written over by the next message. Standard output
/// that is closed is replaced by one that refuses writes, so that no token is written to nowhere.
void occupy_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) == -1 && ::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd)
      std::_Exit(70);
  }
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_descriptors();
  (void)std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away is an error of write(), not the end
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);  // a core file would hold the keys
  return static_cast<int>(tokenstore::cli::run_command(argc, argv));
}
