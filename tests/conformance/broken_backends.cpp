#include "broken_backends.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include "base/mutation.hpp"
#include "support/forwarding_backend.hpp"
#include "tokenstore/backends/memory.hpp"
#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

class Forwarding : public test::ForwardingBackend {
 public:
  Forwarding() : ForwardingBackend(memory_backend()) {}
  std::string_view name() const noexcept override { return "broken"; }

 protected:
  RecordRevision stored_revision(std::string_view workspace, const Mutation& mutation) {
    switch (mutation.kind) {
      case RecordKind::token:
        return inner_->load_token(workspace, mutation.key)->value_or(TokenRecord{}).revision;
      case RecordKind::owner:
        return inner_->load_owner(workspace, mutation.key)->value_or(OwnerRecord{}).revision;
      case RecordKind::workspace:
        return inner_->load_workspace(workspace)->value_or(WorkspaceRecord{}).revision;
      case RecordKind::store:
        return inner_->load_store()->value_or(StoreRecord{}).revision;
    }
    return 0;
  }
};

struct ForgetsLastCheck : Forwarding {
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    if (!batch.empty() && batch.back().action == Mutation::Action::check) batch = batch.first(batch.size() - 1);
    return inner_->commit(workspace, batch, announcement);
  }
};

struct SkipsMisfits : Forwarding {
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    std::vector<Mutation> fitting;
    for (const Mutation& mutation : batch) {
      if (base::is_well_formed(workspace, mutation)) fitting.push_back(mutation);
    }
    return inner_->commit(workspace, fitting, announcement);
  }
};

struct TakesTheLastOfRepeats : Forwarding {
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    std::vector<Mutation> last;
    for (auto at = batch.rbegin(); at != batch.rend(); ++at) {
      const auto same = [at](const Mutation& kept) { return kept.kind == at->kind && kept.key == at->key; };
      if (std::none_of(last.begin(), last.end(), same)) last.insert(last.begin(), *at);
    }
    return inner_->commit(workspace, last, announcement);
  }
};

struct TearsBatches : Forwarding {
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    CommitResult result;
    for (std::size_t at = 0; at < batch.size(); ++at) {
      result = inner_->commit(workspace, batch.subspan(at, 1), announcement);
      if (result.outcome != CommitOutcome::committed) break;
    }
    return result;
  }
};

/// A last writer wins: the precondition is taken from what is stored.
struct OverwritesBlindly : Forwarding {
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    std::vector<Mutation> forced(batch.begin(), batch.end());
    for (Mutation& one : forced) one.expected = stored_revision(workspace, one);
    return inner_->commit(workspace, forced, announcement);
  }
};

/// Sound for one thread: looks, then acts.
struct LosesUpdates : Forwarding {
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    std::vector<Mutation> forced(batch.begin(), batch.end());
    for (Mutation& one : forced) {
      if (stored_revision(workspace, one) != one.expected) return {CommitOutcome::conflict, 0, {}};
    }
    std::this_thread::sleep_for(std::chrono::microseconds{200});
    for (Mutation& one : forced) one.expected = stored_revision(workspace, one);
    return inner_->commit(workspace, forced, announcement);
  }
};

struct MiscountsRevisions : Forwarding {
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    CommitResult result = inner_->commit(workspace, batch, announcement);
    ++result.revision;
    return result;
  }
};

/// Alters what the feed answers.
template <void (*alter)(Changes&)>
struct AltersFeed : Forwarding {
  Result<Changes> changes(std::string_view workspace, std::uint64_t after_revision) override {
    auto result = inner_->changes(workspace, after_revision);
    alter(*result);
    return result;
  }
};
void drop_one(Changes& changes) {
  if (changes.entries.size() > 1) changes.entries.erase(changes.entries.begin());
}
void swap_two(Changes& changes) {
  if (changes.entries.size() > 1) std::swap(changes.entries[0], changes.entries[1]);
}
void lose_links(Changes& changes) {
  for (Changes::Entry& entry : changes.entries) entry.link = {};
}
void lose_head_link(Changes& changes) {
  changes.link = {};
}
void end_entries_at_nul(Changes& changes) {
  for (Changes::Entry& entry : changes.entries) entry.text.resize(std::min(entry.text.find('\0'), entry.text.size()));
}
void claim_completeness(Changes& changes) {
  changes.complete_from = 0;
}

/// Asks for a link as if nothing had come before.
struct LinksToNothing : Forwarding {
  struct Unlinked final : Announcement {
    explicit Unlinked(const Announcement& given) : given_(given) {}
    std::string_view entry() const noexcept override { return given_.entry(); }
    Bytes32 link(std::uint64_t revision, const Bytes32&) const noexcept override { return given_.link(revision, {}); }
    const Announcement& given_;
  };
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    if (announcement == nullptr) return inner_->commit(workspace, batch, nullptr);
    const Unlinked unlinked(*announcement);
    return inner_->commit(workspace, batch, &unlinked);
  }
};

