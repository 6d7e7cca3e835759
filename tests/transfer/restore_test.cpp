// Restoring: what it replaces, what it keeps, and what it says is lost.
#include <sys/stat.h>
#include <unistd.h>

#include "transfer/stores.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

TEST_CASE("A restored store is the store that was backed up") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  const std::string moved = directory.file("moved.db");
  auto store = open_store(path);
  const Kept living = issue(*store);
  const Kept ended = issue(*store, "bob");
  REQUIRE(store->expire(Actor::host(), ended.id).ok());
  REQUIRE(back_up(path, place).ok());
  const auto report = restore(place, moved);
  REQUIRE(report.ok());
  CHECK(report->kept_file.empty());
  CHECK_FALSE(report->compared);
  CHECK(report->backup.tokens == 2);
  struct stat facts {};
  REQUIRE(::stat(moved.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777U) == 0600U);
  const auto restored = open_store(moved);
  CHECK(verdict(*restored, living).valid());
  CHECK(verdict(*restored, ended).reason() == Reason::expired);
  CHECK(restored->check(Actor::host())->problem_count == 0);
  CHECK(verdict(*restored, issue(*restored)).valid());
}

TEST_CASE("A newer store is not replaced unless told, what is lost is counted, and the old file is kept") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  auto store = open_store(path);
  const Kept kept = issue(*store), revoked = issue(*store), expired = issue(*store), removed = issue(*store),
             suspended = issue(*store, "bob"), long_ended = issue(*store);
  REQUIRE(store->revoke(Actor::host(), long_ended.id).ok());
  REQUIRE(back_up(path, place).ok());
  // Nothing has changed since: there is nothing to lose.
  store.reset();
  const auto same = restore(place, path);
  REQUIRE(same.ok());
  CHECK(same->compared);
  CHECK_FALSE(same->lost.any());
  CHECK_FALSE(same->kept_file.empty());

  store = open_store(path);
  REQUIRE(store->revoke(Actor::host(), revoked.id).ok());
  REQUIRE(store->expire(Actor::host(), expired.id).ok());
  REQUIRE(store->remove(Actor::host(), removed.id).ok());
  REQUIRE(store->remove(Actor::host(), long_ended.id).ok());
  REQUIRE(store->suspend(Actor::host(), "bob").ok());
  const Kept fresh = issue(*store, "carol");
  const auto refused = restore(place, path);
  CHECK(refused.status() == Status::conflict);
  CHECK(refused.error().message().find("3 endings, 1 suspensions, 1 new tokens") != std::string::npos);
  CHECK(verdict(*store, revoked).reason() == Reason::revoked);
  REQUIRE(store->revoke(Actor::host(), fresh.id).ok());  // it works as before

  const auto report = restore(place, path, true);
  REQUIRE(report.ok());
  CHECK(report->compared);
  CHECK(report->lost.endings == 3);
  CHECK(report->lost.suspensions == 1);
  CHECK(report->lost.tokens == 1);
  CHECK(report->lost.changes == 2);  // the token that had ended before, and the new owner
  store.reset();
  const auto restored = open_store(path);
  for (const Kept* token : {&kept, &revoked, &expired, &removed, &suspended}) CHECK(verdict(*restored, *token).valid());
  CHECK(verdict(*restored, fresh).reason() == Reason::unknown);
  CHECK(restored->check(Actor::host())->problem_count == 0);
  // The old file is the whole old store.
  const auto old = open_store(report->kept_file);
  CHECK(verdict(*old, revoked).reason() == Reason::revoked);
  CHECK(verdict(*old, fresh).reason() == Reason::revoked);
  CHECK(verdict(*old, suspended).reason() == Reason::owner_suspended);
  CHECK(old->check(Actor::host())->problem_count == 0);
}

TEST_CASE("Another store is never replaced, whatever is said") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  const std::string other_path = directory.file("other.db");
  issue(*open_store(path));
  REQUIRE(back_up(path, place).ok());
  const auto other = open_store(other_path);
  const Kept token = issue(*other);
  CHECK(restore(place, other_path).status() == Status::refused);
  CHECK(restore(place, other_path, true).status() == Status::refused);
  CHECK(verdict(*other, token).valid());
}

TEST_CASE("A damaged store is replaced when told, and kept with its -wal file") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  const Kept token = issue(*open_store(path));
  REQUIRE(back_up(path, place).ok());
  // The header; the list of tables; everything else.
  const std::size_t damage = GENERATE(0U, 100U, 4096U);
  std::string content = file_content(path);
  const std::size_t size = damage == 4096 ? content.size() - damage : 3000;
  content.replace(damage, size, size, 'x');
  write_file(path, content);
  write_file(path + "-wal", "what was committed last");
  const auto refused = restore(place, path);
  CHECK(refused.status() == Status::conflict);
  CHECK(file_content(path) == content);
  const auto report = restore(place, path, true);
  REQUIRE(report.ok());
  CHECK_FALSE(report->compared);
  CHECK(verdict(*open_store(path), token).valid());
  // SQLite itself throws away what is no -wal file, where it can read the database.
  CHECK(file_content(report->kept_file).size() == content.size());
  if (damage == 0) CHECK(file_content(report->kept_file + "-wal") == "what was committed last");
}

