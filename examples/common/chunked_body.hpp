/// Puts a body together that comes in chunks (RFC 9112 section 7.1), strictly: a chunk that could be read in two
/// ways is malformed. Trailers are read and dropped.
///
/// One object a body; one thread at a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hosting {

class ChunkedBody {
 public:
  enum class State { more, whole, malformed, too_large };

  explicit ChunkedBody(std::size_t most) : most_(most) {}

  /// Takes what belongs to the body, and says how much that was: what follows is the next request's.
  std::size_t take(std::string_view octets);
  State state() const { return state_; }
  std::string& body() { return body_; }

 private:
  enum class Part { size_line, data, end_of_data, trailer };

  std::size_t take_data(std::string_view octets);
  void take_line();

  std::size_t most_;
  State state_ = State::more;
  Part part_ = Part::size_line;
  std::size_t left_ = 0;  ///< of the chunk
  std::size_t trailers_ = 0;
  std::string line_;
  std::string body_;
};

}  // namespace hosting
