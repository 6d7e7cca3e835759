// Moving a store from SQLite to PostgreSQL and back, while it is in use.
#include <atomic>

#include "postgres_support.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "tokenstore/transfer.hpp"

namespace tokenstore::test {
namespace {

std::shared_ptr<Backend> open_file(const std::string& path) {
  SqliteOptions options;
  options.path = path;
  auto opened = sqlite_backend(options);
  if (!opened.ok()) throw std::runtime_error(opened.error().message());
  return std::move(opened).value();
}

Result<CopyReport> copy(Backend& from, Backend& to, bool delete_extra) {
  CopyOptions options;
  options.delete_extra = delete_extra;
  return copy_store(from, to, test_keyring(), options);
}

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
  const auto during = copy(*file, *server, true);
  stop = true;
  user.join();
  REQUIRE(during.ok());
  CHECK(during->tokens > 1'000);

  const auto after = copy(*file, *server, true);
  REQUIRE(after.ok());
  CHECK(after->different == 0);
  CHECK(copy(*file, *server, true)->written == 0);
  const auto moved = open_store(server);
  const auto report = moved->check(Actor::host());
  REQUIRE(report.ok());
  CHECK(report->problem_count == 0);
  CHECK(report->tokens == store->check(Actor::host())->tokens);
  CHECK(moved->validate(kept.text.reveal(), Demand("read")).valid());
  CHECK(moved->get(Actor::host(), ids[0])->state == TokenState::revoked);
  CHECK(moved->get(Actor::host(), ids[1]).status() == Status::not_found);

  const auto back = open_file((directory.path() / "b.db").string());
  CHECK(copy(*server, *back, false)->different == 0);
  CHECK(open_store(back)->check(Actor::host())->problem_count == 0);
}

TEST_CASE("a target that is in use is not overwritten") {
  const TempDirectory directory;
  const PostgresCluster cluster;
  const auto file = open_file((directory.path() / "a.db").string());
  const auto server = open_backend(options_for(cluster.conninfo()));
  const auto store = open_store(file);
  const Issued issued = issue_one(*store);
  REQUIRE(copy(*file, *server, false).ok());

  const auto moved = open_store(server);
  const Issued extra = issue_one(*moved);
  CHECK(copy(*file, *server, false).status() == Status::conflict);
  CHECK(moved->validate(extra.text.reveal(), Demand("read")).valid());
  CHECK(moved->revoke(Actor::host(), issued.info.id).ok());
  CHECK(copy(*file, *server, true).status() == Status::conflict);
  CHECK(moved->get(Actor::host(), issued.info.id)->state == TokenState::revoked);

  // Another store under the same keyring is no target.
  const auto other = open_file((directory.path() / "other.db").string());
  open_store(other);
  CHECK(copy(*file, *other, true).status() == Status::conflict);
}

TEST_CASE("a backup of a server in use holds all that was acknowledged before, and goes into an empty database") {
  const TempDirectory directory;
  const PostgresCluster cluster;
  PostgresOptions options = options_for(cluster.conninfo());
  options.deadline = std::chrono::seconds(20);
  const auto server = open_backend(options);
  const auto store = open_store(server);
  std::vector<Issued> living;
  living.reserve(300);
  for (int number = 0; number < 300; ++number)
    living.push_back(issue_one(*store, "owner" + std::to_string(number % 7)));
  const Issued ended = issue_one(*store);
  REQUIRE(store->revoke(Actor::host(), ended.info.id).ok());

  std::atomic<bool> stop{false};
  std::thread user([&] {
    while (!stop) {
      const Issued late = issue_one(*store, "late");
      CHECK(store->revoke(Actor::host(), late.info.id).ok());
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  const std::string place = directory.file("backup");
  const auto made = store->backup(Actor::host(), place);
  stop = true;
  user.join();
  REQUIRE(made.ok());
  CHECK(made->tokens >= 301);

  PostgresOptions elsewhere = options;
  elsewhere.schema = "elsewhere";
  const auto target = open_backend(elsewhere);
  const auto restored = restore_into(place, *target, test_keyring());
  REQUIRE(restored.ok());
  CHECK(restored->tokens == made->tokens);
  const auto again = open_store(target);
  CHECK(again->check(Actor::host())->problem_count == 0);
  std::size_t lost = 0;
  for (const Issued& each : living) {
    if (!again->validate(each.text.reveal(), Demand("read")).valid()) ++lost;
  }
  CHECK(lost == 0);
  CHECK(again->get(Actor::host(), ended.info.id)->state == TokenState::revoked);
  // The server has gone on since: what it has is not put back.
  CHECK(restore_into(place, *server, test_keyring()).status() == Status::conflict);
}

}  // namespace
}  // namespace tokenstore::test
