/// Threads of one store issue and validate while its keys come and go: for ThreadSanitizer, too.
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "support/held_keys.hpp"
#include "support/seeded_random.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::Kept;
using test::World;

TEST_CASE(
    "threads that issue and validate while keys change refuse no genuine token and accept none of a retired key") {
  constexpr int rounds = 12;
  constexpr std::size_t askers = 3;
  constexpr std::size_t most_tokens = 500;
  constexpr int accepted_a_round = 10;
  const Actor host = Actor::host();
  World world(StoreOptions{}.cache_bytes);
  const auto keys = std::make_shared<test::HeldKeys>(test::one_key(), true);
  const auto store = TokenStore::open(world.backend, keys, world.options()).value();

  std::mutex mutex;
  std::string active = "0A";   ///< and what follows: guarded by the mutex
  std::string retired = "--";  ///< the latest key whose retirement has returned
  std::string leaving = "--";  ///< the one that is about to be retired
  std::vector<Kept> tokens;
  std::atomic<bool> done{false};
  std::atomic<int> refused{0}, accepted{0}, asked{0}, failed{0};
  std::atomic<int> valid_of_active{0};  ///< in this round
  const auto key_of = [](const Kept& token) { return token.text.substr(5, 2); };

  const auto work = [&](std::uint64_t seed) {
    test::SeededRandom random(seed);
    while (!done) {
      const auto issued = store->issue(host, {.owner = "owner" + std::to_string(random.below(50)), .scopes = {"read"}});
      failed += issued.ok() ? 0 : 1;
      Kept token;
      bool has_ended = false;
      bool is_of_active = false;
      {
        const std::lock_guard lock(mutex);
        if (issued.ok()) {
          // Never without tokens of the latest keys: of those alone a refusal is wrong.
          Kept fresh{std::string(issued->text.reveal()), issued->info.id};
          if (tokens.size() < most_tokens) {
            tokens.push_back(std::move(fresh));
          } else {
            tokens[random.below(tokens.size())] = std::move(fresh);
          }
        }
        if (tokens.empty()) continue;
        token = tokens[random.below(tokens.size())];
        // Keys go in the order of their ids.
        has_ended = retired != "--" && key_of(token) <= retired;
        is_of_active = key_of(token) == active;
      }
      const bool valid = store->validate(token.text, Demand("read")).valid();
      ++asked;
      valid_of_active += valid && is_of_active ? 1 : 0;
      const std::lock_guard lock(mutex);
      const bool may_have_ended = leaving != "--" && key_of(token) <= leaving;
      if (valid && has_ended) ++accepted;
      if (!valid && !may_have_ended) ++refused;
    }
  };
  // Ended also where a requirement below is not met.
  struct Threads {
    std::atomic<bool>& done;
    std::vector<std::thread> all;
    void end() {
      done = true;
      for (std::thread& thread : all) thread.join();
      all.clear();
    }
    ~Threads() { end(); }
  } threads{done, {}};
  for (std::size_t i = 0; i < askers; ++i) threads.all.emplace_back(work, i + 1);
  for (int round = 0; round < rounds; ++round) {
    while (asked < 50 * round) std::this_thread::yield();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (valid_of_active < accepted_a_round && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    CHECK(valid_of_active >= accepted_a_round);
    const auto added = store->add_key(host);
    REQUIRE(added.ok());
    REQUIRE(store->activate_key(host, *added).ok());
    std::string cursor;
    do {
      cursor = store->reseal(host, cursor).value().next;
    } while (!cursor.empty());
    {
      const std::lock_guard lock(mutex);
      leaving = active;
    }
    const auto ended = store->retire_key(host, active);
    if (!ended.ok()) FAIL(ended.error().message());
    {
      const std::lock_guard lock(mutex);
      retired = active;
    }
    REQUIRE(store->remove_key(host, active).ok());
    const std::lock_guard lock(mutex);
    active = *added;
    valid_of_active = 0;
  }
  threads.end();
  CHECK(refused == 0);
  CHECK(accepted == 0);
  CHECK(failed == 0);
  CHECK(asked > 100);
  CHECK(store->statistics().keys_taken == 4 * rounds);
  CHECK(store->check(host)->problem_count == 0);
}