struct AnnouncesUnasked : Forwarding {
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    const Names names(batch);
    return inner_->commit(workspace, batch, announcement != nullptr ? announcement : &names);
  }
};

struct KeepsQuietAboutNothing : Forwarding {
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    return inner_->commit(workspace, batch, batch.empty() ? nullptr : announcement);
  }
};

struct LosesStoreRecord : Forwarding {
  Result<std::optional<StoreRecord>> load_store() override { return std::optional<StoreRecord>(); }
};

/// Alters each token, owner or workspace that is loaded.
template <typename Record, void (*alter)(Record&)>
struct AltersRecord : Forwarding {
  template <typename Answer>
  static Answer altered(Answer answer) {
    if constexpr (std::is_same_v<Answer, Result<std::optional<Record>>>) {
      if (*answer) alter(**answer);
    }
    return answer;
  }
  Result<std::optional<TokenRecord>> load_token(std::string_view workspace, std::string_view id) override {
    return altered(inner_->load_token(workspace, id));
  }
  Result<std::optional<OwnerRecord>> load_owner(std::string_view workspace, std::string_view owner) override {
    return altered(inner_->load_owner(workspace, owner));
  }
  Result<std::optional<WorkspaceRecord>> load_workspace(std::string_view workspace) override {
    return altered(inner_->load_workspace(workspace));
  }
};
void forget_owner_birth(TokenRecord& token) {
  token.owner_birth = {};
}
void forget_revoke_all_count(TokenRecord& token) {
  token.revoke_all_count = 0;
}
void forget_expired_at(TokenRecord& token) {
  token.expired_at = time_max;
}
void forget_birth(OwnerRecord& owner) {
  owner.birth = {};
}
void forget_birth(WorkspaceRecord& workspace) {
  workspace.birth = {};
}

struct NeverTooFarBehind : Forwarding {
  Result<Changes> changes(std::string_view workspace, std::uint64_t after_revision) override {
    auto result = inner_->changes(workspace, after_revision);
    result->everything = false;
    return result;
  }
};

struct SkipsUnderPaging : Forwarding {
  Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) override {
    auto result = inner_->list_tokens(workspace, query);
    if (!result->next_before_id.empty() && !result->tokens.empty()) result->tokens.pop_back();
    return result;
  }
};

struct RepeatsUnderPaging : Forwarding {
  Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) override {
    TokenQuery wider = query;
    if (!wider.before_id.empty()) wider.before_id += '\0';
    return inner_->list_tokens(workspace, wider);
  }
};

struct ScansWithoutBound : Forwarding {
  Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) override {
    TokenQuery wider = query;
    wider.scan_limit = std::numeric_limits<std::size_t>::max();
    return inner_->list_tokens(workspace, wider);
  }
};

struct StopsAtTheBound : Forwarding {
  Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) override {
    auto result = inner_->list_tokens(workspace, query);
    if (result->tokens.size() < query.limit) result->next_before_id.clear();
    return result;
  }
};

struct OffByAMillisecond : Forwarding {
  Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) override {
    TokenQuery earlier = query;
    if (earlier.now > std::numeric_limits<UnixMillis>::min()) --earlier.now;
    return inner_->list_tokens(workspace, earlier);
  }
};

struct TakesWildcards : Forwarding {
  Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) override {
    TokenQuery wild = query;
    std::erase(wild.text, '%');
    return inner_->list_tokens(workspace, wild);
  }
};

struct CountsTheEnd : Forwarding {
  Result<std::uint64_t> count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                   std::uint64_t at_most) override {
    return inner_->count_live(workspace, owner, now == std::numeric_limits<UnixMillis>::min() ? now : now - 1, at_most);
  }
};

struct CountsBeyond : Forwarding {
  Result<std::uint64_t> count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                   std::uint64_t) override {
    return inner_->count_live(workspace, owner, now, std::numeric_limits<std::uint64_t>::max());
  }
};

struct PurgesTooMuch : Forwarding {
  Result<std::vector<EndedToken>> list_ended(std::string_view workspace, UnixMillis ended_before,
                                             std::size_t limit) override {
    const bool last = ended_before == std::numeric_limits<UnixMillis>::max();
    return inner_->list_ended(workspace, last ? ended_before : ended_before + 1, limit);
  }
};

