/// Fair comparison on a noisy machine: the contenders take turns (A B C, A B C, ...), every round is
/// timed by itself, and what is compared is the median of the rounds' own ratios, because two rounds
/// that follow each other see the same machine.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace bench {

struct Contender {
  std::string name;
  /// Runs round `round` and returns what one call took, in nanoseconds.
  std::function<double(std::size_t round)> run;
};

struct Samples {
  std::string name;
  std::vector<double> ns;  ///< per call, one for each round

  double median() const;
  double best() const;
};

/// One untimed round each, then `rounds` rounds in turn. In the order of the contenders.
std::vector<Samples> take_turns(const std::vector<Contender>& contenders, std::size_t rounds);

/// Median over the rounds of `slow` / `fast`.
double ratio(const Samples& slow, const Samples& fast);
double median_of(std::vector<double> values);

/// A part of a round: `count` calls from call `first` on.
using Part = std::function<void(std::size_t first, std::size_t count)>;
/// Runs `calls` calls in a hundred parts, timed one by one, and returns the median part's nanoseconds per call: a part
/// during which the kernel ran somebody else does not count. `prepare` comes before each part, untimed.
double time_parts(std::size_t calls, const Part& prepare, const Part& part);
/// Nanoseconds that `work` takes, divided by `calls`.
double time_per_call(std::size_t calls, const std::function<void()>& work);
/// The same for `threads` threads that each run `work(thread)`, started together; from the start to the
/// end of the last, divided by `calls` of all of them.
double time_threads(unsigned threads, std::size_t calls, const std::function<void(unsigned thread)>& work);

/// Says on standard error what is being done.
void progress(const std::string& what);
/// Ends the program with a message: a benchmark whose answers are wrong must not print figures.
[[noreturn]] void give_up(const std::string& why);

}  // namespace bench
