// The hot path and its parts that need a store.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "tokenstore/backends/memory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "tokenstore/tokenstore.hpp"

namespace {

using namespace tokenstore;

struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "micro-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

Issued issue_one(TokenStore& store) {
  IssueRequest request;
  request.owner = "owner-00000001";
  request.scopes = {"repo:read", "repo:write"};
  return std::move(*store.issue(Actor::host(), request));
}

void pulse_of_memory(benchmark::State& state) {
  const auto backend = memory_backend();
  for (auto step : state) benchmark::DoNotOptimize(backend->pulse().counter);
}
BENCHMARK(pulse_of_memory);

void pulse_of_sqlite(benchmark::State& state) {
  const Folder folder;
  SqliteOptions options;
  options.path = (folder.path / "tokens.db").string();
  const auto backend = std::move(*sqlite_backend(options));
  for (auto step : state) benchmark::DoNotOptimize(backend->pulse().counter);
}
BENCHMARK(pulse_of_sqlite);

/// One token, hot in every cache of the processor: the probe, the times, the demand and the use.
void validate_one_token(benchmark::State& state) {
  static const Folder folder;
  static const auto store = std::move(open_sqlite((folder.path / "tokens.db").string())->store);
  static const Issued token = issue_one(*store);
  const Demand demand(state.range(0) == 0 ? "repo:write" : "repo:delete");
  Verdict verdict;
  for (auto step : state) {
    store->validate(token.text.reveal(), demand, verdict);
    benchmark::DoNotOptimize(verdict.owner().data());
  }
}
BENCHMARK(validate_one_token)->ArgName("lacks scope")->Arg(0)->Arg(1);
BENCHMARK(validate_one_token)->ArgName("lacks scope")->Arg(0)->Threads(2)->UseRealTime();

void refuse_malformed(benchmark::State& state) {
  const auto store = std::move(open_memory()->store);
  std::string text(issue_one(*store).text.reveal());
  text.back() = text.back() == '0' ? '1' : '0';
  Verdict verdict;
  for (auto step : state) {
    store->validate(text, Demand("repo:write"), verdict);
    benchmark::DoNotOptimize(verdict.reason());
  }
}
BENCHMARK(refuse_malformed);

}  // namespace
