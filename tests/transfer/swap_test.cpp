// The file is swapped at every moment of an opening, and of whatever opens it once more later.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "support/system_calls.hpp"
#include "transfer/stores.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

/// A store with a token that ended after its backup. Made once, and copied.
struct Original {
  Original() {
    auto store = open_store(path);
    ended = issue(*store);
    REQUIRE(back_up(path, backup).ok());
    REQUIRE(store->revoke(Actor::host(), ended.id).ok());
  }
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string backup = directory.file("backup");
  Kept ended;
};

struct Copy {
  explicit Copy(const Original& original) : backup(original.backup), ended(original.ended) {
    std::filesystem::copy_file(original.path, path);
  }
  const TempDirectory directory;
  const std::string path = directory.file("store.db");
  const std::string& backup;
  const Kept& ended;
};

/// A process that restores when it is told, opens the restored store, writes to it and keeps it open.
class Restorer {
 public:
  explicit Restorer(const Copy& copy) {
    REQUIRE(::pipe(orders_.data()) == 0);
    REQUIRE(::pipe(answers_.data()) == 0);
    child_ = ::fork();
    REQUIRE(child_ >= 0);
    if (child_ == 0) work(copy);
  }
  ~Restorer() {
    finish();
    ::close(orders_[0]);
    for (const int end : answers_) ::close(end);
  }
  Restorer(const Restorer&) = delete;
  Restorer& operator=(const Restorer&) = delete;

  /// Returns when it is done, or if that takes so long that it must be waiting for whoever is stopped here.
  void restore_now() {
    REQUIRE(::write(orders_[1], "r", 1) == 1);
    pollfd answer{answers_[0], POLLIN, 0};
    REQUIRE(::poll(&answer, 1, 200) >= 0);
  }
  /// What came of it. False if the lock could not be had: nothing has happened.
  bool has_restored() {
    char answer = '?';
    REQUIRE(::read(answers_[0], &answer, 1) == 1);
    return answer == 'y';
  }
  /// Its store is closed. Whether nothing was wrong with it.
  bool finish() {
    if (child_ < 0) return true;
    ::close(orders_[1]);
    int status = 0;
    ::waitpid(child_, &status, 0);
    child_ = -1;
    return status == 0;
  }

 private:
  /// Whoever was stopped in the middle may hold a lock, and go on only after this.
  static std::unique_ptr<TokenStore> use(const Copy& copy, std::string& written) {
    SqliteOptions options;
    options.path = copy.path;
    options.busy_timeout = std::chrono::milliseconds(20);
    auto backend = sqlite_backend(options);
    if (!backend.ok()) return nullptr;
    auto store = TokenStore::open(std::move(*backend), one_key());
    if (!store.ok()) return nullptr;
    for (int number = 0; number < 5; ++number) {
      const auto issued = (*store)->issue(Actor::host(), {.owner = "restorer", .scopes = {"read"}});
      if (issued.ok()) written = std::string(issued->text.reveal());
    }
    return std::move(*store);
  }

  [[noreturn]] void work(const Copy& copy) {
    ::close(orders_[1]);
    std::unique_ptr<TokenStore> store;
    std::string written;
    for (char order = 0; ::read(orders_[0], &order, 1) == 1;) {
      RestoreOptions options;
      options.sqlite.path = copy.path;
      options.sqlite.busy_timeout = std::chrono::milliseconds(50);
      options.overwrite = true;
      const auto report = restore_sqlite(copy.backup, one_key(), options);
      if (!report.ok() && report.status() != Status::unavailable) ::_exit(8);
      if (report.ok()) store = use(copy, written);
      if (::write(answers_[1], report.ok() ? "y" : "n", 1) != 1) break;
    }
    if (store) {
      if (!written.empty() && !store->validate(written, Demand("read")).valid()) ::_exit(9);
      if (store->check(Actor::host())->problem_count != 0) ::_exit(9);
    }
    store.reset();
    ::_exit(0);
  }

  std::array<int, 2> orders_{};
  std::array<int, 2> answers_{};
  pid_t child_ = -1;
};

/// Whether what this storage says and takes is what is at the path: the restored store, or nothing at all.
bool is_the_restored(std::shared_ptr<Backend> storage, const Copy& copy) {
  auto store = TokenStore::open(std::move(storage), one_key());
  if (!store.ok()) return store.status() == Status::unavailable;
  if (verdict(**store, copy.ended).outcome() == Outcome::invalid) return false;
  const auto issued = (*store)->issue(Actor::host(), {.owner = "newcomer", .scopes = {"read"}});
  if (!issued.ok()) return issued.status() == Status::unavailable;
  const Kept token{std::string(issued->text.reveal()), issued->info.id};
  const auto again = open_store(copy.path);
  return verdict(*again, token).valid();
}

