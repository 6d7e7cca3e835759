// What must not grow with the store: a page of the list, and opening.
#include <fmt/format.h>

#include <fstream>

#include "lookup.hpp"
#include "suite.hpp"

namespace bench {

namespace {

using tokenstore::Actor;

constexpr std::size_t page = 50;

/// Pages from random places of the list.
double time_pages(tokenstore::TokenStore& store, const Population& population, const Order& order, std::size_t round,
                  bool of_owner) {
  const Slice slice = slice_of_round(order, round, 200);
  return time_per_call(slice.size(), [&] {
    for (const std::uint32_t token : slice) {
      tokenstore::ListQuery query;
      query.limit = page;
      if (of_owner) {
        query.owner = owner_name(token);
      } else {
        const std::string_view text = population.texts[token];
        query.cursor = "c1" + std::string(id_of(text));
      }
      const auto found = must(store.list(Actor::host(), query));
      if (of_owner && found.tokens.size() != tokens_per_owner) give_up("a page of an owner is incomplete");
    }
  });
}

/// Of a large file the kernel may have dropped parts since it was written. A page that has to come from the disk says
/// nothing about the size of the store.
void into_page_cache(const std::filesystem::path& file) {
  std::ifstream from(file, std::ios::binary);
  std::vector<char> octets(std::size_t{1} << 20);
  while (from.read(octets.data(), static_cast<std::streamsize>(octets.size()))) {
  }
  if (!from.eof()) give_up("cannot read " + file.string());
}

}  // namespace

void compare_sizes(const Settings& settings, const std::vector<const Population*>& populations, Report& report) {
  progress("pages and opening at every size");
  std::vector<std::unique_ptr<tokenstore::TokenStore>> stores;
  std::vector<Order> orders;
  std::vector<Contender> pages;
  std::vector<Contender> owners;
  std::vector<Contender> openings;
  const auto empty = settings.directory / "empty.db";
  must(tokenstore::open_sqlite(empty.string()));
  for (const Population* population : populations) {
    into_page_cache(population->file);
    stores.push_back(population->open(0));
    // The newest of the list have fewer than a page behind them only at its very end.
    orders.push_back(uniform_order(population->tokens - page, 2000, 9));
    for (std::uint32_t& token : orders.back()) token += page;
  }
  for (std::size_t i = 0; i < populations.size(); ++i) {
    const Population* population = populations[i];
    tokenstore::TokenStore* store = stores[i].get();
    const Order* order = &orders[i];
    pages.push_back({fmt::format("page of 50 at {}", population->tokens),
                     [=](std::size_t round) { return time_pages(*store, *population, *order, round, false); }});
    owners.push_back({fmt::format("page of an owner's 10 at {}", population->tokens),
                      [=](std::size_t round) { return time_pages(*store, *population, *order, round, true); }});
  }
  const auto opening = [](std::string name, std::filesystem::path file) {
    return Contender{std::move(name), [file = std::move(file)](std::size_t) {
                       constexpr std::size_t times = 20;
                       return time_per_call(times, [&] {
                         for (std::size_t i = 0; i < times; ++i) must(tokenstore::open_sqlite(file.string()));
                       });
                     }};
  };
  openings.push_back(opening("open, empty", empty));
  for (const Population* population : populations) {
    openings.push_back(opening(fmt::format("open at {}", population->tokens), population->file));
  }

  const auto add = [&](const char* section, const std::vector<Contender>& contenders, std::size_t skipped) {
    const auto group = take_turns(contenders, settings.rounds);
    for (std::size_t i = 0; i < group.size(); ++i) {
      report.add(Row{section, group[i].name, i < skipped ? 0 : populations[i - skipped]->tokens, 1, group[i].median(),
                     group[i].best(), ratio(group[i], group[0])});
    }
    return group;
  };
  const auto page_group = add("Pages (SQLite)", pages, 0);
  add("Pages of one owner (SQLite)", owners, 0);
  const auto open_group = add("Opening (SQLite)", openings, 1);
  const std::size_t from = populations.front()->tokens == settings.small ? 0 : 1;
  for (std::size_t i = from + 1; i < populations.size(); ++i) {
    report.require({fmt::format("page of 50 at {} tokens, against {}", populations[i]->tokens, settings.small),
                    Requirement::Sense::at_most, 1.5, ratio(page_group[i], page_group[from])});
  }
  report.require({fmt::format("page of 50 at {} tokens, against {}", settings.large, populations.front()->tokens),
                  Requirement::Sense::at_most, 1.5, ratio(page_group[from + 1], page_group.front())});
  report.require({fmt::format("opening at {} tokens, against empty", populations.back()->tokens),
                  Requirement::Sense::at_most, 1.5, ratio(open_group.back(), open_group.front())});
}

}  // namespace bench
