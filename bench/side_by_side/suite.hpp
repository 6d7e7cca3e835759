/// The parts of the run, in the order in which main() takes them.
#pragma once

#include <filesystem>

#include "population.hpp"
#include "report.hpp"

namespace bench {

struct Settings {
  std::string mode = "default";
  std::filesystem::path directory;
  std::size_t small = 10'000;
  std::size_t large = 1'000'000;
  std::size_t huge = 0;             ///< 0: not measured
  std::size_t rounds = 9;           ///< of fast things
  std::size_t calls = 200'000;      ///< of a fast contender in one round
  std::size_t bulk = 100'000;       ///< tokens issued at once
  std::size_t single_issues = 300;  ///< one by one, in one round
};

/// Hot look-ups against the floor and everything that a host might use instead.
void compare_look_ups(const Settings& settings, const Population& population, bool only_floor, Report& report);
/// One and two threads (and four, for the plot) on the same and on different tokens.
void compare_threads(const Settings& settings, const Population& population, Report& report);
void measure_misses(const Settings& settings, const Population& population, Report& report);
void measure_forgeries(const Settings& settings, const Population& population, Report& report);
void measure_memory(const Settings& settings, const Population& population, Report& report);
void measure_issue(const Settings& settings, Report& report);
void measure_bulk_issue(const Settings& settings, Report& report);
void measure_purge(const Settings& settings, Report& report);
/// Everything with a journal of as many endings as the population has tokens, beside the same without.
void measure_journal(const Settings& settings, const Population& population, Report& report);
/// Durable, while the store is open, beside what SQLite offers.
void measure_backup(const Settings& settings, Report& report);
/// A throw-away PostgreSQL on a unix socket: hot look-ups beside SQLite's, misses and durable issue beside bare
/// prepared statements, and how long after a revoke another host refuses.
void measure_postgres(const Settings& settings, const Population& on_sqlite, Report& report);
/// Pages and opening at every size.
void compare_sizes(const Settings& settings, const std::vector<const Population*>& populations, Report& report);

}  // namespace bench
