/// Eight processes and eight threads on one file: no valid verdict that began after a change returned.
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "support/forwarding_backend.hpp"
#include "support/seeded_random.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::SeededRandom;

namespace {

constexpr std::size_t tokens = 400;
constexpr std::size_t owners = 20;

std::int64_t nanos() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

int count_from(const char* variable, int fast) {
  const char* wanted = std::getenv(variable);
  return wanted != nullptr ? std::atoi(wanted) : fast;
}

int status_of(pid_t child) {
  int status = 0;
  if (::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

/// What all processes see. A time is when the change had returned; 0: not changed.
struct Shared {
  std::array<std::array<char, 104>, tokens> texts;
  std::array<std::array<char, 17>, tokens> ids;
  std::array<std::atomic<std::int64_t>, tokens> ended;
  std::array<std::atomic<std::int64_t>, owners> stopped;
  std::atomic<std::int64_t> disabled;
  std::atomic<std::int64_t> validations, valid, stale, unavailable, ready;
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

/// Says at every look that nothing has changed since the first.
class FrozenPulse final : public test::ForwardingBackend {
 public:
  explicit FrozenPulse(std::shared_ptr<Backend> inner)
      : ForwardingBackend(std::move(inner)), first_(ForwardingBackend::pulse()) {}
  Pulse pulse() noexcept override { return first_; }

 private:
  Pulse first_;
};

std::unique_ptr<TokenStore> open_store(const std::string& path, bool frozen = false) {
  SqliteOptions options;
  options.path = path;
  auto backend = sqlite_backend(options);
  if (!backend.ok()) return nullptr;
  std::shared_ptr<Backend> used = std::move(*backend);
  if (frozen) used = std::make_shared<FrozenPulse>(std::move(used));
  auto store = TokenStore::open(std::move(used), test::one_key());
  return store.ok() ? std::move(*store) : nullptr;
}

std::string owner_name(std::size_t number) {
  return "owner-" + std::to_string(number);
}

void issue_all(TokenStore& store, Shared& shared) {
  std::vector<IssueRequest> requests;
  for (std::size_t i = 0; i < tokens; ++i) requests.push_back({.owner = owner_name(i % owners), .scopes = {"read"}});
  const auto issued = store.issue_many(Actor::host(), requests);
  REQUIRE(issued.ok());
  for (std::size_t i = 0; i < tokens; ++i) {
    const std::string_view text = (*issued)[i].text.reveal();
    std::memcpy(shared.texts[i].data(), text.data(), text.size());
    std::memcpy(shared.ids[i].data(), (*issued)[i].info.id.data(), 16);
  }
}

void validate_until_done(TokenStore& store, Shared& shared, std::uint64_t seed) {
  SeededRandom random(seed);
  Verdict verdict;
  for (std::size_t i = 0; i < tokens; ++i) store.validate(shared.texts[i].data(), Demand("read"), verdict);
  ++shared.ready;
  while (!shared.go) std::this_thread::yield();
  while (!shared.done) {
    for (int i = 0; i < 100; ++i) {
      const std::size_t which = random.below(tokens);
      // Read before the validation begins: it began after the change had returned. What works again later
      // must still stand after it, or it may have been asked then.
      const std::int64_t ended = shared.ended[which];
      const std::int64_t stopped = shared.stopped[which % owners];
      const std::int64_t disabled = shared.disabled;
      store.validate(shared.texts[which].data(), Demand("read"), verdict);
      if (verdict.outcome() == Outcome::unavailable) ++shared.unavailable;
      if (!verdict.valid()) continue;
      ++shared.valid;
      const bool stop_stood = stopped != 0 && shared.stopped[which % owners] == stopped;
      const bool switch_stood = disabled != 0 && shared.disabled == disabled;
      if (ended != 0 || stop_stood || switch_stood) ++shared.stale;
    }
    shared.validations += 100;
  }
}

/// Validations are so quick that enough of them may be over before much has changed.
constexpr int fewest_changes = 300;

/// Revokes, expires, deletes, suspends and switches, until there was enough of that and the others have validated
/// enough.
void change_until_done(TokenStore& store, Shared& shared, std::int64_t validations) {
  SeededRandom random(11);
  const Actor host = Actor::host();
  std::size_t next = 0;
  for (int changes = 0; changes < fewest_changes || shared.validations < validations; ++changes) {
    const std::uint64_t kind = random.below(8);
    if (kind < 6 && next < tokens * 9 / 10) {
      const std::string id = shared.ids[next].data();
      const bool ok = kind < 2   ? store.revoke(host, id).ok()
                      : kind < 4 ? store.expire(host, id).ok()
                                 : store.remove(host, id).ok();
      REQUIRE(ok);
      shared.ended[next++] = nanos();
    } else if (kind == 6) {
      const std::size_t who = random.below(owners);
      REQUIRE(store.suspend(host, owner_name(who)).ok());
      shared.stopped[who] = nanos();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      shared.stopped[who] = 0;  // before it works again
      REQUIRE(store.resume(host, owner_name(who)).ok());
    } else if (kind == 7) {
      Policy policy;
      policy.tokens_enabled = false;
      REQUIRE(store.set_policy(host, policy).ok());
      shared.disabled = nanos();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      shared.disabled = 0;
      policy.tokens_enabled = true;
      REQUIRE(store.set_policy(host, policy).ok());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  shared.done = true;
}

enum class Askers : std::uint8_t { processes, threads };

void run(Askers askers, bool frozen, std::int64_t validations, Shared& shared) {
  const test::TempDirectory directory;
  const std::string path = directory.file("store.db");
  issue_all(*open_store(path), shared);
  constexpr std::uint64_t others = 7;
  std::vector<pid_t> children;
  std::vector<std::thread> threads;
  if (askers == Askers::processes) {
    for (std::uint64_t seed = 1; seed <= others; ++seed) {
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        const auto store = open_store(path, frozen);
        if (!store) ::_exit(1);
        validate_until_done(*store, shared, seed);
        ::_exit(0);
      }
      children.push_back(child);
    }
  }
  const auto store = open_store(path);
  REQUIRE(store);
  if (askers == Askers::threads) {
    for (std::uint64_t seed = 1; seed <= others; ++seed) {
      threads.emplace_back([&, seed] { validate_until_done(*store, shared, seed); });
    }
  }
  while (shared.ready < static_cast<std::int64_t>(others)) std::this_thread::yield();
  shared.go = true;
  change_until_done(*store, shared, validations);
  for (std::thread& thread : threads) thread.join();
  for (const pid_t child : children) CHECK(status_of(child) == 0);
  CHECK(shared.unavailable == 0);
  CHECK(shared.valid > 0);
}

}  // namespace

TEST_CASE("among eight processes no validation that began after a change returned says valid") {
  const SharedMemory shared;
  run(Askers::processes, false, count_from("TOKENSTORE_VALIDATIONS", 100'000), *shared.at);
  CHECK(shared.at->stale == 0);
}

TEST_CASE("among eight threads no validation that began after a change returned says valid") {
  const SharedMemory shared;
  run(Askers::threads, false, count_from("TOKENSTORE_VALIDATIONS", 100'000), *shared.at);
  CHECK(shared.at->stale == 0);
}

TEST_CASE("the same with a pulse that stands still is seen to be stale") {
  const SharedMemory shared;
  run(Askers::processes, true, 20'000, *shared.at);
  CHECK(shared.at->stale > 0);
}

TEST_CASE("the very next validation in another process denies what this one revoked") {
  const int rounds = count_from("TOKENSTORE_REVOCATIONS", 10'000);
  const test::TempDirectory directory;
  const std::string path = directory.file("store.db");
  int ask[2];
  int answer[2];
  REQUIRE(::pipe(ask) == 0);
  REQUIRE(::pipe(answer) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ask[1]);
    std::array<char, 83> text{};
    std::unique_ptr<TokenStore> store;
    while (::read(ask[0], text.data(), text.size()) == static_cast<ssize_t>(text.size())) {
      if (!store) store = open_store(path);
      if (!store) ::_exit(1);
      std::size_t size = text.size();
      while (size > 0 && text[size - 1] == '\0') --size;
      const Verdict verdict = store->validate({text.data(), size}, Demand("read"));
      const char said = verdict.valid() ? 'v' : verdict.outcome() == Outcome::invalid ? 'i' : 'u';
      if (::write(answer[1], &said, 1) != 1) ::_exit(2);
    }
    // The answers came from the cache.
    ::_exit(store && store->statistics().hits > 0 ? 0 : 3);
  }
  ::close(ask[0]);
  const auto store = open_store(path);
  REQUIRE(store);
  const auto asked = [&](const test::Kept& token) {
    std::array<char, 83> text{};
    std::copy(token.text.begin(), token.text.end(), text.begin());
    char said = 0;
    if (::write(ask[1], text.data(), text.size()) != static_cast<ssize_t>(text.size())) return '?';
    if (::read(answer[0], &said, 1) != 1) return '?';
    return said;
  };
  int stale = 0;
  int wrong = 0;
  for (int round = 0; round < rounds; ++round) {
    const auto token = test::World::issue(*store, {.owner = "alice", .scopes = {"read"}});
    if (asked(token) != 'v' || asked(token) != 'v') ++wrong;
    REQUIRE(store->revoke(Actor::host(), token.id).ok());
    const char said = asked(token);
    if (said == 'v') ++stale;
    if (said != 'i') ++wrong;
  }
  CHECK(stale == 0);
  CHECK(wrong == 0);
  ::close(ask[1]);
  CHECK(status_of(child) == 0);
}
