#include "rounds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace bench {

namespace {

using Time = std::chrono::steady_clock;

double nanos_since(Time::time_point start) {
  return std::chrono::duration<double, std::nano>(Time::now() - start).count();
}

}  // namespace

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double Samples::median() const {
  return median_of(ns);
}
double Samples::best() const {
  return ns.empty() ? 0 : *std::min_element(ns.begin(), ns.end());
}

std::vector<Samples> take_turns(const std::vector<Contender>& contenders, std::size_t rounds) {
  std::vector<Samples> all;
  for (const Contender& contender : contenders) {
    contender.run(0);
    all.push_back({contender.name, {}});
  }
  for (std::size_t round = 1; round <= rounds; ++round) {
    // Each begins in turn: who comes first finds the round's tokens in no processor's cache.
    for (std::size_t turn = 0; turn < contenders.size(); ++turn) {
      const std::size_t i = (round + turn) % contenders.size();
      all[i].ns.push_back(contenders[i].run(round));
    }
  }
  return all;
}

double ratio(const Samples& slow, const Samples& fast) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(slow.ns.size(), fast.ns.size()); ++i) ratios.push_back(slow.ns[i] / fast.ns[i]);
  return median_of(std::move(ratios));
}

double time_parts(std::size_t calls, const Part& prepare, const Part& part) {
  constexpr std::size_t parts = 100;
  const std::size_t step = std::max<std::size_t>(calls / parts, 1);
  std::vector<double> times;
  for (std::size_t first = 0; first < calls; first += step) {
    const std::size_t count = std::min(step, calls - first);
    prepare(first, count);
    times.push_back(time_per_call(count, [&] { part(first, count); }));
  }
  return median_of(std::move(times));
}

double time_per_call(std::size_t calls, const std::function<void()>& work) {
  const auto start = Time::now();
  work();
  return nanos_since(start) / static_cast<double>(calls);
}

double time_threads(unsigned threads, std::size_t calls, const std::function<void(unsigned)>& work) {
  std::atomic<unsigned> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> running;
  for (unsigned thread = 0; thread < threads; ++thread) {
    running.emplace_back([&, thread] {
      ready.fetch_add(1);
      while (!go.load()) std::this_thread::yield();
      work(thread);
    });
  }
  while (ready.load() < threads) std::this_thread::yield();
  const auto start = Time::now();
  go.store(true);
  for (std::thread& one : running) one.join();
  return nanos_since(start) / static_cast<double>(calls);
}

void progress(const std::string& what) {
  static const auto start = Time::now();
  fmt::print(stderr, "[{:7.1f} s] {}\n", nanos_since(start) / 1e9, what);
}

void give_up(const std::string& why) {
  fmt::print(stderr, "side_by_side: {}\n", why);
  std::exit(1);
}

}  // namespace bench