/// The store at the path is whole, and so is each that was kept.
bool are_whole(const Copy& copy) {
  for (const std::string& name : names_in(copy.directory)) {
    if (name != "store.db" && name.find(".before-restore-") == std::string::npos) continue;
    if (name.ends_with("-wal") || name.ends_with("-shm")) continue;
    const auto store = open_store(copy.directory.file(name));
    if (store->check(Actor::host())->problem_count != 0) return false;
    const bool has_ended = verdict(*store, copy.ended).reason() == Reason::revoked;
    if (has_ended == (name == "store.db")) return false;
  }
  return true;
}

std::shared_ptr<Backend> open_without_waiting(const std::string& path) {
  SqliteOptions options;
  options.path = path;
  options.create = false;
  options.busy_timeout = std::chrono::milliseconds(500);
  auto backend = sqlite_backend(options);
  if (!backend.ok()) {
    INFO(backend.error().message());
    CHECK(backend.status() == Status::unavailable);
    return nullptr;
  }
  return std::move(*backend);
}

/// Restores before the n-th call that `work` makes, for every n. Answers how often that could be done.
template <typename Work, typename Check>
int swap_everywhere(const Original& original, Work work, Check check) {
  int swaps = 0;
  bool reached = true;
  for (int nth = 1; reached; ++nth) {
    const Copy copy(original);
    Restorer restorer(copy);
    INFO("at call " << nth);
    int calls = 0;
    const auto at_nth = [&] {
      if (++calls == nth) restorer.restore_now();
    };
    work(copy, at_nth);
    reached = calls >= nth;
    const bool swapped = reached && restorer.has_restored();
    swaps += swapped ? 1 : 0;
    if (swapped) check(copy);
    CHECK(restorer.finish());
    if (swapped) CHECK(are_whole(copy));
  }
  return swaps;
}

}  // namespace

TEST_CASE("Whoever opens a store while its file is swapped has the new one, at whatever moment it is") {
  const Original original;
  int opened = 0;
  std::shared_ptr<Backend> backend;
  const int swaps = swap_everywhere(
      original,
      [&](const Copy& copy, const std::function<void()>& at_nth) {
        const Watch watch(copy.directory.path().string(), {.any = at_nth});
        backend = open_without_waiting(copy.path);
      },
      [&](const Copy& copy) {
        opened += backend ? 1 : 0;
        if (backend) CHECK(is_the_restored(std::exchange(backend, nullptr), copy));
      });
  CHECK(swaps > 40);
  CHECK(opened > 40);
}

TEST_CASE("A connection that is opened later is to the file that is open, or to none") {
  const Original original;
  int answered = 0;
  std::shared_ptr<Backend> backend;
  const int swaps = swap_everywhere(
      original,
      [&](const Copy& copy, const std::function<void()>& at_nth) {
        backend = open_without_waiting(copy.path);
        REQUIRE(backend);
        const Watch watch(copy.directory.path().string(), {.any = at_nth});
        const auto token = backend->load_token("default", copy.ended.id);
        // In the restored store it has not ended.
        const auto ended = [&] { return token->has_value() && (*token)->revoked_at <= system_clock()->wall(); };
        CHECK((token.ok() ? ended() : token.status() == Status::unavailable));
        const auto tidied = backend->maintain(std::chrono::milliseconds(100));
        CHECK((tidied.ok() || tidied.status() == Status::unavailable));
        answered += token.ok() ? 1 : 0;
      },
      [&](const Copy& copy) {
        const auto token = backend->load_token("default", copy.ended.id);
        CHECK(token.status() == Status::unavailable);
        CHECK(is_the_restored(std::exchange(backend, nullptr), copy));
      });
  CHECK(swaps > 15);
  CHECK(answered > 0);
}

TEST_CASE("Control: whoever went on in the old file is found") {
  const Original original;
  const Copy copy(original);
  const std::string old = copy.directory.file("old.db");
  std::filesystem::copy_file(original.path, old);
  Restorer restorer(copy);
  restorer.restore_now();
  REQUIRE(restorer.has_restored());
  CHECK_FALSE(is_the_restored(open_file(old), copy));
  CHECK(is_the_restored(open_file(copy.path), copy));
  CHECK(restorer.finish());
  CHECK(are_whole(copy));
  std::filesystem::copy_file(original.path, copy.path, std::filesystem::copy_options::overwrite_existing);
  CHECK_FALSE(are_whole(copy));
}
