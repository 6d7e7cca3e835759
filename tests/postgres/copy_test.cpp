// Moving a store from SQLite to PostgreSQL and back, while it is in use.
#include <atomic>

#include "cli/exit_code.hpp"
#include "cli/mirror.hpp"
#include "postgres_support.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"

namespace tokenstore::test {
namespace {

using cli::Mirror;

std::shared_ptr<Backend> open_file(const std::string& path) {
  SqliteOptions options;
  options.path = path;
  auto opened = sqlite_backend(options);
  if (!opened.ok()) throw std::runtime_error(opened.error().message());
  return std::move(opened).value();
}

const auto silent = [](std::uint64_t) {};

TEST_CASE("a copy made while the source is in use is complete, and every seal verifies") {
  const TempDirectory directory;
  const PostgresCluster cluster;
  const auto file = open_file((directory.path() / "a.db").string());
  PostgresOptions options = options_for(cluster.conninfo());
  options.deadline = std::chrono::seconds(20);
  const auto server = open_backend(options);
  const auto store = open_store(file);
  std::vector<std::string> ids;
  for (int number = 0; number < 1'200; ++number) {
    ids.push_back(issue_one(*store, "owner" + std::to_string(number % 7)).info.id);
  }
  const Issued kept = issue_one(*store);

  std::atomic<bool> stop{false};
  std::thread user([&] {
    std::size_t at = 0;
    while (!stop && at + 2 < ids.size()) {
      CHECK(store->revoke(Actor::host(), ids[at++]).ok());
      CHECK(store->remove(Actor::host(), ids[at++]).ok());
      issue_one(*store, "late");
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  Mirror during(*file, *server, false, silent);
  const auto counts = during.copy("default");
  stop = true;
  user.join();
  CHECK(counts.tokens > 1'000);

  Mirror after(*file, *server, true, silent);
  after.copy("default");
  CHECK(after.differences("default") == 0);
  CHECK(after.copy("default").written == 0);
  const auto moved = open_store(server);
  const auto report = moved->check(Actor::host());
  REQUIRE(report.ok());
  CHECK(report->problem_count == 0);
  CHECK(report->tokens == store->check(Actor::host())->tokens);
  CHECK(moved->validate(kept.text.reveal(), Demand("read")).valid());
  CHECK(moved->get(Actor::host(), ids[0])->state == TokenState::revoked);
  CHECK(moved->get(Actor::host(), ids[1]).status() == Status::not_found);

  const auto back = open_file((directory.path() / "b.db").string());
  Mirror home(*server, *back, false, silent);
  home.copy("default");
  CHECK(home.differences("default") == 0);
  CHECK(open_store(back)->check(Actor::host())->problem_count == 0);
}

TEST_CASE("a target that is in use is not overwritten") {
  const TempDirectory directory;
  const PostgresCluster cluster;
  const auto file = open_file((directory.path() / "a.db").string());
  const auto server = open_backend(options_for(cluster.conninfo()));
  const auto store = open_store(file);
  const Issued issued = issue_one(*store);
  Mirror mirror(*file, *server, false, silent);
  mirror.copy("default");

  const auto moved = open_store(server);
  const Issued extra = issue_one(*moved);
  CHECK_THROWS_AS(mirror.copy("default"), cli::Failure);
  CHECK(moved->validate(extra.text.reveal(), Demand("read")).valid());
  CHECK(moved->revoke(Actor::host(), issued.info.id).ok());
  Mirror forced(*file, *server, true, silent);
  CHECK_THROWS_AS(forced.copy("default"), cli::Failure);
  CHECK(moved->get(Actor::host(), issued.info.id)->state == TokenState::revoked);

  // The detector of differences: a changed seal is one.
  const auto before = mirror.differences("default");
  cluster.sql("UPDATE tokenstore.owner SET seal = verifier FROM tokenstore.token");
  CHECK(mirror.differences("default") > before);
}

}  // namespace
}  // namespace tokenstore::test
