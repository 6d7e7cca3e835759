#include "population.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace bench {

std::string owner_name(std::size_t token) {
  return fmt::format("owner-{:08}", token / tokens_per_owner);
}

std::vector<tokenstore::IssueRequest> issue_requests(std::size_t first, std::size_t count) {
  std::vector<tokenstore::IssueRequest> all(count);
  for (std::size_t i = 0; i < count; ++i) {
    all[i].owner = owner_name(first + i);
    all[i].description = "deploys from the build server";
    all[i].scopes = {"repo:read", "repo:write"};
  }
  return all;
}

std::unique_ptr<tokenstore::TokenStore> Population::open(std::size_t cache_bytes) const {
  tokenstore::OpenSqlite options;
  options.sqlite.path = file.string();
  options.store.cache_bytes = cache_bytes;
  return std::move(must(tokenstore::open_sqlite(std::move(options))).store);
}

std::uint64_t Population::expected(Slice slice) const {
  std::uint64_t sum = 0;
  for (const std::uint32_t token : slice) sum += marks[token];
  return sum;
}

Population populate(const std::filesystem::path& directory, std::size_t tokens) {
  Population made;
  made.file = directory / fmt::format("tokens-{}.db", tokens);
  fill(*made.open(0), tokens, made);
  return made;
}

void fill(tokenstore::TokenStore& store, std::size_t tokens, Population& made) {
  progress(fmt::format("issuing {} tokens", tokens));
  made.tokens = tokens;
  made.marks.reserve(tokens);
  constexpr std::size_t batch = 20'000;
  for (std::size_t first = 0; first < tokens; first += batch) {
    const auto issued =
        must(store.issue_many(tokenstore::Actor::host(), issue_requests(first, std::min(batch, tokens - first))));
    if (first == 0) made.texts.reserve(tokens, issued.front().text.size());
    for (const tokenstore::Issued& one : issued) {
      made.texts.add(one.text.reveal());
      made.marks.push_back(mark_of(one.info.owner));
    }
  }
}

}  // namespace bench
