/// The person at the terminal: questions, progress, and reading a token without showing it. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "tokenstore/secret.hpp"

namespace tokenstore::cli {

/// Standard input up to its end or, on a terminal, one line that is not echoed. One line ending at the
/// end is dropped; nothing else is trimmed. Input that is too long to be a token is cut, and so stays
/// too long. A Failure if it cannot be read.
SecretText read_token_from_input();

/// Asks on a terminal and returns when the answer was yes; a Failure (`cancelled`) otherwise. Without a
/// terminal there is nobody to ask: returns at once.
void confirm(const std::string& question);

/// A line on standard error that is written over again and again; silent unless that is a terminal.
class ProgressLine {
 public:
  ProgressLine(std::string_view verb, bool quiet);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  /// `total` 0: not known.
  void update(std::uint64_t done, std::uint64_t total);

 private:
  std::string verb_;
  bool on_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace tokenstore::cli
