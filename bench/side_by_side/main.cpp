/// side_by_side: what this library costs beside the alternatives, in one run. bench/README.md.
///
///     side_by_side [--quick | --full] [--json FILE] [--directory DIRECTORY]
#include <fmt/format.h>
#include <sodium.h>

#include <cstdio>
#include <fstream>
#include <optional>
#include <string_view>

#include "suite.hpp"

namespace {

constexpr const char* usage =
    "usage: side_by_side [--quick | --full] [--json FILE] [--directory DIRECTORY]\n"
    "  --quick      small sizes, under a minute\n"
    "  --full       10 million tokens as well (6 GB of disk, 6 GB of memory, 15 minutes)\n"
    "  --json       write the figures to FILE\n"
    "  --directory  work in a new folder there (default: the current one); not a RAM disk, or durability is free\n";

struct Arguments {
  bench::Settings settings;
  std::string json;
  std::filesystem::path base = std::filesystem::current_path();
};

std::optional<Arguments> arguments_of(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view one = argv[i];
    if (one == "--quick") {
      arguments.settings.mode = "quick";
      arguments.settings.large = 50'000;
      arguments.settings.rounds = 3;
      arguments.settings.calls = 40'000;
      arguments.settings.bulk = 10'000;
      arguments.settings.single_issues = 100;
    } else if (one == "--full") {
      arguments.settings.mode = "full";
      arguments.settings.huge = 10'000'000;
    } else if (one == "--json" && i + 1 < argc) {
      arguments.json = argv[++i];
    } else if (one == "--directory" && i + 1 < argc) {
      arguments.base = argv[++i];
    } else {
      return std::nullopt;
    }
  }
  return arguments;
}

/// A folder that is gone when the run is over.
struct WorkFolder {
  explicit WorkFolder(const std::filesystem::path& base) {
    std::string name = (base / "side-by-side-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) bench::give_up("cannot make a folder in " + base.string());
    path = name;
  }
  ~WorkFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::filesystem::path path;
};

void run(const bench::Settings& settings, bench::Report& report) {
  constexpr std::size_t tiny = 1000;
  const bench::Population thousand = bench::populate(settings.directory, tiny);
  const bench::Population small = bench::populate(settings.directory, settings.small);
  const bench::Population large = bench::populate(settings.directory, settings.large);
  std::optional<bench::Population> huge;
  if (settings.huge != 0) huge = bench::populate(settings.directory, settings.huge);

  compare_look_ups(settings, small, false, report);
  compare_look_ups(settings, large, false, report);
  if (huge) compare_look_ups(settings, *huge, true, report);
  compare_threads(settings, large, report);
  measure_misses(settings, large, report);
  measure_forgeries(settings, large, report);
  measure_memory(settings, large, report);
  measure_issue(settings, report);
  measure_bulk_issue(settings, report);
  measure_purge(settings, report);
  measure_journal(settings, large, report);
  measure_backup(settings, report);
  measure_postgres(settings, small, report);
  std::vector<const bench::Population*> sizes{&thousand, &small, &large};
  if (huge) {
    sizes.push_back(&*huge);
    report.require({fmt::format("hot at {} tokens, uniform, against {}", settings.huge, settings.small),
                    bench::Requirement::Sense::at_most, 4,
                    report.find("Hot look-ups, uniform", "tokenstore", settings.huge) /
                        report.find("Hot look-ups, uniform", "tokenstore", settings.small)});
  }
  compare_sizes(settings, sizes, report);
}

}  // namespace

int main(int argc, char** argv) {
  std::optional<Arguments> arguments = arguments_of(argc, argv);
  if (!arguments) {
    fmt::print(stderr, "{}", usage);
    return 2;
  }
  if (sodium_init() < 0) bench::give_up("libsodium does not start");
  const WorkFolder folder(arguments->base);
  arguments->settings.directory = folder.path;
  bench::Report report;
  run(arguments->settings, report);
  bench::progress("done");
  fmt::print("{}", report.table());
  if (!arguments->json.empty()) std::ofstream(arguments->json) << report.json(arguments->settings.mode);
  return 0;
}
