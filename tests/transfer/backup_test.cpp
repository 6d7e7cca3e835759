// A backup: whole, sealed, and made while the store is in use.
#include <sys/stat.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "tokenstore/backends/memory.hpp"
#include "transfer/stores.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

TEST_CASE("A backup says what it holds, lies alone, and is closed to others") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  const auto store = open_store(path);
  const auto other = open_store(path, "other");
  issue(*store);
  const Kept revoked = issue(*store, "bob");
  issue(*other, "carol");
  REQUIRE(store->revoke(Actor::host(), revoked.id).ok());

  std::uint64_t most = 0;
  BackupOptions options;
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    CHECK(done <= total);
    most = std::max(most, total);
    return true;
  };
  const auto made = backup_store(*open_file(path), one_key(), place, options);
  REQUIRE(made.ok());
  CHECK(made->workspaces == 2);
  CHECK(made->owners == 3);
  CHECK(made->tokens == 3);
  CHECK(made->revision > 0);
  CHECK(made->store == open_file(path)->load_store().value()->id);
  const auto verified = verify_backup(place, one_key());
  REQUIRE(verified.ok());
  CHECK(verified->store == made->store);
  CHECK(verified->made_at == made->made_at);
  CHECK(verified->tokens == made->tokens);
  CHECK(verified->revision == made->revision);
  CHECK(verified->size == made->size);
  struct stat facts {};
  REQUIRE(::stat(place.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777U) == 0600U);
  CHECK(names_in(directory) == std::vector<std::string>{"backup", "store.db", "store.db-shm", "store.db-wal"});
}

TEST_CASE("A backup that was altered at any octet or cut at any length is refused") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  issue(*open_store(path));
  REQUIRE(back_up(path, place).ok());
  REQUIRE(verify_backup(place, one_key()).ok());  // the control
  const std::string whole = file_content(place);
  const std::string damaged = directory.file("damaged");
  const std::string target = directory.file("restored.db");
  const auto refused = [&](const std::string& content) {
    write_file(damaged, content);
    const auto restored = restore(damaged, target);
    return (restored.status() == Status::tampered || restored.status() == Status::not_a_store ||
            restored.status() == Status::wrong_key) &&
           !std::filesystem::exists(target);
  };
  // Each octet of the end; of the pages one in 241, a prime.
  const std::size_t end = whole.size() - 512;
  int accepted = 0;
  for (std::size_t at = 0; at < whole.size(); at += at < end ? 241 : 1) {
    std::string altered = whole;
    altered[at] = static_cast<char>(altered[at] ^ (1 << (at % 8)));
    accepted += refused(altered) ? 0 : 1;
  }
  CHECK(accepted == 0);
  for (std::size_t size = 0; size < whole.size(); size += size < end ? 1021 : 1) {
    accepted += refused(whole.substr(0, size)) ? 0 : 1;
  }
  CHECK(accepted == 0);
  CHECK(refused(whole + "x"));
  CHECK(refused(whole + whole));
  write_file(damaged, whole);
  CHECK(restore(damaged, target).ok());
}

TEST_CASE("A backup of another key's store is refused, and a store's own keys are asked for") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  issue(*open_store(path));
  auto stranger = Keyring::generate(*system_random());
  REQUIRE(stranger.ok());
  const SecretText text = stranger->reveal_text();
  const auto keys = [&] { return std::move(Keyring::from_text(text.reveal())).value(); };
  CHECK(backup_store(*open_file(path), keys(), place).status() == Status::wrong_key);
  CHECK_FALSE(std::filesystem::exists(place));
  REQUIRE(back_up(path, place).ok());
  CHECK(verify_backup(place, keys()).status() == Status::tampered);
}

TEST_CASE("A backup replaces nothing unless it is told to, and then nothing but a backup") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  const auto store = open_store(path);
  REQUIRE(back_up(path, place).ok());
  const std::string first = file_content(place);
  issue(*store);
  CHECK(back_up(path, place).status() == Status::conflict);
  CHECK(file_content(place) == first);
  const auto second = back_up(path, place, true);
  REQUIRE(second.ok());
  CHECK(second->tokens == 1);
  CHECK(verify_backup(place, one_key())->tokens == 1);

  const std::string before = file_content(path);
  CHECK(back_up(path, path, true).status() == Status::conflict);
  CHECK(file_content(path) == before);
  CHECK(back_up(path, directory.path().string(), true).status() == Status::conflict);
  CHECK(back_up(path, directory.file("missing/backup")).status() == Status::cannot_open);
}

TEST_CASE("A backup is not opened as a store, nor a store restored as a backup") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string place = directory.file("backup");
  issue(*open_store(path));
  REQUIRE(back_up(path, place).ok());
  SqliteOptions options;
  options.path = place;
  const auto opened = sqlite_backend(options);
  CHECK(opened.status() == Status::not_a_store);
  CHECK(opened.error().message().find("backup") != std::string::npos);
  CHECK(restore(path, directory.file("other.db")).status() == Status::not_a_store);
  CHECK(verify_backup(place, one_key()).ok());
}

TEST_CASE("A backup that is stopped leaves nothing") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const auto store = open_store(path);
  const std::vector<IssueRequest> many(1000, {.owner = "alice", .scopes = {"read"}});
  for (int round = 0; round < 4; ++round) REQUIRE(store->issue_many(Actor::host(), many).ok());
  BackupOptions options;
  int asked = 0;
  options.progress = [&](std::uint64_t, std::uint64_t) { return ++asked < 1; };
  CHECK(backup_store(*open_file(path), one_key(), directory.file("backup"), options).status() == Status::conflict);
  CHECK(asked == 1);
  for (const std::string& name : names_in(directory)) CHECK(name.starts_with("store.db"));
}

