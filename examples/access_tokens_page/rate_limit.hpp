/// How often an address may try a password: a bucket of attempts that fills again with time.
///
/// Thread use: every method may be called from several threads at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>

namespace access_page {

struct RateLimitOptions {
  double burst = 10;                     ///< attempts at once
  std::chrono::milliseconds each{6000};  ///< one more after this long
  std::size_t most_addresses = 100'000;  ///< remembered at the same time
};

class RateLimit {
 public:
  explicit RateLimit(const RateLimitOptions& options) : options_(options) {}

  /// Takes an attempt. 0: go on; otherwise the seconds until the next one is allowed.
  int take(const std::string& address);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Bucket {
    double attempts = 0;
    Time filled;
  };

  void refill(Bucket& bucket, Time now) const;
  void forget_full_ones(Time now);

  RateLimitOptions options_;
  std::mutex mutex_;
  std::map<std::string, Bucket> buckets_;
};

/// What a limit counts by: an IPv4 address, or the /64 network of an IPv6 one, which one client owns whole.
std::string limited_address(const std::string& address);

}  // namespace access_page
