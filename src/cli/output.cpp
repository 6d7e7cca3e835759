#include "cli/output.hpp"

#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>

#include "cli/exit_code.hpp"

namespace tokenstore::cli {
namespace {

[[noreturn]] void output_failed(int problem) {
  if (problem == EPIPE) throw OutputClosed();
  throw Failure(ExitCode::unavailable, "output",
                "standard output cannot be written: " + std::generic_category().message(problem));
}

void write_parts(std::array<std::string_view, 3> parts) {
  while (true) {
    std::array<iovec, 3> pieces{};
    std::size_t left = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      pieces[i] = {const_cast<char*>(parts[i].data()), parts[i].size()};
      left += parts[i].size();
    }
    if (left == 0) return;
    const ssize_t wrote = ::writev(STDOUT_FILENO, pieces.data(), static_cast<int>(pieces.size()));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) output_failed(errno);
    auto done = static_cast<std::size_t>(wrote);
    for (std::string_view& part : parts) {
      const std::size_t cut = std::min(done, part.size());
      part.remove_prefix(cut);
      done -= cut;
    }
  }
}

struct Range {
  char32_t first, last;
};
constexpr std::array<Range, 8> no_width{{{0x300, 0x36F},
                                         {0x483, 0x489},
                                         {0x591, 0x5BD},
                                         {0x1AB0, 0x1AFF},
                                         {0x200B, 0x200D},
                                         {0x20D0, 0x20FF},
                                         {0xFE00, 0xFE0F},
                                         {0xFE20, 0xFE2F}}};
constexpr std::array<Range, 11> two_wide{{{0x1100, 0x115F},
                                          {0x2E80, 0x303E},
                                          {0x3041, 0xA4CF},
                                          {0xAC00, 0xD7A3},
                                          {0xF900, 0xFAFF},
                                          {0xFE30, 0xFE6F},
                                          {0xFF00, 0xFF60},
                                          {0xFFE0, 0xFFE6},
                                          {0x1F300, 0x1F64F},
                                          {0x1F900, 0x1F9FF},
                                          {0x20000, 0x3FFFD}}};
/// Marks that change the direction of what follows: they can make a terminal show one name as another.
constexpr std::array<Range, 4> direction{{{0x61C, 0x61C}, {0x200E, 0x200F}, {0x202A, 0x202E}, {0x2066, 0x2069}}};
/// Line and paragraph separators.
constexpr Range separators{0x2028, 0x2029};

template <std::size_t N>
bool in(const std::array<Range, N>& ranges, char32_t c) noexcept {
  return std::any_of(ranges.begin(), ranges.end(), [c](Range r) { return c >= r.first && c <= r.last; });
}

constexpr char32_t not_a_character = 0xFFFFFFFF;

/// Takes one character off the front; one octet and `not_a_character` if it is not UTF-8.
char32_t next_character(std::string_view& text) noexcept {
  const auto octet = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = octet(0);
  const std::size_t size = lead < 0x80                   ? 1
                           : lead >= 0xC2 && lead < 0xE0 ? 2
                           : lead >= 0xE0 && lead < 0xF0 ? 3
                           : lead >= 0xF0 && lead < 0xF5 ? 4
                                                         : 0;
  char32_t c = size <= 1 ? lead : lead & (0x7FU >> size);
  bool good = size != 0 && size <= text.size();
  for (std::size_t i = 1; good && i < size; ++i) {
    good = (octet(i) & 0xC0U) == 0x80;
    c = (c << 6U) | (octet(i) & 0x3FU);
  }
  good = good && !(size == 3 && (c < 0x800 || (c >= 0xD800 && c <= 0xDFFF))) &&
         !(size == 4 && (c < 0x10000 || c > 0x10FFFF));
  text.remove_prefix(good ? size : 1);
  return good ? c : not_a_character;
}

std::size_t width_of(char32_t c) noexcept {
  if (in(no_width, c)) return 0;
  return in(two_wide, c) ? 2 : 1;
}

/// Cuts printable text to `columns`, with an ellipsis in the last one.
std::string cut_to(const std::string& text, std::size_t columns) {
  if (display_width(text) <= columns) return text;
  std::string_view rest = text;
  std::size_t used = 0;
  std::size_t kept = 0;
  while (!rest.empty()) {
    used += width_of(next_character(rest));
    if (used + 1 > columns) break;
    kept = text.size() - rest.size();
  }
  return text.substr(0, kept) + "…";
}

}  // namespace

void write_out(std::string_view text) {
  write_parts({text, {}, {}});
}

void write_out_revealed(std::string_view before, const SecretText& secret, std::string_view after) {
  write_parts({before, secret.reveal(), after});
}

void write_err(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t wrote = ::write(STDERR_FILENO, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

std::string json_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::string_view before = text;
    const char32_t c = next_character(text);
    const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= separators.first && c <= separators.last);
    if (c == not_a_character || control || in(direction, c)) {
      out += "\xEF\xBF\xBD";
    } else {
      out += before.substr(0, before.size() - text.size());
    }
  }
  return out;
}

std::size_t display_width(std::string_view text) noexcept {
  std::size_t width = 0;
  while (!text.empty()) width += width_of(next_character(text));
  return width;
}

Table::Table(std::vector<std::string> heads) : heads_(std::move(heads)) {
  for (const std::string& head : heads_) widths_.push_back(display_width(head));
  winsize size{};
  if (::isatty(STDOUT_FILENO) == 1 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) screen_ = size.ws_col;
}

void Table::add(std::vector<std::string> cells) {
  for (std::size_t i = 0; i < cells.size(); ++i) {
    cells[i] = cells[i].empty() ? "-" : printable(cells[i]);
    widths_[i] = std::max(widths_[i], display_width(cells[i]));
  }
  rows_.push_back(std::move(cells));
}

std::string Table::line(const std::vector<std::string>& cells) const {
  constexpr std::size_t least_last = 12;
  std::string out;
  std::size_t column = 0;
  for (std::size_t i = 0; i + 1 < cells.size(); ++i) {
    out += cells[i];
    out.append(widths_[i] - display_width(cells[i]) + 2, ' ');
    column += widths_[i] + 2;
  }
  const bool cut = screen_ >= column + least_last;
  out += cut ? cut_to(cells.back(), screen_ - column) : cells.back();
  return out + "\n";
}

std::string Table::take_text() {
  std::string out;
  if (!heads_shown_ && !rows_.empty()) {
    out += line(heads_);
    heads_shown_ = true;
  }
  for (const auto& row : rows_) out += line(row);
  rows_.clear();
  return out;
}

void Card::add(std::string_view name, std::string_view value) {
  lines_.emplace_back(name, value.empty() ? "-" : printable(value));
}

std::string Card::text() const {
  std::size_t widest = 0;
  for (const auto& [name, value] : lines_) widest = std::max(widest, name.size());
  std::string out;
  for (const auto& [name, value] : lines_) {
    out.append(name).append(widest - name.size() + 2, ' ').append(value).append("\n");
  }
  return out;
}

}  // namespace tokenstore::cli
