/// Four processes issue and validate while keys come and go: no genuine token is refused, and none of a retired key is
/// accepted by a validation that began after the retirement had returned.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>

#include "support/count_from.hpp"
#include "support/seeded_random.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/open.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::SeededRandom;

namespace {

constexpr std::size_t workers = 3;
constexpr std::size_t slots = 64;  ///< tokens of each worker that everybody asks about
constexpr std::size_t key_ids = 62 * 62;

/// Where a token text names its key.
constexpr std::size_t key_at = 5;

std::size_t number_of(const char* key_id) {
  const auto digit = [](char c) -> std::size_t {
    if (c >= '0' && c <= '9') return static_cast<std::size_t>(c - '0');
    if (c >= 'A' && c <= 'Z') return static_cast<std::size_t>(c - 'A') + 10;
    return static_cast<std::size_t>(c - 'a') + 36;
  };
  return digit(key_id[0]) * 62 + digit(key_id[1]);
}

/// What all processes see.
struct Shared {
  /// A text is written once, and a slot's turn is raised when the next one is there.
  struct Slot {
    std::array<std::array<char, 104>, 64> texts;
    std::atomic<std::uint64_t> turn;
  };
  std::array<Slot, workers * slots> tokens;
  std::array<std::atomic<bool>, key_ids> retiring, retired;
  std::atomic<std::int64_t> issued, valid, refused, accepted_of_retired, denied_of_retired, unavailable, failed, ready;
  std::atomic<bool> go, done;
};

struct SharedMemory {
  SharedMemory() {
    void* page = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw std::bad_alloc();
    at = new (page) Shared{};
  }
  ~SharedMemory() { munmap(at, sizeof(Shared)); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  Shared* at;
};

enum class Looks : bool { no, yes };

std::unique_ptr<TokenStore> open_store(const std::string& path, Looks looks) {
  OpenSqlite options;
  options.sqlite.path = path;
  if (looks == Looks::no) {
    auto keyring = Keyring::from_file(path + ".key");
    if (!keyring.ok()) return nullptr;
    options.keyring = *std::move(keyring);
  }
  auto opened = open_sqlite(std::move(options));
  return opened.ok() ? std::move(opened->store) : nullptr;
}

void issue_one(TokenStore& store, Shared& shared, std::size_t worker, SeededRandom& random) {
  // A new owner now and then: their records are sealed too.
  const std::string owner = "owner-" + std::to_string(worker) + "-" + std::to_string(random.below(400));
  const auto issued = store.issue(Actor::host(), {.owner = owner, .scopes = {"read"}});
  if (!issued.ok()) {
    ++shared.failed;
    return;
  }
  Shared::Slot& slot = shared.tokens[worker * slots + random.below(slots)];
  const std::uint64_t turn = slot.turn + 1;
  if (turn >= slot.texts.size()) return;
  const std::string_view text = issued->text.reveal();
  std::memcpy(slot.texts[turn].data(), text.data(), text.size());
  slot.turn = turn;
  ++shared.issued;
}

void ask_one(TokenStore& store, Shared& shared, SeededRandom& random, Verdict& verdict) {
  const Shared::Slot& slot = shared.tokens[random.below(shared.tokens.size())];
  const std::uint64_t turn = slot.turn;
  if (turn == 0) return;
  // The latest, or one that may be of a key long gone.
  const char* text = slot.texts[random.below(4) == 0 ? 1 + random.below(turn) : turn].data();
  const std::size_t key = number_of(text + key_at);
  const bool retired = shared.retired[key];
  store.validate(text, Demand("read"), verdict);
  if (verdict.outcome() == Outcome::unavailable) {
    ++shared.unavailable;
  } else if (verdict.valid()) {
    ++(retired ? shared.accepted_of_retired : shared.valid);
  } else if (retired) {
    ++shared.denied_of_retired;
  } else if (!shared.retiring[key]) {
    ++shared.refused;
  }
}

void work_until_done(TokenStore& store, Shared& shared, std::size_t worker) {
  SeededRandom random(worker + 1);
  Verdict verdict;
  for (int i = 0; i < 20; ++i) issue_one(store, shared, worker, random);
  ++shared.ready;
  while (!shared.go) std::this_thread::yield();
  while (!shared.done) {
    issue_one(store, shared, worker, random);
    for (int i = 0; i < 200; ++i) ask_one(store, shared, random, verdict);
    // Each in its own time: between two keys some know the one, and some the other.
    std::this_thread::sleep_for(std::chrono::milliseconds(random.below(5)));
  }
}

/// Adds a key, makes it the active one, seals everything under it, ends the one before, and takes that out.
bool change_key(TokenStore& store, Shared& shared, std::string& active, SeededRandom& random, Verdict& verdict) {
  const Actor host = Actor::host();
  const auto ask = [&] {
    for (int i = 0; i < 20; ++i) ask_one(store, shared, random, verdict);
  };
  const auto added = store.add_key(host);
  if (!added.ok()) return false;
  ask();
  if (!store.activate_key(host, *added).ok()) return false;
  ask();
  std::string cursor;
  do {
    const auto some = store.reseal(host, cursor, std::chrono::milliseconds(5));
    if (!some.ok() || some->refused != 0) return false;
    cursor = some->next;
  } while (!cursor.empty());
  ask();
  const std::size_t old = number_of(active.c_str());
  shared.retiring[old] = true;
  const auto retired = store.retire_key(host, active);
  if (!retired.ok()) {
    UNSCOPED_INFO(retired.error().message());
    return false;
  }
  shared.retired[old] = true;
  ask();
  const auto removed = store.remove_key(host, active);
  if (!removed.ok()) {
    UNSCOPED_INFO(removed.error().message());
    return false;
  }
  active = *added;
  return true;
}

void run(Looks looks, int rounds, Shared& shared) {
  const test::TempDirectory directory;
  const std::string path = directory.file("store.db");
  REQUIRE(open_store(path, Looks::yes));
  std::vector<pid_t> children;
  for (std::size_t worker = 0; worker < workers; ++worker) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const auto store = open_store(path, looks);
      if (!store) ::_exit(1);
      work_until_done(*store, shared, worker);
      ::_exit(0);
    }
    children.push_back(child);
  }
  const auto store = open_store(path, Looks::yes);
  REQUIRE(store);
  while (shared.ready < static_cast<std::int64_t>(workers)) std::this_thread::yield();
  shared.go = true;
  SeededRandom random(99);
  Verdict verdict;
  std::string active = "0A";
  int changed = 0;
  while (changed < rounds && change_key(*store, shared, active, random, verdict)) ++changed;
  shared.done = true;
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  // Workers who do not look go on sealing with the key of old, which is what the others then refuse to retire.
  if (looks == Looks::no) return;
  CHECK(changed == rounds);
  const auto report = store->check(Actor::host());
  REQUIRE(report.ok());
  CHECK(report->problem_count == 0);
  CHECK(store->statistics().feed_mismatches == 0);
}

}  // namespace

TEST_CASE("four processes issue and validate while keys are added, activated, sealed under, retired and removed") {
  SharedMemory memory;
  Shared& shared = *memory.at;
  run(Looks::yes, test::count_from("TOKENSTORE_KEY_ROUNDS", 50), shared);
  INFO("issued " << shared.issued << ", valid " << shared.valid << ", denied " << shared.denied_of_retired);
  CHECK(shared.refused == 0);
  CHECK(shared.accepted_of_retired == 0);
  CHECK(shared.unavailable == 0);
  CHECK(shared.failed == 0);
  CHECK(shared.issued > 100);
  CHECK(shared.valid > 1000);
  CHECK(shared.denied_of_retired > 100);
}

TEST_CASE("processes that do not look refuse genuine tokens: the control of changing keys") {
  SharedMemory memory;
  Shared& shared = *memory.at;
  run(Looks::no, 3, shared);
  CHECK(shared.refused > 0);
}
