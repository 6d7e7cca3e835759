/// What the random programs of this folder choose from. A seed decides everything.
#pragma once

#include <optional>
#include <string>

#include "support/seeded_random.hpp"
#include "tokenstore/model.hpp"

namespace tokenstore::test {

class Choices {
 public:
  explicit Choices(std::uint64_t seed) : random_(seed) {}

 protected:
  bool one_in(std::uint64_t n) { return random_.below(n) == 0; }
  std::string some_owner() { return std::string(1, static_cast<char>('a' + random_.below(4))); }
  std::string some_scope() { return std::string(1, static_cast<char>('r' + random_.below(3))); }
  /// An id of a map by id, young ones more often than old ones; now and then nobody's.
  template <typename Map>
  std::string some_id(const Map& by_id) {
    if (by_id.empty() || one_in(20)) return "0123456789ABCDEF";
    const std::uint64_t back = std::min(random_.below(by_id.size()), random_.below(by_id.size()));
    return std::next(by_id.rbegin(), static_cast<std::ptrdiff_t>(back))->first;
  }
  Policy some_policy() {
    Policy policy;
    policy.tokens_enabled = !one_in(8);
    policy.users_may_issue = !one_in(4);
    policy.never_allowed = one_in(2);
    policy.longest_lifetime = one_in(3) ? 200 : 1000;
    policy.default_lifetime = 100 + static_cast<std::int64_t>(random_.below(300));
    policy.most_active_per_owner = one_in(2) ? 0 : static_cast<std::uint32_t>(1 + random_.below(8));
    return policy;
  }

  SeededRandom random_;
};

}  // namespace tokenstore::test