struct FoldsIds : Forwarding {
  Result<std::optional<TokenRecord>> load_token(std::string_view workspace, std::string_view id) override {
    auto exact = inner_->load_token(workspace, id);
    if (*exact) return exact;
    std::string folded(id);
    for (char& c : folded) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return inner_->load_token(workspace, folded);
  }
};

struct EndsTextAtNul : Forwarding {
  Result<std::optional<TokenRecord>> load_token(std::string_view workspace, std::string_view id) override {
    auto result = inner_->load_token(workspace, id);
    if (*result) (*result)->metadata.resize(std::min((*result)->metadata.find('\0'), (*result)->metadata.size()));
    return result;
  }
};

struct MixesWorkspaces : Forwarding {
  Result<TokenCounts> count_tokens(std::string_view, std::string_view owner, UnixMillis now) override {
    TokenCounts all;
    const auto workspaces = inner_->list_workspaces("", 1'000);
    for (const WorkspaceRecord& workspace : *workspaces) {
      const TokenCounts counts = *inner_->count_tokens(workspace.workspace, owner, now);
      all.active += counts.active;
      all.revoked += counts.revoked;
    }
    return all;
  }
};

struct HasNoPulse : Forwarding {
  Pulse pulse() noexcept override { return {1, std::numeric_limits<std::int64_t>::max()}; }
};

/// Notices each commit, but only when somebody looks into the storage.
struct PulsesLate : Forwarding {
  Result<Changes> changes(std::string_view workspace, std::uint64_t after_revision) override {
    counter_ = inner_->pulse().counter;
    return inner_->changes(workspace, after_revision);
  }
  Pulse pulse() noexcept override { return {counter_, std::numeric_limits<std::int64_t>::max()}; }
  std::atomic<std::uint64_t> counter_{0};
};

struct PulsesAlways : Forwarding {
  Pulse pulse() noexcept override { return {++counter_, std::numeric_limits<std::int64_t>::max()}; }
  std::atomic<std::uint64_t> counter_{0};
};

struct ForgetsUses : Forwarding {
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    std::vector<Mutation> fresh(batch.begin(), batch.end());
    for (const Mutation& one : batch) {
      if (one.action != Mutation::Action::put || one.kind != RecordKind::token || one.expected == 0) continue;
      fresh.assign({Mutation::remove_token(one.key, one.expected)});
      Mutation again = one;
      again.expected = 0;
      fresh.push_back(again);
    }
    return inner_->commit(workspace, fresh, announcement);
  }
};

struct CommitsUses : Forwarding {
  Result<void> record_uses(std::string_view workspace, std::span<const Use> uses) override {
    auto result = inner_->record_uses(workspace, uses);
    for (const Use& use : uses) {
      const auto token = inner_->load_token(workspace, use.id);
      if (!*token) continue;
      const std::vector<Mutation> touch = {Mutation::put(**token, (*token)->revision)};
      conformance::commit(*inner_, touch, workspace);
    }
    return result;
  }
};

struct AnswersOldRecords : Forwarding {
  Result<std::optional<TokenRecord>> load_token(std::string_view workspace, std::string_view id) override {
    const std::lock_guard guard(mutex_);
    const auto key = std::string(workspace) + '\n' + std::string(id);
    if (calls_++ % 2 == 0 || !kept_.contains(key)) kept_[key] = *inner_->load_token(workspace, id);
    return kept_[key];
  }
  std::mutex mutex_;
  std::map<std::string, std::optional<TokenRecord>> kept_;
  std::uint64_t calls_ = 0;
};

template <typename Broken>
BrokenBackend broken(std::string name, std::string caught_by) {
  return {std::move(name), std::move(caught_by), [] { return std::make_shared<Broken>(); }};
}

}  // namespace

std::shared_ptr<Backend> forwarding_backend() {
  return std::make_shared<Forwarding>();
}

