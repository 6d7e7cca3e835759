/// What the command writes: lines, tables, JSON and notes.
///
/// Standard output carries the answer and nothing else; notes, questions and errors go to standard
/// error. Every write is checked: OutputClosed if the reader has gone, a Failure otherwise. One thread.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tokenstore/model.hpp"
#include "tokenstore/secret.hpp"

namespace tokenstore::cli {

using Json = nlohmann::ordered_json;

/// Writes all of `text` to standard output.
void write_out(std::string_view text);
/// Writes `before`, the secret and `after`, without a copy of the secret. The one place that shows one.
void write_out_revealed(std::string_view before, const SecretText& secret, std::string_view after);
/// Writes to standard error, and does not mind failing.
void write_err(std::string_view text) noexcept;

/// One line of JSON. Octets that are not UTF-8 are replaced.
std::string json_line(const Json& value);

/// `text` with whatever could move the cursor or turn the writing direction replaced by U+FFFD.
std::string printable(std::string_view text);
/// Columns that printable text takes on a terminal.
std::size_t display_width(std::string_view text) noexcept;

/// Rows of text in columns that line up. Widths only grow, so that pages of one list stay together.
/// On a terminal the last column is cut to fit; in a pipe nothing is.
class Table {
 public:
  explicit Table(std::vector<std::string> heads);
  void add(std::vector<std::string> cells);
  /// The rows added since the last call; the heads come with the first.
  std::string take_text();

 private:
  std::string line(const std::vector<std::string>& cells) const;

  std::vector<std::string> heads_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> widths_;
  std::size_t screen_ = 0;  ///< columns of the terminal; 0: not a terminal
  bool heads_shown_ = false;
};

/// Names and values, one pair a line, the values lined up.
class Card {
 public:
  void add(std::string_view name, std::string_view value);
  std::string text() const;

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

}  // namespace tokenstore::cli
