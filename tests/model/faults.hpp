/// Faults of a random program: file calls that fail for a while, and what a handle denies after a change that failed.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "sqlite_faults/fault_vfs.hpp"
#include "support/seeded_random.hpp"

namespace tokenstore::test {

/// Lets every call through until it turns bad. One thread.
class Weather final : public FaultPlan {
 public:
  /// Some call from now on fails; sometimes that one alone, sometimes all after it, sometimes every write for want
  /// of space.
  void turn(SeededRandom& random) {
    const auto nth = static_cast<std::int64_t>(1 + random.below(24));
    const std::uint64_t how = random.below(5);
    full_ = how == 0;
    failing_.emplace(nth, how <= 2);
  }
  void clear() { failing_.reset(); }
  /// Whether something has failed, or may yet.
  bool bad() const { return failing_.has_value(); }

  int before(const FileEvent& event) override {
    if (!failing_) return SQLITE_OK;
    if (full_ && event.call != FileCall::write) return SQLITE_OK;
    const int code = failing_->before(event);
    return full_ && code != SQLITE_OK ? SQLITE_FULL : code;
  }

 private:
  std::optional<FailNth> failing_;
  bool full_ = false;
};

enum class Denial : std::uint8_t { none, possible, certain };

/// What a handle denies although storage could not be told.
struct Denied {
  enum class Stop : std::uint8_t { suspension = 1, may_not_use = 2 };

  bool everything = false;

  void add(const std::string& id) { tokens_[id] = Denial::certain; }
  void maybe(const std::string& id) { tokens_.try_emplace(id, Denial::possible); }
  void forget(const std::string& id) { tokens_.erase(id); }
  void add_owner(const std::string& owner, Stop why) { owners_[owner].insert(why); }
  void forget_owner(const std::string& owner, Stop why) { owners_[owner].erase(why); }

  Denial of(const std::string& id, const std::string& owner) const {
    const auto stopped = owners_.find(owner);
    if (everything || (stopped != owners_.end() && !stopped->second.empty())) return Denial::certain;
    const auto token = tokens_.find(id);
    return token == tokens_.end() ? Denial::none : token->second;
  }

 private:
  std::map<std::string, Denial> tokens_;
  std::map<std::string, std::set<Stop>> owners_;
};

}  // namespace tokenstore::test
