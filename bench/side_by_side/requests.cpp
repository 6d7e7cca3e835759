#include "requests.hpp"

#include <algorithm>

namespace bench {

Requests::Requests(const Population& population, Slice tokens) {
  if (tokens.empty()) return;
  const std::size_t size = population.texts[tokens.front()].size();
  octets_.reserve(tokens.size() * size);
  all_.reserve(tokens.size());
  for (const std::uint32_t token : tokens) {
    const std::string_view text = population.texts[token];
    all_.push_back({{octets_.data() + octets_.size(), text.size()}, token});
    octets_.insert(octets_.end(), text.begin(), text.end());
  }
}

Answered time_requests(const Population& population, Slice tokens, const Answer& answer) {
  Answered answered;
  Requests requests(population, {});
  answered.ns = time_parts(
      tokens.size(),
      [&](std::size_t first, std::size_t count) { requests = Requests(population, tokens.subspan(first, count)); },
      [&](std::size_t, std::size_t) { answered.sum += answer(requests); });
  return answered;
}

double time_right_requests(const Population& population, Slice tokens, const Answer& answer, const char* what) {
  const Answered answered = time_requests(population, tokens, answer);
  if (answered.sum != population.expected(tokens)) give_up(std::string("wrong answers: ") + what);
  return answered.ns;
}

void ask_about(const Population& population, Slice tokens, const Answer& answer) {
  constexpr std::size_t at_once = 10'000;
  for (std::size_t first = 0; first < tokens.size(); first += at_once) {
    const Slice some = tokens.subspan(first, std::min(at_once, tokens.size() - first));
    if (answer(Requests(population, some)) != population.expected(some)) give_up("a token did not validate");
  }
}

}  // namespace bench
