#include "tokenstore/backends/memory.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "backends/memory/draft.hpp"
#include "backends/memory/fork_safe_lock.hpp"
#include "backends/memory/tables.hpp"
#include "base/at_fork.hpp"
#include "base/mutation.hpp"

namespace tokenstore {
namespace memory {
namespace {

/// What a workspace's feed remembers at most. Whoever is further behind forgets everything.
constexpr std::size_t feed_entries_max = 4'000;
constexpr std::size_t feed_octets_max = std::size_t{4} << 20;

struct Workspace {
  Tables tables;
  std::uint64_t revision = 0;
  Bytes32 link{};
  std::uint64_t feed_starts_after = 0;  ///< the feed has every entry after this revision
  std::size_t feed_octets = 0;
  std::list<Changes::Entry> feed;

  /// Appends the one entry of `newest`, dropping old ones beyond the bound.
  void append_to_feed(std::list<Changes::Entry>& newest) noexcept {
    revision = newest.front().revision;
    link = newest.front().link;
    feed_octets += newest.front().text.size();
    feed.splice(feed.end(), newest);
    while (feed.size() > feed_entries_max || feed_octets > feed_octets_max) {
      feed_starts_after = feed.front().revision;
      feed_octets -= feed.front().text.size();
      feed.pop_front();
    }
  }
};

/// A fork waits for the exclusive lock, so that a child inherits whole tables. Where it could not wait
/// (AtFork), a flag that is set during every change tells: whoever takes the lock and finds it set is a
/// child that was forked in the middle of a change, holds half of it, and answers nothing.
class MemoryBackend final : public Backend, private base::AtFork {
 public:
  std::string_view name() const noexcept override { return "memory"; }
  bool read_only() const noexcept override { return false; }

  Result<std::optional<TokenRecord>> load_token(std::string_view workspace, std::string_view id) override {
    return read<std::optional<TokenRecord>>(workspace, [&](const Workspace& found) {
      const TokenRecord* token = found.tables.tokens.find(id);
      return token != nullptr ? std::optional<TokenRecord>(*token) : std::nullopt;
    });
  }

  Result<std::optional<OwnerRecord>> load_owner(std::string_view workspace, std::string_view owner) override {
    return read<std::optional<OwnerRecord>>(workspace, [&](const Workspace& found) {
      const auto entry = found.tables.owners.find(owner);
      return entry != found.tables.owners.end() ? std::optional<OwnerRecord>(entry->second) : std::nullopt;
    });
  }

  Result<std::optional<WorkspaceRecord>> load_workspace(std::string_view workspace) override {
    return read<std::optional<WorkspaceRecord>>(workspace,
                                                [](const Workspace& found) { return found.tables.settings; });
  }

  Result<std::optional<StoreRecord>> load_store() override {
    const std::shared_lock guard(lock_);
    if (torn()) return torn_error();
    return store_;
  }

  Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) override {
    return read<TokenList>(workspace, [&](const Workspace& found) { return found.tables.tokens.list(query); });
  }

  Result<OwnerList> list_owners(std::string_view workspace, std::string_view after, std::size_t limit) override {
    return read<OwnerList>(workspace, [&](const Workspace& found) {
      OwnerList list;
      const auto& owners = found.tables.owners;
      auto at = after.empty() ? owners.begin() : owners.upper_bound(after);
      for (; at != owners.end() && list.owners.size() < limit; ++at) list.owners.push_back(at->second);
      list.more = at != owners.end();
      return list;
    });
  }

  Result<std::vector<WorkspaceRecord>> list_workspaces(std::string_view after, std::size_t limit) override {
    const std::shared_lock guard(lock_);
    if (torn()) return torn_error();
    std::vector<WorkspaceRecord> list;
    auto at = after.empty() ? workspaces_.begin() : workspaces_.upper_bound(after);
    for (; at != workspaces_.end() && list.size() < limit; ++at) {
      if (at->second.tables.settings) list.push_back(*at->second.tables.settings);
    }
    return list;
  }

  Result<TokenCounts> count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) override {
    return read<TokenCounts>(workspace, [&](const Workspace& found) { return found.tables.tokens.count(owner, now); });
  }

  Result<std::uint64_t> count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                   std::uint64_t at_most) override {
    return read<std::uint64_t>(
        workspace, [&](const Workspace& found) { return found.tables.tokens.count_live(owner, now, at_most); });
  }

  Result<std::vector<EndedToken>> list_ended(std::string_view workspace, UnixMillis ended_before,
                                             std::size_t limit) override {
    return read<std::vector<EndedToken>>(
        workspace, [&](const Workspace& found) { return found.tables.tokens.list_ended(ended_before, limit); });
  }

  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    if (!base::is_well_formed(workspace, batch)) return {CommitOutcome::failed, 0, base::misfit()};
    const std::unique_lock guard(lock_);
    if (torn()) return {CommitOutcome::failed, 0, torn_error()};

