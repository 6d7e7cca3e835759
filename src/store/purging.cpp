/// Purging what ended.
#include <algorithm>

#include "store/rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore {

namespace {

/// Small enough that a writer who waits for a slice does not notice.
constexpr std::size_t purge_slice = 500;
}  // namespace

Result<PurgeResult> TokenStore::purge(const Actor& actor, UnixMillis ended_before, std::chrono::milliseconds budget) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  if (ended_before > impl_->clock.now()) {
    return Error(Status::invalid_argument,
                 "tokens can be purged that ended before a time gone by; the time lies ahead");
  }
  if (budget.count() < 1) return Error(Status::invalid_argument, "the time budget is below 1 ms");
  const std::int64_t stop_at = impl_->clock.monotonic() + std::min(budget, longest_budget).count();
  PurgeResult result;
  do {
    auto ended = impl_->backend->list_ended(impl_->workspace, ended_before, purge_slice);
    if (!ended.ok()) return ended.error();
    if (ended->empty()) {
      result.complete = true;
      return result;
    }
    std::vector<Mutation> batch;
    for (EndedToken& token : *ended) batch.push_back(Mutation::remove_token(std::move(token.id), token.revision));
    auto done = impl_->commit(batch, {journal::Deed::purged, actor});
    if (done.ok()) {
      result.removed += batch.size();
    } else if (done.status() != Status::conflict) {
      return done.error();
    }
    // A conflict is somebody else ending or purging the same tokens: look again.
  } while (impl_->clock.monotonic() < stop_at);
  return result;
}

}  // namespace tokenstore
