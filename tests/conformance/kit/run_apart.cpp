#include "run_apart.hpp"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <system_error>

namespace tokenstore::conformance {
namespace {

[[noreturn]] void fail(const char* call) {
  throw std::system_error(errno, std::generic_category(), call);
}

[[noreturn]] void be_the_child(const std::function<std::string()>& body, int to) {
  std::string text;
  try {
    text = body();
  } catch (const std::exception& error) {
    text = error.what();
  }
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t written = ::write(to, text.data() + at, text.size() - at);
    if (written <= 0) break;
    at += static_cast<std::size_t>(written);
  }
  // Not _exit: a leak that a sanitizer finds at the end counts.
  std::exit(text.empty() ? EXIT_SUCCESS : EXIT_FAILURE);
}

/// What the child writes until it ends. False: it did not end in time.
bool read_all(int from, std::chrono::steady_clock::time_point until, std::string& text) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd ready{from, POLLIN, 0};
    const int count = ::poll(&ready, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 60'000)));
    if (count < 0 && errno != EINTR) fail("poll");
    if (count <= 0) continue;
    std::array<char, 4096> part;
    const ssize_t got = ::read(from, part.data(), part.size());
    if (got < 0) fail("read");
    if (got == 0) return true;
    text.append(part.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

std::string run_apart(const std::function<std::string()>& body, std::chrono::seconds limit) {
  std::array<int, 2> pipe;
  if (::pipe(pipe.data()) != 0) fail("pipe");
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    ::close(pipe[0]);
    be_the_child(body, pipe[1]);
  }
  ::close(pipe[1]);
  std::string text;
  const bool in_time = read_all(pipe[0], std::chrono::steady_clock::now() + limit, text);
  ::close(pipe[0]);
  if (!in_time) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) fail("waitpid");
  }
  if (!in_time) return text + "it did not end within " + std::to_string(limit.count()) + " s\n";
  if (WIFSIGNALED(status)) return text + "it crashed: " + strsignal(WTERMSIG(status)) + "\n";
  if (text.empty() && WEXITSTATUS(status) != 0) {
    return "its process ended with " + std::to_string(WEXITSTATUS(status)) + "\n";
  }
  return text;
}

}  // namespace tokenstore::conformance