    // All that can run out of memory comes first, on the side.
    std::map<std::string, Workspace, std::less<>> fresh;
    auto found = workspaces_.find(workspace);
    Workspace& space = found != workspaces_.end() ? found->second : fresh[std::string(workspace)];
    Draft draft(space.tables, store_);
    for (const Mutation& mutation : batch) {
      if (!draft.apply(mutation)) return {CommitOutcome::conflict, 0, {}};
    }
    if (!draft.changes_anything() && announcement == nullptr) return {CommitOutcome::committed, space.revision, {}};
    draft.prepare();
    std::list<Changes::Entry> entry;
    if (announcement != nullptr) {
      const std::uint64_t next = space.revision + 1;
      entry.push_back({next, std::string(announcement->entry()), announcement->link(next, space.link)});
    }

    const Change change(*this);
    workspaces_.merge(fresh);
    draft.publish(space.tables, store_);
    if (!entry.empty()) {
      space.append_to_feed(entry);
      pulse_.fetch_add(1, std::memory_order_release);
    }
    return {CommitOutcome::committed, space.revision, {}};
  }

  Result<Changes> changes(std::string_view workspace, std::uint64_t after_revision) override {
    const std::shared_lock guard(lock_);
    if (torn()) return torn_error();
    Changes changes;
    const auto found = workspaces_.find(workspace);
    if (found != workspaces_.end()) {
      const Workspace& space = found->second;
      changes.revision = space.revision;
      changes.link = space.link;
      changes.complete_from = space.feed_starts_after;
      changes.everything = after_revision < space.feed_starts_after;
      if (!changes.everything) {
        // From the end: whoever asks is seldom far behind.
        auto from = space.feed.end();
        while (from != space.feed.begin() && std::prev(from)->revision > after_revision) --from;
        changes.entries.assign(from, space.feed.end());
      }
    }
    // A revision that lies ahead was seen in another store than this one.
    if (after_revision > changes.revision) changes.everything = true;
    return changes;
  }

  Pulse pulse() noexcept override {
    return {pulse_.load(std::memory_order_acquire), std::numeric_limits<std::int64_t>::max()};
  }

  Result<void> record_uses(std::string_view workspace, std::span<const Use> uses) override {
    const std::unique_lock guard(lock_);
    if (torn()) return torn_error();
    const auto found = workspaces_.find(workspace);
    if (found == workspaces_.end()) return {};
    const Change change(*this);
    for (const Use& use : uses) found->second.tables.tokens.note_use(use);
    return {};
  }

  Result<bool> maintain(std::chrono::milliseconds) override { return false; }

  Result<std::vector<std::string>> check_integrity(std::size_t, const Progress&) override {
    const std::shared_lock guard(lock_);
    if (torn()) return torn_error();
    return std::vector<std::string>{};
  }

 private:
  void rest(std::chrono::steady_clock::time_point deadline) noexcept override {
    resting_ = lock_.try_lock_until(deadline);
  }
  void resume(bool in_child) noexcept override {
    if (!resting_) return;
    in_child ? lock_.unlock_in_child() : lock_.unlock();
  }

  /// Flags a change while it lasts.
  class Change {
   public:
    explicit Change(MemoryBackend& backend) noexcept : backend_(backend) {
      backend_.changing_.store(true, std::memory_order_seq_cst);
    }
    ~Change() { backend_.changing_.store(false, std::memory_order_seq_cst); }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

   private:
    MemoryBackend& backend_;
  };

  bool torn() const noexcept { return changing_.load(std::memory_order_seq_cst); }
  static Error torn_error() {
    return Error(Status::unavailable,
                 "the process was forked in the middle of a change; open a new store in the child");
  }

  /// What `look` answers of a workspace; of one that is not there, an empty answer.
  template <typename Answer, typename Look>
  Result<Answer> read(std::string_view workspace, Look&& look) {
    const std::shared_lock guard(lock_);
    if (torn()) return torn_error();
    const auto found = workspaces_.find(workspace);
    if (found == workspaces_.end()) return Answer{};
    return Result<Answer>(look(found->second));
  }

  ForkSafeLock lock_;
  std::atomic<bool> changing_{false};
  std::atomic<std::uint64_t> pulse_{1};
  std::map<std::string, Workspace, std::less<>> workspaces_;
  std::optional<StoreRecord> store_;
  bool resting_ = false;  ///< the lock was taken for a fork
  const base::AtForkEntry at_fork_{*this};
};

}  // namespace
}  // namespace memory

std::shared_ptr<Backend> memory_backend() {
  return std::make_shared<memory::MemoryBackend>();
}

}  // namespace tokenstore
