/// What a store costs that few ask: a host with a thousand workspaces keeps all of them open.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "tokenstore/backends/memory.hpp"
#include "tokenstore/tokenstore.hpp"
#include "unit/rules/world.hpp"
#include "validate/pages.hpp"

using namespace tokenstore;

namespace {

constexpr std::size_t stores = 1000;

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  REQUIRE(statm >> size >> resident);
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

std::unique_ptr<TokenStore> open_workspace(const std::shared_ptr<Backend>& backend, std::size_t number) {
  StoreOptions options;
  options.workspace = "tenant-" + std::to_string(number);
  auto opened = TokenStore::open(backend, test::one_key(), std::move(options));
  REQUIRE(opened.ok());
  return std::move(*opened);
}

}  // namespace

TEST_CASE("of a thousand open workspaces none takes more than 64 KiB idle, and little more with a token in use") {
  const auto backend = memory_backend();
  open_workspace(backend, 0);  // what all share is there
  std::vector<std::unique_ptr<TokenStore>> open;
  open.reserve(stores);
  const std::size_t before = resident_bytes();
  for (std::size_t number = 1; number <= stores; ++number) open.push_back(open_workspace(backend, number));
  const std::size_t idle = (resident_bytes() - before) / stores;
  std::vector<Issued> tokens;
  Verdict verdict;
  for (const auto& store : open) {
    IssueRequest request;
    request.owner = "alice";
    request.scopes = {"read"};
    tokens.push_back(store->issue(Actor::host(), request).value());
  }
  const std::size_t issued = (resident_bytes() - before) / stores;
  for (std::size_t number = 0; number < stores; ++number) {
    for (int time = 0; time < 3; ++time) open[number]->validate(tokens[number].text.reveal(), Demand("read"), verdict);
    REQUIRE(verdict.valid());
    REQUIRE(open[number]->statistics().hits == 2);
  }
  const std::size_t used = (resident_bytes() - before) / stores;
  WARN("octets a store: idle " << idle << ", with a token issued " << issued << ", and in use " << used);
  CHECK(idle > 0);
  CHECK(idle <= std::size_t{64} << 10);
  CHECK(used <= std::size_t{96} << 10);
}

TEST_CASE("what is measured is the memory that is touched") {
  const std::size_t before = resident_bytes();
  const validate::Pages pages(std::size_t{8} << 20);
  CHECK(resident_bytes() - before < pages.bytes() / 4);
  for (std::size_t word = 0; word < pages.bytes() / sizeof(std::uint64_t); ++word) pages.words()[word].store(1);
  CHECK(resident_bytes() - before >= pages.bytes() / 2);
}
