/// Purging what ended, and checking a whole store.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "store/rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore {

namespace {

/// Small enough that a writer who waits for a slice does not notice.
constexpr std::size_t purge_slice = 500;
constexpr std::size_t check_page = 1000;
constexpr std::size_t most_problems = 1000;

class Check {
 public:
  Check(TokenStore::Impl& store, const Progress& progress) : store_(store), progress_(progress) {}

  Result<CheckReport> run() {
    if (auto workspace = store_.load_workspace(); !workspace.ok()) {
      if (workspace.status() != Status::tampered) return workspace.error();
      problem(workspace.error().message());
    }
    if (auto done = check_owners(); !done.ok()) return done.error();
    if (auto done = check_tokens(); !done.ok()) return done.error();
    auto storage = store_.backend->check_integrity(most_problems, progress_);
    if (!storage.ok()) return storage.error();
    for (std::string& line : *storage) problem("storage: " + std::move(line));
    return std::move(report_);
  }

 private:
  void problem(std::string line) {
    ++report_.problem_count;
    if (report_.problems.size() < most_problems) report_.problems.push_back(std::move(line));
  }

  Result<void> go_on() {
    if (!progress_ || progress_(report_.owners + report_.tokens, 0)) return {};
    return Error(Status::conflict, "the check was stopped before its end");
  }

  Result<void> check_owners() {
    for (std::string after;;) {
      auto list = store_.backend->list_owners(store_.workspace, after, check_page);
      if (!list.ok()) return list.error();
      for (const OwnerRecord& record : list->owners) {
        ++report_.owners;
        if (store_.sealer->verify(store_.workspace, record) == seal::SealCheck::genuine) {
          owners_.insert(record.owner);
        } else {
          problem(
              fmt::format("the seal of owner \"{}\" does not verify: every token of theirs is denied", record.owner));
        }
      }
      if (!list->more || list->owners.empty()) return {};
      after = list->owners.back().owner;
      if (auto wanted = go_on(); !wanted.ok()) return wanted;
    }
  }

  Result<void> check_tokens() {
    TokenQuery query;
    query.limit = check_page;
    query.now = store_.clock.now();
    do {
      auto list = store_.list_part(query);
      if (!list.ok()) return list.error();
      for (const TokenRecord& record : list->tokens) check_token(record);
      if (auto wanted = go_on(); !wanted.ok()) return wanted;
      query.before_id = std::move(list->next_before_id);
    } while (!query.before_id.empty());
    return {};
  }

  void check_token(const TokenRecord& record) {
    ++report_.tokens;
    switch (store_.sealer->verify(store_.workspace, record)) {
      case seal::SealCheck::tampered:
        return problem(fmt::format("the seal of token {} does not verify: it is denied", record.id));
      case seal::SealCheck::unknown_key:
        return problem(
            fmt::format("token {} is sealed with a key that is not in the keyring: it is denied", record.id));
      case seal::SealCheck::genuine:
        break;
    }
    if (!owners_.contains(record.owner)) {
      // Written by an issue that came after the owners were read, if it is there now.
      auto owner = store_.load_owner(record.owner);
      if (!owner.ok() || !owner->has_value()) {
        problem(fmt::format("token {} has no genuine record of its owner: it is denied", record.id));
      }
    }
  }

  TokenStore::Impl& store_;
  const Progress& progress_;
  CheckReport report_;
  std::unordered_set<std::string> owners_;
};

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
    auto done = impl_->commit(batch);
    if (done.ok()) {
      result.removed += batch.size();
    } else if (done.status() != Status::conflict) {
      return done.error();
    }
    // A conflict is somebody else ending or purging the same tokens: look again.
  } while (impl_->clock.monotonic() < stop_at);
  return result;
}

Result<CheckReport> TokenStore::check(const Actor& actor, const Progress& progress) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  return Check(*impl_, progress).run();
}

}  // namespace tokenstore
