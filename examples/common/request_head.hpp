/// Judges a request's head before cpp-httplib sees it, and says where the request ends. Two readers of one
/// connection that disagree about that let a client smuggle a request past the first of them, so whatever can
/// be read in two ways is refused.
///
/// Pure function; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hosting {

struct Limits;

/// Why a request is not served at all. `why` is a sentence for the problem document.
struct Refusal {
  int status = 0;  ///< 0: it is served
  std::string_view why{};
};

struct RequestHead {
  Refusal refusal{};
  bool chunked = false;
  std::uint64_t length = 0;  ///< of the body, unless it is chunked
  bool expects_continue = false;
  /// The request line and the fields that are cpp-httplib's business, without the empty line at the end: those that
  /// frame the body are left out, and Range with them, since every answer here is whole. It is as long as what
  /// came, or shorter.
  std::string passed_on{};
};

/// `head` ends with the empty line.
RequestHead judge_head(std::string_view head, const Limits& limits);

}  // namespace hosting
