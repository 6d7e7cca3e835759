#include "common/chunked_body.hpp"

#include <algorithm>
#include <charconv>

namespace hosting {
namespace {

constexpr std::size_t longest_line = 1024;
constexpr std::size_t most_trailers = 32;

/// The size at the beginning of a chunk; an extension may follow it. False: there is none.
bool read_size(std::string_view line, std::size_t& size) {
  const auto read = std::from_chars(line.data(), line.data() + line.size(), size, 16);
  if (read.ec != std::errc{}) return false;
  const std::string_view rest = line.substr(static_cast<std::size_t>(read.ptr - line.data()));
  return rest.empty() || rest.front() == ';';
}

}  // namespace

std::size_t ChunkedBody::take(std::string_view octets) {
  std::size_t taken = 0;
  while (taken < octets.size() && state_ == State::more) {
    if (part_ == Part::data) {
      taken += take_data(octets.substr(taken));
      continue;
    }
    line_.push_back(octets[taken++]);
    const bool after_return = line_.size() > 1 && line_[line_.size() - 2] == '\r';
    if (line_.size() > longest_line || (line_.back() == '\n') != after_return) {
      state_ = State::malformed;
    } else if (after_return) {
      line_.resize(line_.size() - 2);
      take_line();
      line_.clear();
    }
  }
  return taken;
}

std::size_t ChunkedBody::take_data(std::string_view octets) {
  const std::size_t count = std::min(left_, octets.size());
  body_.append(octets.substr(0, count));
  left_ -= count;
  if (left_ == 0) part_ = Part::end_of_data;
  return count;
}

void ChunkedBody::take_line() {
  switch (part_) {
    case Part::size_line:
      if (!read_size(line_, left_)) {
        state_ = State::malformed;
      } else if (left_ > most_ - body_.size()) {
        state_ = State::too_large;
      } else {
        part_ = left_ == 0 ? Part::trailer : Part::data;
      }
      break;
    case Part::end_of_data:
      if (line_.empty()) {
        part_ = Part::size_line;
      } else {
        state_ = State::malformed;
      }
      break;
    default:
      if (line_.empty()) {
        state_ = State::whole;
      } else if (++trailers_ > most_trailers) {
        state_ = State::malformed;
      }
  }
}

}  // namespace hosting
