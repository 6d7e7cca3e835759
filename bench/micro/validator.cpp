// The hot path and its parts that need a store.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "support/forwarding_backend.hpp"
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
  return *store.issue(Actor::host(), request);
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
  const auto backend = *sqlite_backend(options);
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

/// Storage that refuses every change once it is full.
class FullBackend final : public test::ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  bool full = false;
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch, const Announcement* entry) override {
    if (full) return {CommitOutcome::failed, 0, Error(Status::storage_full, "no space is left")};
    return ForwardingBackend::commit(workspace, batch, entry);
  }
};

/// The same, in a process that denies so many other tokens because storage could not be told: each hit looks whether it
/// is one of them.
void validate_beside_denials(benchmark::State& state) {
  const auto backend = std::make_shared<FullBackend>(memory_backend());
  auto key = Keyring::from_bytes(std::array<std::uint8_t, master_key_size>{1}, "0A");
  const auto store = *TokenStore::open(backend, std::move(*key));
  const Issued token = issue_one(*store);
  std::vector<Issued> others;
  for (std::int64_t i = 0; i < state.range(0); ++i) others.push_back(issue_one(*store));
  backend->full = true;
  for (const Issued& other : others) {
    if (store->revoke(Actor::host(), other.info.id).ok()) state.SkipWithError("the revocation was not refused");
  }
  Verdict verdict;
  for (auto step : state) {
    store->validate(token.text.reveal(), Demand("repo:write"), verdict);
    benchmark::DoNotOptimize(verdict.owner().data());
  }
  if (!verdict.valid()) state.SkipWithError("the token is not valid");
}
BENCHMARK(validate_beside_denials)->ArgName("denials")->Arg(0)->Arg(1)->Arg(16);

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
