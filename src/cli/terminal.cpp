#include "cli/terminal.hpp"

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>

#include "cli/exit_code.hpp"
#include "cli/output.hpp"

namespace tokenstore::cli {
namespace {

volatile std::sig_atomic_t caught_signal = 0;

extern "C" void note_signal(int number) {
  caught_signal = number;
}

/// Turns echo off, and back on whatever happens: an interrupt is held until the terminal is itself again.
class NoEcho {
 public:
  NoEcho() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    struct sigaction action {};
    action.sa_handler = note_signal;  // no SA_RESTART: the read below must come back
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &action, &old_[i]);
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    on_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
  }
  ~NoEcho() {
    if (!on_) return;
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    write_err("\n");
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &old_[i], nullptr);
    if (caught_signal != 0) (void)::raise(caught_signal);
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;

 private:
  static constexpr std::array<int, 3> signals{SIGINT, SIGTERM, SIGHUP};
  termios before_{};
  std::array<struct sigaction, 3> old_{};
  bool on_ = false;
};

/// Memory that a token passes through.
struct WipedBuffer {
  std::array<char, 4096> octets{};
  ~WipedBuffer() { ::explicit_bzero(octets.data(), octets.size()); }
};

/// Reads until the end, a full buffer or, if `one_line`, a line ending.
std::size_t read_input(std::span<char> into, bool one_line) {
  std::size_t size = 0;
  while (size < into.size()) {
    const ssize_t got = ::read(STDIN_FILENO, into.data() + size, into.size() - size);
    if (got < 0 && errno == EINTR && caught_signal == 0) continue;
    if (got < 0) {
      throw Failure(ExitCode::unavailable, "input", "standard input cannot be read: give the token there");
    }
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
    if (one_line && into[size - 1] == '\n') break;
  }
  return size;
}

}  // namespace

SecretText read_token_from_input() {
  WipedBuffer buffer;
  std::size_t size = 0;
  if (::isatty(STDIN_FILENO) == 1) {
    const NoEcho no_echo;  // before the question: whoever sees it may type
    write_err("token (not shown): ");
    size = read_input(buffer.octets, true);
  } else {
    size = read_input(buffer.octets, false);
  }
  if (size > 0 && buffer.octets[size - 1] == '\n') {
    --size;
    if (size > 0 && buffer.octets[size - 1] == '\r') --size;
  }
  return SecretText(std::string_view(buffer.octets.data(), size));
}

void confirm(const std::string& question) {
  if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDERR_FILENO) != 1) return;
  write_err(printable(question) + " [y/N] ");
  std::array<char, 64> answer{};
  const std::string_view given(answer.data(), read_input(answer, true));
  if (given == "y\n" || given == "Y\n" || given == "yes\n") return;
  throw Failure(ExitCode::cancelled, "cancelled", "cancelled: nothing was changed");
}

ProgressLine::ProgressLine(std::string_view verb, bool quiet)
    : verb_(verb), on_(!quiet && ::isatty(STDERR_FILENO) == 1), last_(std::chrono::steady_clock::now()) {}

ProgressLine::~ProgressLine() {
  if (shown_) write_err("\r\033[K");
}

void ProgressLine::update(std::uint64_t done, std::uint64_t total) {
  using namespace std::chrono_literals;
  const auto now = std::chrono::steady_clock::now();
  if (!on_ || now - last_ < 100ms) return;
  last_ = now;
  shown_ = true;
  write_err(total == 0 ? fmt::format("\r\033[K{} {}", verb_, done)
                       : fmt::format("\r\033[K{} {} of {}", verb_, done, total));
}

}  // namespace tokenstore::cli
