/// Requests as a server has just received them.
///
/// The texts of a whole population lie far apart in memory, and fetching one from there costs as much as finding out
/// whose token it is. A server does not do that: it has just read the request. So the texts of some requests are copied
/// one behind the other first, and only what is done with them is timed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "population.hpp"

namespace bench {

struct Request {
  std::string_view text;
  std::uint32_t token = 0;  ///< its number in the population
};

class Requests {
 public:
  Requests(const Population& population, Slice tokens);
  // Not copied: the requests point into the octets.
  Requests(Requests&&) = default;
  Requests& operator=(Requests&&) = default;
  std::size_t size() const noexcept { return all_.size(); }
  auto begin() const noexcept { return all_.begin(); }
  auto end() const noexcept { return all_.end(); }

 private:
  std::vector<char> octets_;
  std::vector<Request> all_;
};

/// Answers requests, and returns the sum of their owners' marks.
using Answer = std::function<std::uint64_t(const Requests&)>;

struct Answered {
  double ns = 0;          ///< per request, of the median part (rounds.hpp)
  std::uint64_t sum = 0;  ///< of the owners' marks
};
Answered time_requests(const Population& population, Slice tokens, const Answer& answer);
/// The same where every answer is right or the program ends. `what` was being measured.
double time_right_requests(const Population& population, Slice tokens, const Answer& answer, const char* what);
/// Untimed, and every answer is right or the program ends.
void ask_about(const Population& population, Slice tokens, const Answer& answer);

}  // namespace bench
