/// What this process denies although storage could not be told: a revoke that failed on a full disk
/// still ends the token here, at once.
///
/// Thread-safe. Costs a validation one load while there are none.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

namespace tokenstore::validate {

/// What stops an owner: storage can know of one and not of the other.
enum class OwnerStop : std::uint8_t { suspension = 1, may_not_use = 2 };

class Denials {
 public:
  void deny_token(std::string_view id);
  void deny_owner(std::string_view owner, OwnerStop why);
  void deny_everything();
  /// Storage knows by now.
  void allow_token(std::string_view id);
  void allow_owner(std::string_view owner, OwnerStop why);
  void allow_everything();

  bool any() const noexcept { return count_.load(std::memory_order_acquire) != 0; }
  bool denies(std::string_view id, std::string_view owner);

 private:
  std::mutex mutex_;
  std::set<std::string, std::less<>> tokens_;
  std::map<std::string, unsigned, std::less<>> owners_;  ///< OwnerStop bits
  bool everything_ = false;
  std::atomic<std::size_t> count_{0};
};

}  // namespace tokenstore::validate