TEST_CASE("Neither another application's database nor a backup is ever replaced, whatever is said") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  const std::string other = directory.file("other.db");
  issue(*open_store(path));
  REQUIRE(back_up(path, place).ok());
  // Of an application that has an id of its own, and of one that has none; whole, and with its tables destroyed.
  for (const std::string& id : {std::string("else"), std::string(4, '\0')}) {
    for (const bool damaged : {false, true}) {
      std::string content = file_content(path).replace(68, 4, id);
      if (damaged) content.replace(100, 3000, 3000, 'x');
      write_file(other, content);
      for (const bool overwrite : {false, true}) CHECK(restore(place, other, overwrite).status() == Status::refused);
      CHECK(file_content(other) == content);
    }
  }
  std::filesystem::copy_file(place, other, std::filesystem::copy_options::overwrite_existing);
  CHECK(restore(place, other, true).status() == Status::refused);
  CHECK(verify_backup(other, one_key()).ok());
  // Control: what is no database at all is replaced when told.
  write_file(other, "neither");
  CHECK(restore(place, other).status() == Status::conflict);
  CHECK(restore(place, other, true).ok());
}

TEST_CASE("A -wal file that was left behind is not taken for the restored store's") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  const std::string copy = directory.file("copy");
  const Kept token = issue(*open_store(path));
  REQUIRE(back_up(path, place).ok());
  std::string wal;
  {
    const auto store = open_store(path);
    for (int number = 0; number < 20; ++number) issue(*store);
    wal = file_content(path + "-wal");
  }
  REQUIRE(wal.size() > 4096);
  std::filesystem::remove(path);
  write_file(path + "-wal", wal);
  REQUIRE(restore(place, path).ok());
  const auto restored = open_store(path);
  CHECK(verdict(*restored, token).valid());
  const auto report = restored->check(Actor::host());
  CHECK(report->problem_count == 0);
  CHECK(report->tokens == 1);
}

TEST_CASE("What heals a restored store is in place from the first moment, or nothing is") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  const Kept token = issue(*open_store(path));
  REQUIRE(back_up(path, place).ok());
  RestoreOptions options;
  options.sqlite.path = path;
  options.heal = [](Backend&) { return Result<void>(Error(Status::unavailable, "not today")); };
  CHECK(restore_sqlite(place, one_key(), options).status() == Status::unavailable);
  CHECK(names_in(directory) == std::vector<std::string>{"backup", "store.db"});
  CHECK(verdict(*open_store(path), token).valid());

  options.heal = [&](Backend& restored) -> Result<void> {
    const std::shared_ptr<Backend> borrowed(&restored, [](Backend*) {});
    const auto revoked = (*TokenStore::open(borrowed, one_key()))->revoke(Actor::host(), token.id);
    return revoked.ok() ? Result<void>() : revoked.error();
  };
  REQUIRE(restore_sqlite(place, one_key(), options).ok());
  CHECK(verdict(*open_store(path), token).reason() == Reason::revoked);
  // What ended in the store that is replaced has ended in what is restored: nothing is lost, and nobody has to say so.
  const auto again = restore_sqlite(place, one_key(), options);
  REQUIRE(again.ok());
  CHECK(again->compared);
  CHECK_FALSE(again->lost.any());
  // Control: without healing it is.
  CHECK(restore(place, path).status() == Status::conflict);
}

TEST_CASE("A store is compared with what is restored, and not with what has the backup's name by then") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  const auto store = open_store(path);
  issue(*store);
  REQUIRE(back_up(path, place).ok());
  issue(*store);
  RestoreOptions options;
  options.sqlite.path = path;
  options.overwrite = true;
  options.heal = [&](Backend&) {
    std::filesystem::remove(place);
    return Result<void>();
  };
  const auto report = restore_sqlite(place, one_key(), options);
  REQUIRE(report.ok());
  CHECK(report->compared);
  CHECK(report->lost.tokens == 1);
}

TEST_CASE("Root restores a service's store from a backup that only root can read") {
  INFO("run this test as root: it needs files of other users");
  REQUIRE(::geteuid() == 0);
  constexpr uid_t service = 4242;
  const TempDirectory directory;
  const TempDirectory of_root;
  const std::string path = directory.file("store.db");
  const std::string place = of_root.file("backup");
  REQUIRE(::chown(directory.path().c_str(), service, service) == 0);
  std::filesystem::permissions(of_root.path(), std::filesystem::perms::owner_all);
  const Kept token = issue(*open_store(path));
  struct stat facts {};
  REQUIRE((::stat(path.c_str(), &facts) == 0 && facts.st_uid == service));
  REQUIRE(back_up(path, place).ok());
  REQUIRE(open_store(path)->revoke(Actor::host(), token.id).ok());
  const auto refused = restore(place, path);
  CHECK(refused.status() == Status::conflict);
  CHECK(refused.error().message().find("1 endings") != std::string::npos);
  const auto report = restore(place, path, true);
  REQUIRE(report.ok());
  CHECK(report->compared);
  CHECK(report->lost.endings == 1);
  REQUIRE((::stat(path.c_str(), &facts) == 0 && facts.st_uid == service));
}