std::vector<BrokenBackend> broken_backends() {
  return {
      broken<ForgetsLastCheck>("forgets the last precondition",
                               "a failing precondition anywhere leaves nothing of the batch"),
      broken<TearsBatches>("commits step by step", "a failing precondition anywhere leaves nothing of the batch"),
      broken<SkipsMisfits>("leaves out steps that do not fit",
                           "a step that does not fit its record or workspace is refused with its batch"),
      broken<TakesTheLastOfRepeats>("takes the last of two steps",
                                    "a batch that names a record in two steps is refused as a whole"),
      broken<OverwritesBlindly>("ignores revisions", "a put over a record needs exactly its revision"),
      broken<LosesUpdates>("loses updates of racing threads",
                           "of sixteen threads exactly one wins each revision of a record"),
      broken<MiscountsRevisions>("miscounts revisions", "the revision grows by one with each batch that is announced"),
      broken<AltersFeed<drop_one>>("drops an entry of the feed",
                                   "the feed from any earlier revision gives each entry once, in order and linked"),
      broken<AltersFeed<swap_two>>("gives entries out of order",
                                   "the feed from any earlier revision gives each entry once, in order and linked"),
      broken<AltersFeed<lose_links>>("loses the links of the feed",
                                     "the feed from any earlier revision gives each entry once, in order and linked"),
      broken<AltersFeed<lose_head_link>>(
          "loses the link of the head",
          "the feed from any earlier revision gives each entry once, in order and linked"),
      broken<LinksToNothing>("links an entry to nothing",
                             "the feed from any earlier revision gives each entry once, in order and linked"),
      broken<AltersFeed<end_entries_at_nul>>("ends entries at NUL", "an entry and its link come back octet by octet"),
      broken<AltersFeed<claim_completeness>>("claims that its feed is complete",
                                             "whoever is too far behind is told that everything changed"),
      broken<AnnouncesUnasked>("raises the revision without an announcement",
                               "a batch without an announcement is done and raises no revision"),
      broken<KeepsQuietAboutNothing>("does not announce an empty batch",
                                     "an announcement raises the revision, also of an empty batch"),
      broken<LosesStoreRecord>("loses the store's record", "the store's own record is one for all workspaces"),
      broken<LosesStoreRecord>("loses the store's record after it was put",
                               "the store's own record comes back as it was put"),
      broken<AltersRecord<TokenRecord, forget_owner_birth>>("forgets the owner's birth of a token",
                                                            "births and what ends a token come back as they were put"),
      broken<AltersRecord<TokenRecord, forget_revoke_all_count>>(
          "forgets a token's count of \"revoke all\"", "births and what ends a token come back as they were put"),
      broken<AltersRecord<TokenRecord, forget_expired_at>>("forgets when a token was expired",
                                                           "births and what ends a token come back as they were put"),
      broken<AltersRecord<OwnerRecord, forget_birth>>("forgets the birth of an owner",
                                                      "births and what ends a token come back as they were put"),
      broken<AltersRecord<WorkspaceRecord, forget_birth>>("forgets the birth of a workspace",
                                                          "numbers come back at the ends of their ranges"),
      broken<NeverTooFarBehind>("keeps silent about a forgotten feed",
                                "whoever is too far behind is told that everything changed"),
      broken<NeverTooFarBehind>("answers nothing to a revision ahead",
                                "a revision that lies ahead is answered with everything"),
      broken<SkipsUnderPaging>("skips a token at each page's end",
                               "tokens are listed from the highest id to the lowest in pages of any size"),
      broken<RepeatsUnderPaging>("repeats a token at each page's start",
                                 "a list begins strictly below before_id whether or not that id exists"),
      broken<ScansWithoutBound>("scans without bound",
                                "a list looks at no more records than it may and still reaches everything"),
      broken<StopsAtTheBound>("stops at the scan bound",
                              "a list looks at no more records than it may and still reaches everything"),
      broken<OffByAMillisecond>("is late by a millisecond",
                                "a token is active from its not-before and expired from its end"),
      broken<TakesWildcards>("takes wildcards", "text is searched literally and in either case of ASCII letters alone"),
      broken<CountsTheEnd>("counts a token live at its end",
                           "a token is live while its end lies ahead and not at its end"),
      broken<CountsBeyond>("counts beyond the bound", "counts equal those of plain code"),
      broken<PurgesTooMuch>("lists as ended what ends at the time",
                            "ended tokens come longest ended first and strictly before the time"),
      broken<FoldsIds>("folds the case of ids",
                       "ids and owners that differ in case or by a space or NUL are different"),
      broken<EndsTextAtNul>("ends metadata at NUL", "every octet comes back in every field"),
      broken<MixesWorkspaces>("counts over all workspaces", "every call stays inside its workspace"),
      broken<HasNoPulse>("has no pulse", "the pulse after a commit differs from every pulse before"),
      broken<HasNoPulse>("has no pulse for a store to hear",
                         "a store on it refuses at once what it has ended, and nothing else"),
      broken<PulsesLate>("pulses late", "the pulse has moved when a commit returns"),
      broken<PulsesAlways>("pulses always", "the pulse rests while nothing is committed"),
      broken<ForgetsUses>("forgets the last use on replacement",
                          "the stored last use is kept when a token is replaced"),
      broken<CommitsUses>("commits uses", "a use raises no revision and does not enter the feed"),
      broken<AnswersOldRecords>("answers from an old copy", "another thread sees a commit once it has returned"),
      broken<AnswersOldRecords>("answers from an old copy to one thread",
                                "a random program of calls gives what plain maps give"),
  };
}

}  // namespace tokenstore::conformance
