/// What hosts do with the stores of one workspace, all of it at once from many threads, and a look-out for
/// wrong verdicts. ThreadSanitizer watches it.
///
/// The threads share no lock of the test's: one would put in order what has to stand without.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/seeded_random.hpp"
#include "tokenstore/store.hpp"

namespace tokenstore::test {

struct MixedLoad {
  std::vector<TokenStore*> stores;        ///< one thread changes, two validate and one keeps house with each
  std::size_t tokens = 200;               ///< per store; nine in ten are ended under the load, the rest after it
  std::chrono::milliseconds staleness{};  ///< how long one store may answer as before what another has changed
  std::function<void()> trouble;          ///< made again and again meanwhile; calls may then be `unavailable`
};

struct MixedLoadReport {
  std::uint64_t valid = 0;
  std::uint64_t invalid = 0;
  std::uint64_t unavailable = 0;     ///< validations
  std::uint64_t failed_calls = 0;    ///< anything else that was not OK
  std::uint64_t stale = 0;           ///< valid, though the token's end had been acknowledged long enough before
  std::uint64_t wrongly_denied = 0;  ///< invalid, though nobody had begun to end it
  std::uint64_t lost = 0;            ///< what the end shows: an acknowledged change that is not there
  std::uint64_t mixed_up = 0;        ///< valid, but with what belongs to another token
  std::string first_error;
};

class MixedLoadRun {
 public:
  explicit MixedLoadRun(const MixedLoad& load) : load_(load), slots_(load.tokens * load.stores.size()) {
    std::vector<IssueRequest> requests;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      requests.push_back({.owner = owner_of(i), .scopes = {"read"}, .metadata = metadata_of(i)});
    }
    const auto issued = load_.stores[0]->issue_many(Actor::host(), requests);
    if (!issued.ok()) throw std::runtime_error("nothing was issued: " + issued.error().message());
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      slots_[i].text = std::string((*issued)[i].text.reveal());
      slots_[i].id = (*issued)[i].info.id;
    }
  }

  MixedLoadReport run() {
    // Every store sees the tokens before anything changes: one that may be stale need not know them yet.
    const auto start = nanos();
    while (nanos() - start < staleness()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (TokenStore* store : load_.stores) {
      for (std::size_t slot = 0; slot < slots_.size(); ++slot) look(*store, slot);
    }
    std::vector<std::thread> changers;
    std::vector<std::thread> others;
    for (std::size_t i = 0; i < load_.stores.size(); ++i) {
      changers.emplace_back([this, i] { change(i); });
      for (std::uint64_t seed = 0; seed < 2; ++seed)
        others.emplace_back([this, i, seed] { validate(i, 2 * i + seed); });
      others.emplace_back([this, i] { keep_house(*load_.stores[i], i); });
    }
    if (load_.trouble) {
      others.emplace_back([this] {
        while (!done_) load_.trouble();
      });
    }
    for (std::thread& changer : changers) changer.join();
    done_ = true;
    for (std::thread& other : others) other.join();
    look_back();
    end_the_rest();
    MixedLoadReport report;
    report.valid = valid_;
    report.invalid = invalid_;
    report.unavailable = unavailable_;
    report.failed_calls = failed_calls_;
    report.stale = stale_;
    report.wrongly_denied = wrongly_denied_;
    report.lost = lost_;
    report.mixed_up = mixed_up_;
    if (errors_ > 0) report.first_error = first_error_;
    return report;
  }

 private:
  static constexpr std::size_t owners = 10;
  static constexpr std::int64_t not_yet = std::numeric_limits<std::int64_t>::max();

  struct Slot {
    std::string text;
    std::string id;
    std::atomic<bool> ending{false};           ///< set before the call that ends it
    std::atomic<std::int64_t> ended{not_yet};  ///< when that call had returned OK
  };

  static std::string owner_of(std::size_t slot) { return "owner-" + std::to_string(slot % owners); }
  /// Too long for the cache to hold all of them, if its budget is the smallest.
  static std::string metadata_of(std::size_t slot) { return std::string(900, static_cast<char>('a' + slot % 26)); }
  static std::int64_t nanos() { return std::chrono::steady_clock::now().time_since_epoch().count(); }
  std::int64_t staleness() const { return std::chrono::nanoseconds(load_.staleness).count(); }
  std::size_t changer_of(std::size_t slot) const { return slot % load_.stores.size(); }

  template <typename T>
  bool went_well(const Result<T>& result) {
    if (result.ok()) return true;
    ++failed_calls_;
    if (errors_++ == 0) first_error_ = result.error().message();
    return false;
  }

  void change(std::size_t number) {
    // Not before all are there that are to see it.
    while (validating_ < 2 * load_.stores.size()) std::this_thread::yield();
    TokenStore& store = *load_.stores[number];
    const Actor host = Actor::host();
    for (std::size_t slot = number; slot < slots_.size() * 9 / 10; slot += load_.stores.size()) {
      Slot& token = slots_[slot];
      token.ending = true;
      const std::size_t kind = slot / load_.stores.size() % 3;
      if (kind == 0   ? went_well(store.revoke(host, token.id))
          : kind == 1 ? went_well(store.expire(host, token.id))
                      : went_well(store.remove(host, token.id))) {
        token.ended = nanos();
      }
      // One that nobody else knows, from its first to its last moment.
      const auto issued = store.issue(host, {.owner = "passer-by-" + std::to_string(number), .scopes = {"read"}});
      if (!went_well(issued)) continue;
      if (look(store, issued->text.reveal()).outcome() == Outcome::invalid) ++wrongly_denied_;
      if (!went_well(store.revoke(host, issued->info.id))) continue;
      if (look(store, issued->text.reveal()).valid()) ++stale_;
    }
  }

  Verdict look(TokenStore& store, std::string_view text) {
    Verdict verdict = store.validate(text, Demand("read", "192.0.2.7"));
    if (verdict.outcome() == Outcome::valid) ++valid_;
    if (verdict.outcome() == Outcome::invalid) ++invalid_;
    if (verdict.outcome() == Outcome::unavailable) ++unavailable_;
    return verdict;
  }
  Outcome look(TokenStore& store, std::size_t slot) {
    const Verdict verdict = look(store, slots_[slot].text);
    if (verdict.valid() && (verdict.id() != slots_[slot].id || verdict.owner() != owner_of(slot) ||
                            verdict.metadata() != metadata_of(slot))) {
      ++mixed_up_;
    }
    return verdict.outcome();
  }

  void validate(std::size_t number, std::uint64_t seed) {
    TokenStore& store = *load_.stores[number];
    SeededRandom random(seed);
    ++validating_;
    while (!done_) {
      const std::size_t which = random.below(slots_.size());
      const Slot& token = slots_[which];
      const std::int64_t ended = token.ended;
      const std::int64_t began = nanos();
      const Outcome outcome = look(store, which);
      const std::int64_t grace = changer_of(which) == number ? 0 : staleness();
      if (outcome == Outcome::valid && ended != not_yet && began - ended > grace) ++stale_;
      if (outcome == Outcome::invalid && !token.ending) ++wrongly_denied_;
    }
  }

  void keep_house(TokenStore& store, std::size_t number) {
    const Actor host = Actor::host();
    const std::string owner = "housekeeper-" + std::to_string(number);
    while (!done_) {
      went_well(store.maintain(std::chrono::milliseconds{5}));
      went_well(store.list(host, {.owner = "owner-1"}));
      went_well(store.get(host, slots_.back().id));
      went_well(store.count(host, "owner-1"));
      went_well(store.set_owner(host, owner, {}));
      went_well(store.suspend(host, owner));
      went_well(store.resume(host, owner));
      went_well(store.list_owners(host));
      const auto policy = store.policy(host);
      if (went_well(policy)) went_well(store.set_policy(host, *policy));
      went_well(store.purge(host, store.now(), std::chrono::milliseconds{5}));
      static_cast<void>(store.statistics());
      static_cast<void>(store.scanner_pattern());
    }
  }

  /// After everything: each store says what was acknowledged, and every seal verifies.
  void look_back() {
    const auto start = nanos();
    while (nanos() - start < staleness()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (TokenStore* store : load_.stores) {
      for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
        const Slot& token = slots_[slot];
        const Outcome outcome = look(*store, slot);
        if (token.ended != not_yet && outcome == Outcome::valid) ++lost_;
        if (!token.ending && outcome != Outcome::valid) ++lost_;
      }
      const auto report = store->check(Actor::host());
      if (!went_well(report)) continue;
      lost_ += report->problem_count;
    }
  }

  /// With nobody else at work: all stores have just seen the tokens that are left, and one store ends them. Under
  /// the load a store that does not learn of an end may be saved by its own next commit; here nothing saves it.
  void end_the_rest() {
    const std::size_t first = slots_.size() * 9 / 10;
    for (TokenStore* store : load_.stores) {
      for (std::size_t slot = first; slot < slots_.size(); ++slot) look(*store, slot);
    }
    for (std::size_t slot = first; slot < slots_.size(); ++slot) {
      slots_[slot].ending = true;
      if (went_well(load_.stores[0]->revoke(Actor::host(), slots_[slot].id))) slots_[slot].ended = nanos();
    }
    const auto start = nanos();
    while (nanos() - start <= staleness()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (TokenStore* store : load_.stores) {
      for (std::size_t slot = first; slot < slots_.size(); ++slot) {
        if (look(*store, slot) == Outcome::valid && slots_[slot].ended != not_yet) ++stale_;
      }
    }
  }

  const MixedLoad& load_;
  std::vector<Slot> slots_;
  std::atomic<bool> done_{false};
  std::atomic<std::size_t> validating_{0};
  std::atomic<std::uint64_t> valid_{0}, invalid_{0}, unavailable_{0}, failed_calls_{0}, stale_{0}, wrongly_denied_{0};
  std::atomic<std::uint64_t> lost_{0}, mixed_up_{0}, errors_{0};
  std::string first_error_;  ///< written by whoever made errors_ 1, read when all threads have ended
};

}  // namespace tokenstore::test
