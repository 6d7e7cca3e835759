/// Four processes issue and validate while keys come and go: no genuine token is refused, and none of a retired key is
/// accepted by a validation that began after the retirement had returned.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/base62.hpp"
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
constexpr std::size_t text_words = 13;
/// What each key has to see before the next one comes.
constexpr std::int64_t issued_a_round = 2;
constexpr std::int64_t valid_a_round = 20;
constexpr std::int64_t denied_a_round = 2;

/// Where a token text names its key.
constexpr std::size_t key_at = 5;

std::size_t number_of(std::string_view key_id) {
  return static_cast<std::size_t>(base::base62_decode(key_id).value());
}

/// What all processes see.
struct Shared {
  /// The latest texts of one worker, the only one that writes here: a ring. A slot's turn is raised when the next one
  /// is there.
  struct Slot {
    using Text = std::array<std::atomic<std::uint64_t>, text_words>;
    std::array<Text, 64> texts;
    std::atomic<std::uint64_t> turn;

    void put(std::string_view text) {
      std::array<std::uint64_t, text_words> words{};
      std::memcpy(words.data(), text.data(), text.size());
      const std::uint64_t next = turn + 1;
      Text& place = texts[next % texts.size()];
      for (std::size_t i = 0; i < text_words; ++i) place[i] = words[i];
      turn = next;
    }
    /// The text of a turn; empty if it was written over meanwhile.
    std::string text_of(std::uint64_t wanted) const {
      std::array<char, text_words * sizeof(std::uint64_t) + 1> text{};
      const Text& place = texts[wanted % texts.size()];
      for (std::size_t i = 0; i < text_words; ++i) {
        const std::uint64_t word = place[i];
        std::memcpy(text.data() + i * sizeof word, &word, sizeof word);
      }
      // The next one in this place is written before its turn is raised.
      return turn + 1 >= wanted + texts.size() ? std::string() : text.data();
    }
  };
  std::array<Slot, workers * slots> tokens;
  std::array<std::atomic<bool>, key_ids> retiring, retired;
  std::atomic<std::int64_t> issued, valid, refused, accepted_of_retired, denied_of_retired, unavailable, failed, ready;
  std::atomic<bool> go, done;
};

/// Waits until it is so; for long, but not for ever.
template <typename Holds>
bool comes_true(const Holds& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

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
  shared.tokens[worker * slots + random.below(slots)].put(issued->text.reveal());
  ++shared.issued;
}

void ask_one(TokenStore& store, Shared& shared, SeededRandom& random, Verdict& verdict) {
  const Shared::Slot& slot = shared.tokens[random.below(shared.tokens.size())];
  const std::uint64_t turn = slot.turn;
  if (turn == 0) return;
  // The latest, or one that may be of a key long gone.
  const std::uint64_t kept = std::min<std::uint64_t>(turn, slot.texts.size() / 2);
  const std::string text = slot.text_of(random.below(4) == 0 ? turn - random.below(kept) : turn);
  if (text.empty()) return;
  const std::size_t key = number_of(text.substr(key_at, 2));
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

/// Makes a key the active one, seals everything under it, ends the one before, and takes that out.
template <typename Ask>
bool change_to(const std::string& added, TokenStore& store, Shared& shared, std::string& active, const Ask& ask) {
  const Actor host = Actor::host();
  if (!store.activate_key(host, added).ok()) return false;
  ask();
  std::string cursor;
  do {
    const auto some = store.reseal(host, cursor, std::chrono::milliseconds(5));
    if (!some.ok() || some->refused != 0) return false;
    cursor = some->next;
  } while (!cursor.empty());
  ask();
  const std::size_t old = number_of(active);
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
  active = added;
  return true;
}

bool change_key(TokenStore& store, Shared& shared, std::string& active, SeededRandom& random, Verdict& verdict) {
  const auto ask = [&] {
    for (int i = 0; i < 20; ++i) ask_one(store, shared, random, verdict);
  };
  const auto added = store.add_key(Actor::host());
  if (!added.ok()) return false;
  ask();
  return change_to(*added, store, shared, active, ask);
}

/// What the workers had done at a moment.
struct Seen {
  explicit Seen(const Shared& shared)
      : issued(shared.issued), valid(shared.valid), denied_of_retired(shared.denied_of_retired) {}
  bool has_grown(const Shared& shared) const {
    return shared.issued - issued >= issued_a_round && shared.valid - valid >= valid_a_round &&
           shared.denied_of_retired - denied_of_retired >= denied_a_round;
  }
  std::int64_t issued, valid, denied_of_retired;
};

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
  while (changed < rounds) {
    const Seen before(shared);
    if (!change_key(*store, shared, active, random, verdict)) break;
    // Workers who do not look do not get as far.
    if (looks == Looks::yes && !comes_true([&] { return before.has_grown(shared); })) break;
    ++changed;
  }
  if (looks == Looks::no) comes_true([&] { return shared.refused > 0; });
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
  // That each round saw its share is what the changing of the keys waited for.
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

TEST_CASE("a process that keeps its keys accepts tokens of a retired one: the control of what none may accept") {
  SharedMemory memory;
  Shared& shared = *memory.at;
  const test::TempDirectory directory;
  const std::string path = directory.file("store.db");
  SeededRandom random(99);
  std::string added;
  {
    const auto store = open_store(path, Looks::yes);
    REQUIRE(store);
    for (int i = 0; i < 20; ++i) issue_one(*store, shared, 0, random);
    // Records that are sealed anew are genuine to it: only that the old key has ended escapes it.
    added = store->add_key(Actor::host()).value();
  }
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto store = open_store(path, Looks::no);
    if (!store) ::_exit(1);
    ++shared.ready;
    Verdict verdict;
    while (!shared.done) ask_one(*store, shared, random, verdict);
    ::_exit(0);
  }
  const auto store = open_store(path, Looks::yes);
  const bool is_ready = comes_true([&] { return shared.ready > 0; });
  std::string active = "0A";
  const bool changed = store && is_ready && change_to(added, *store, shared, active, [] {});
  const bool accepts = changed && comes_true([&] { return shared.accepted_of_retired > 0; });
  shared.done = true;
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(changed);
  CHECK(accepts);
}
