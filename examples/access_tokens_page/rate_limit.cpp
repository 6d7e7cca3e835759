#include "rate_limit.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "common/client_address.hpp"

namespace access_page {

void RateLimit::refill(Bucket& bucket, Time now) const {
  const std::chrono::duration<double> since = now - bucket.filled;
  const std::chrono::duration<double> each = options_.each;
  bucket.attempts = std::min(options_.burst, bucket.attempts + since / each);
  bucket.filled = now;
}

void RateLimit::forget_full_ones(Time now) {
  for (auto entry = buckets_.begin(); entry != buckets_.end();) {
    refill(entry->second, now);
    entry = entry->second.attempts >= options_.burst ? buckets_.erase(entry) : std::next(entry);
  }
}

int RateLimit::take(const std::string& address) {
  const Time now = std::chrono::steady_clock::now();
  const std::string key = limited_address(address);
  const std::lock_guard lock(mutex_);
  if (buckets_.size() >= options_.most_addresses && buckets_.find(key) == buckets_.end()) {
    forget_full_ones(now);
    if (buckets_.size() >= options_.most_addresses) return 1;  // a flood from everywhere: nobody signs in now
  }
  const auto [entry, fresh] = buckets_.try_emplace(key, Bucket{options_.burst, now});
  Bucket& bucket = entry->second;
  if (!fresh) refill(bucket, now);
  if (bucket.attempts >= 1) {
    bucket.attempts -= 1;
    return 0;
  }
  const std::chrono::duration<double> wait = (1 - bucket.attempts) * std::chrono::duration<double>(options_.each);
  return std::max(1, static_cast<int>(std::ceil(wait.count())));
}

std::string limited_address(const std::string& address) {
  const std::string canonical = hosting::canonical_address(address);
  std::array<unsigned char, 16> octets{};
  if (inet_pton(AF_INET6, canonical.c_str(), octets.data()) != 1) return canonical.empty() ? address : canonical;
  std::fill(octets.begin() + 8, octets.end(), static_cast<unsigned char>(0));
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, octets.data(), text.data(), text.size());
  return std::string(text.data()) + "/64";
}

}  // namespace access_page
