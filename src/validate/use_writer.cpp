#include "validate/use_writer.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace tokenstore::validate {

namespace {
constexpr std::size_t slice = 1000;
}

UseWriter::UseWriter(Backend& backend, base::EffectiveClock& clock, const std::string& workspace,
                     std::chrono::milliseconds interval, UseLog& log, CacheTable* table,
                     std::atomic<UnixMillis>& unwritten_since)
    : backend_(backend),
      clock_(clock),
      workspace_(workspace),
      interval_(interval.count()),
      log_(log),
      table_(table),
      unwritten_since_(unwritten_since),
      last_begun_(clock.monotonic()) {}

Result<bool> UseWriter::write_due(std::chrono::milliseconds budget) {
  const std::unique_lock turn(turn_, std::try_to_lock);
  if (!turn.owns_lock()) return false;
  const std::int64_t now = clock_.monotonic();
  if (!under_way_) {
    if (now - last_begun_ < interval_) return false;
    begin(now);
  }
  return go_on(now + budget.count());
}

Result<void> UseWriter::write_all() {
  constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
  const std::lock_guard turn(turn_);
  if (under_way_) {  // and knows nothing of the uses since it began
    if (auto done = go_on(never); !done.ok()) return done.error();
  }
  begin(clock_.monotonic());
  if (auto done = go_on(never); !done.ok()) return done.error();
  return {};
}

void UseWriter::begin(std::int64_t now) {
  last_begun_ = now;
  // Uses are noted with a clock that lags: what is noted from here on must count as unwritten.
  next_unwritten_ = clock_.now() - clock_.coarse_lag() - 1;
  logged_left_ = true;
  logged_to_.clear();
  next_cached_ = 0;
  cached_ = {};
  // In the order of storage, in which neighbours share its pages. Ids alone: the uses of all would take as much memory
  // as the cache.
  if (table_ != nullptr) cached_ = table_->used_since(unwritten_since_.load());
  under_way_ = true;
}

Result<bool> UseWriter::go_on(std::int64_t until) {
  const auto left = [this] { return logged_left_ || next_cached_ < cached_.size(); };
  while (left()) {
    if (auto written = logged_left_ ? write_logged() : write_cached(); !written.ok()) {
      // What is cached is still there, and still counts as unwritten: an interval later all of it is tried again.
      under_way_ = false;
      return written.error();
    }
    if (left() && clock_.monotonic() >= until) return true;
  }
  under_way_ = false;
  cached_ = {};
  unwritten_since_.store(next_unwritten_);
  return false;
}

Result<void> UseWriter::write_logged() {
  const std::vector<Use> uses = log_.take(slice, logged_to_);
  logged_left_ = uses.size() == slice;
  if (uses.empty()) return {};
  logged_to_ = uses.back().id;
  auto written = backend_.record_uses(workspace_, uses);
  if (!written.ok()) {
    for (const Use& use : uses) log_.note(use.id, use.used_at, use.used_from);
    return written;
  }
  written_.fetch_add(uses.size(), std::memory_order_relaxed);
  return {};
}

Result<void> UseWriter::write_cached() {
  std::vector<Use> uses;
  std::size_t next = next_cached_;
  const UnixMillis since = unwritten_since_.load();
  while (next < cached_.size() && uses.size() < slice) {
    // What has left the cache meanwhile is in the log.
    auto use = table_->use_of(cached_[next++]);
    if (use && use->used_at >= since) uses.push_back(std::move(*use));
  }
  if (!uses.empty()) {
    if (auto written = backend_.record_uses(workspace_, uses); !written.ok()) return written;
  }
  next_cached_ = next;
  written_.fetch_add(uses.size(), std::memory_order_relaxed);
  return {};
}

}  // namespace tokenstore::validate
