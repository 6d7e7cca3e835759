// Hot look-ups: ours, the floor, and what a host would use instead.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "lookup.hpp"
#include "suite.hpp"

namespace bench {

namespace {

constexpr std::size_t own_tokens = 1000;  ///< of the contenders that have tokens of their own

/// Everyone who answers wrongly ends the program.
Contender contender(const Population& population, std::string name, LookUp& way, const Order& order, std::size_t calls,
                    std::size_t modulus = 0) {
  auto run = [&population, &way, &order, calls, modulus, name](std::size_t round) {
    const Slice slice = slice_of_round(order, round, calls);
    const Answered answered = time_requests(population, slice, answer_of(way));
    std::uint64_t expected = 0;
    if (modulus == 0) {
      expected = population.expected(slice);
    } else {
      for (const std::uint32_t token : slice) expected += population.marks[token % modulus];
    }
    if (answered.sum != expected) give_up("wrong answers from " + name);
    return answered.ns;
  };
  return {std::move(name), std::move(run)};
}

/// The floor's table forgets tokens that share a slot, so its sum cannot be held to anything.
Contender floor_contender(const Population& population, std::string name, LookUp& way, const Order& order,
                          std::size_t calls) {
  return {std::move(name), [&population, &way, &order, calls](std::size_t round) {
            const Answered answered = time_requests(population, slice_of_round(order, round, calls), answer_of(way));
            if (answered.sum == 0) give_up("the floor finds nothing");
            return answered.ns;
          }};
}

std::unique_ptr<tokenstore::TokenStore> warm_store(const Population& population) {
  progress(fmt::format("filling the cache with {} tokens", population.tokens));
  auto store = population.open(population.ample_cache());
  const auto way = our_look_up(*store, false);
  ask_about(population, shuffled_order(population.tokens, 11), answer_of(*way));
  return store;
}

const Samples& named(const std::vector<Samples>& group, std::string_view name) {
  const auto found = std::find_if(group.begin(), group.end(), [&](const Samples& one) { return one.name == name; });
  if (found == group.end()) give_up("no such contender");
  return *found;
}

constexpr const char* small_pages = "floor: SipHash and a probe, 4 KiB pages";
constexpr const char* huge_pages = "floor: SipHash and a probe, huge pages";
constexpr const char* std_map = "map: SHA-256, std::unordered_map";
constexpr const char* absl_map = "map: SHA-256, absl::flat_hash_map";
constexpr const char* lmdb = "LMDB by SHA-256";
constexpr const char* sqlite = "SQLite select by SHA-256";
constexpr const char* jwt = "libjwt HS256";
constexpr const char* redis = "Redis GET on loopback";

void require_look_ups(const Settings& settings, std::size_t tokens, const std::vector<Samples>& group, bool zipf,
                      Report& report) {
  const Samples& ours = group.front();
  const auto faster = [&](const char* what, double by) {
    report.require({fmt::format("hot at {} tokens, {}, against {}", tokens, zipf ? "Zipf 1.0" : "uniform", what),
                    Requirement::Sense::at_least, by, ratio(named(group, what), ours)});
  };
  const char* better = named(group, std_map).median() < named(group, absl_map).median() ? std_map : absl_map;
  if (tokens == settings.small && !zipf) faster(better, 2);
  if (tokens != settings.large) return;
  if (zipf) {
    faster(sqlite, 20);
    faster(jwt, 15);
    faster(redis, 200);
    return;
  }
  for (const char* floor : {small_pages, huge_pages}) {
    report.require({fmt::format("hot at {} tokens, uniform, against {}", tokens, floor), Requirement::Sense::at_most,
                    1.5, 1 / ratio(named(group, floor), ours)});
  }
  faster(better, 2);
  faster(lmdb, 3);
  faster(sqlite, 12);
  faster(jwt, 8);
  faster(redis, 100);
}

/// Every thread answers `calls` requests of its own. In parts, for the same reason as one thread's.
double time_side_by_side(const Population& population, const Order& order, LookUp& way, unsigned threads,
                         std::size_t calls) {
  constexpr std::size_t parts = 5;  // long enough for the threads' start not to count
  const std::size_t count = calls / parts;
  std::vector<double> times;
  for (std::size_t part = 0; part < parts; ++part) {
    std::vector<Requests> requests;
    std::uint64_t expected = 0;
    for (unsigned thread = 0; thread < threads; ++thread) {
      const Slice slice = slice_of_round(order, part * threads + thread, count);
      requests.emplace_back(population, slice);
      expected += population.expected(slice);
    }
    std::atomic<std::uint64_t> sum{0};
    times.push_back(
        time_threads(threads, count * threads, [&](unsigned thread) { sum.fetch_add(way.run(requests[thread])); }));
    if (sum != expected) give_up("wrong answers from several threads");
  }
  return median_of(std::move(times));
}

}  // namespace

void compare_look_ups(const Settings& settings, const Population& population, bool only_floor, Report& report) {
  const auto store = warm_store(population);
  const auto ours = our_look_up(*store, false);
  const auto ours_from = our_look_up(*store, true);
  progress(fmt::format("building the contenders for {} tokens", population.tokens));
  const auto small_floor = floor_look_up(population, Pages::small);
  const auto huge_floor = floor_look_up(population, Pages::huge);
  std::unique_ptr<LookUp> unordered, flat, by_sqlite, by_lmdb, by_jwt, by_scitokens, by_redis;
  if (!only_floor) {
    unordered = map_look_up(population, MapKind::std_unordered);
    flat = map_look_up(population, MapKind::absl_flat);
    by_lmdb = lmdb_look_up(population, settings.directory);
    by_sqlite = sqlite_look_up(population, settings.directory);
    by_jwt = jwt_look_up(population, own_tokens);
    by_scitokens = scitokens_look_up(population, settings.directory, own_tokens / 10);
    by_redis = redis_look_up(population, settings.directory);
    if (!by_scitokens) report.note("libscitokens is not available");
  }
  for (const bool zipf : {false, true}) {
    progress(fmt::format("hot look-ups at {} tokens, {}", population.tokens, zipf ? "Zipf" : "uniform"));
    const std::size_t length = settings.calls * (settings.rounds + 1);
    const Order order = zipf ? zipf_order(population.tokens, length, 5) : uniform_order(population.tokens, length, 5);
    std::vector<Contender> contenders;
    contenders.push_back(contender(population, "tokenstore", *ours, order, settings.calls));
    contenders.push_back(floor_contender(population, small_pages, *small_floor, order, settings.calls));
    contenders.push_back(floor_contender(population, huge_pages, *huge_floor, order, settings.calls));
    contenders.push_back(contender(population, "tokenstore, with client address", *ours_from, order, settings.calls));
    if (!only_floor) {
      contenders.push_back(contender(population, std_map, *unordered, order, settings.calls));
      contenders.push_back(contender(population, absl_map, *flat, order, settings.calls));
      contenders.push_back(contender(population, lmdb, *by_lmdb, order, settings.calls / 4));
      contenders.push_back(contender(population, sqlite, *by_sqlite, order, settings.calls / 20));
      contenders.push_back(contender(population, jwt, *by_jwt, order, settings.calls / 20, own_tokens));
      contenders.push_back(contender(population, redis, *by_redis, order, settings.calls / 200));
      if (by_scitokens) {
        contenders.push_back(
            contender(population, "libscitokens ES256", *by_scitokens, order, settings.calls / 2000, own_tokens / 10));
      }
    }
    const auto before = store->statistics();
    const std::vector<Samples> group = take_turns(contenders, settings.rounds);
    const auto after = store->statistics();
    if (after.misses - before.misses > (after.hits - before.hits) / 1000) give_up("the hot path was not hot");
    report.add(zipf ? "Hot look-ups, Zipf 1.0" : "Hot look-ups, uniform", population.tokens, 1, group);
    if (!only_floor) require_look_ups(settings, population.tokens, group, zipf, report);
  }
}

void compare_threads(const Settings& settings, const Population& population, Report& report) {
  const auto store = warm_store(population);
  const auto ours = our_look_up(*store, false);
  const auto flat = map_look_up(population, MapKind::absl_flat);
  progress("threads");
  const Order different = uniform_order(population.tokens, settings.calls * 4, 7);
  const Order same(settings.calls * 4, 42);
  for (const bool one_token : {false, true}) {
    const Order& order = one_token ? same : different;
    std::vector<Contender> contenders;
    for (const bool is_map : {false, true}) {
      for (const unsigned threads : {1U, 2U, 4U}) {
        contenders.push_back(
            {fmt::format("{}, {} thread{}", is_map ? absl_map : "tokenstore", threads, threads == 1 ? "" : "s"),
             [&, is_map, threads](std::size_t) {
               LookUp& way = is_map ? *flat : *ours;
               return time_side_by_side(population, order, way, threads, settings.calls);
             }});
      }
    }
    const std::vector<Samples> group = take_turns(contenders, settings.rounds);
    const std::string section = one_token ? "Threads on one token" : "Threads on different tokens";
    for (std::size_t i = 0; i < group.size(); ++i) {
      report.add(Row{section, group[i].name, population.tokens, 1U << (i % 3), group[i].median(), group[i].best(),
                     ratio(group[i], group[i % 3])});
    }
    report.require({fmt::format("two threads, {}: validations a second, against one",
                                one_token ? "the same token" : "different tokens"),
                    Requirement::Sense::at_least, 1.9, ratio(group[0], group[1])});
  }
}

}  // namespace bench