TEST_CASE("A progress that throws ends a backup, and no later look-up reads on in its moment") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const auto store = open_store(path);
  const auto storage = open_file(path);
  const Kept first = issue(*store);
  for (int number = 0; number < 400; ++number) {
    IssueRequest large{.owner = "alice", .scopes = {"read"}};
    large.metadata = std::string(metadata_max, 'm');
    REQUIRE(store->issue(Actor::host(), large).ok());
  }
  struct Stopped {};
  BackupOptions options;
  int called = 0;
  options.progress = [&](std::uint64_t, std::uint64_t) -> bool {
    ++called;
    throw Stopped();
  };
  CHECK_THROWS_AS(backup_store(*storage, one_key(), directory.file("backup"), options), Stopped);
  CHECK(called == 1);
  REQUIRE(store->revoke(Actor::host(), first.id).ok());
  const Kept later = issue(*store);
  CHECK(storage->load_token("default", first.id).value()->revoked_at <= system_clock()->wall());
  CHECK(storage->load_token("default", later.id).value().has_value());
  CHECK(names_in(directory) == std::vector<std::string>{"store.db", "store.db-shm", "store.db-wal"});
}

TEST_CASE("A backup says when it was begun: what is later than that may be missing") {
  const TempDirectory directory;
  const auto memory = memory_backend();
  auto store = TokenStore::open(memory, one_key());
  REQUIRE(store.ok());
  issue(**store);
  UnixMillis copying_at = 0;
  BackupOptions options;
  options.progress = [&](std::uint64_t, std::uint64_t) {
    if (copying_at == 0) copying_at = system_clock()->wall();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return true;
  };
  const auto made = backup_store(*memory, one_key(), directory.file("backup"), options);
  REQUIRE(made.ok());
  REQUIRE(copying_at != 0);
  CHECK(made->made_at <= copying_at);
}

TEST_CASE("A backup of storage that writes no snapshot is whole too") {
  const TempDirectory directory;
  const std::string place = directory.file("backup");
  const auto memory = memory_backend();
  auto store = TokenStore::open(memory, one_key());
  REQUIRE(store.ok());
  const Kept living = issue(**store);
  const Kept ended = issue(**store);
  REQUIRE((*store)->revoke(Actor::host(), ended.id).ok());
  const auto made = backup_store(*memory, one_key(), place);
  REQUIRE(made.ok());
  CHECK(made->tokens == 2);
  CHECK(names_in(directory) == std::vector<std::string>{"backup"});
  const std::string path = directory.file("store.db");
  REQUIRE(restore(place, path).ok());
  const auto restored = open_store(path);
  CHECK(verdict(*restored, living).valid());
  CHECK(verdict(*restored, ended).reason() == Reason::revoked);
  CHECK(restored->check(Actor::host())->problem_count == 0);

  // And back into other storage.
  const auto again = memory_backend();
  const auto copied = restore_into(place, *again, one_key());
  REQUIRE(copied.ok());
  CHECK(copied->tokens == 2);
  CHECK(verdict(**TokenStore::open(again, one_key()), living).valid());
}

TEST_CASE("A backup made while eight threads write holds all that was acknowledged before, and checks out") {
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const auto store = open_store(path);
  std::mutex mutex;
  std::vector<Kept> issued;
  std::vector<Kept> revoked;
  std::atomic<bool> stop{false};
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int number = 0; number < 8; ++number) {
    threads.emplace_back([&, owner = "owner-" + std::to_string(number)] {
      while (!stop) {
        auto one = store->issue(Actor::host(), {.owner = owner, .scopes = {"read"}});
        auto two = store->issue(Actor::host(), {.owner = owner, .scopes = {"read"}});
        if (!one.ok() || !two.ok() || !store->revoke(Actor::host(), two->info.id).ok()) {
          ++failed;
          continue;
        }
        const std::lock_guard lock(mutex);
        issued.push_back({std::string(one->text.reveal()), one->info.id});
        revoked.push_back({std::string(two->text.reveal()), two->info.id});
      }
    });
  }
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    std::vector<Kept> living;
    std::vector<Kept> ended;
    {
      const std::lock_guard lock(mutex);
      living = issued;
      ended = revoked;
    }
    const std::string place = directory.file("backup-" + std::to_string(round));
    const auto made = back_up(path, place);
    REQUIRE(made.ok());
    const std::string restored_path = directory.file("restored-" + std::to_string(round));
    REQUIRE(restore(place, restored_path).ok());
    const auto restored = open_store(restored_path);
    const auto report = restored->check(Actor::host());
    REQUIRE(report.ok());
    CHECK(report->problem_count == 0);
    CHECK(report->tokens == made->tokens);
    CHECK(report->tokens >= living.size() + ended.size());
    std::size_t missing = 0;
    for (const Kept& token : living)
      if (!verdict(*restored, token).valid()) ++missing;
    for (const Kept& token : ended)
      if (verdict(*restored, token).reason() != Reason::revoked) ++missing;
    CHECK(missing == 0);
    CHECK((round == 0 || !living.empty()));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(failed == 0);
}
