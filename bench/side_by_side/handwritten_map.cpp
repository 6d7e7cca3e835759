// What C++ servers write today: SHA-256 of the token, a hash map, a readers' lock.
#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>

#include "digest.hpp"
#include "lookup.hpp"

namespace bench {

namespace {

struct Stored {
  std::string owner;
  std::string scopes;
  std::int64_t expires_at = 0;
  bool revoked = false;
};

std::int64_t now_millis() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

bool holds(std::string_view scopes, std::string_view wanted) {
  while (!scopes.empty()) {
    const std::size_t end = std::min(scopes.find(' '), scopes.size());
    if (scopes.substr(0, end) == wanted) return true;
    scopes.remove_prefix(std::min(end + 1, scopes.size()));
  }
  return false;
}

template <typename Map>
class HandwrittenMap final : public LookUp {
 public:
  explicit HandwrittenMap(const Population& population) {
    const std::int64_t end = now_millis() + 86'400'000;
    for (std::size_t i = 0; i < population.tokens; ++i) {
      map_.emplace(digest_of(population.texts[i]), Stored{owner_name(i), "repo:read repo:write", end, false});
    }
  }

  std::uint64_t run(const Requests& requests) override {
    std::uint64_t sum = 0;
    std::string owner;
    for (const Request& request : requests) {
      if (find(request.text, owner)) sum += mark_of(owner);
    }
    return sum;
  }

 private:
  bool find(std::string_view text, std::string& owner) {
    const Digest digest = digest_of(text);
    const std::shared_lock lock(mutex_);
    const auto found = map_.find(digest);
    if (found == map_.end() || found->second.revoked || found->second.expires_at <= now_millis()) return false;
    if (!holds(found->second.scopes, scope)) return false;
    // A copy: what is in the map may change once the lock is gone.
    owner = found->second.owner;
    return true;
  }

  std::shared_mutex mutex_;
  Map map_;
};

}  // namespace

std::unique_ptr<LookUp> map_look_up(const Population& population, MapKind kind) {
  if (kind == MapKind::std_unordered) {
    return std::make_unique<HandwrittenMap<std::unordered_map<Digest, Stored, DigestHash>>>(population);
  }
  return std::make_unique<HandwrittenMap<absl::flat_hash_map<Digest, Stored, DigestHash>>>(population);
}

}  // namespace bench
