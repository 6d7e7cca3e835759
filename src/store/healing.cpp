/// Healing: what went back behind the journal is put forward again.
#include <algorithm>
#include <chrono>
#include <map>
#include <thread>
#include <utility>

#include "journal/summary.hpp"
#include "store/rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore {

namespace {

/// Of the journal in one part: what is kept of them in memory.
constexpr std::size_t heal_part = 1000;
/// Small enough that a writer who waits for a slice does not notice.
constexpr std::size_t heal_slice = 100;
/// A store that has records which cannot be healed spends no more of its time on them than one part in so many.
constexpr std::int64_t rest_factor = 10;
constexpr std::int64_t shortest_rest = 1000;
/// How long a call waits for upkeep: ten seconds.
constexpr std::chrono::milliseconds wait_for_upkeep{1};
constexpr int most_waits = 10'000;

constexpr std::string_view heal_reason = "put forward again from the journal";

/// What the journal knows of a record.
struct Known {
  RecordRevision revision = 0;  ///< `gone` if it was removed
  UnixMillis ends_at = 0;       ///< of a token; 0: it was ended at once
  std::string record{};         ///< encoded; empty: of tokens that can still be used, or from a summary
};
using Name = std::pair<RecordKind, std::string>;
using KnownPart = std::map<Name, Known>;

/// Collects what is the latest that the journal knows of a record of this workspace.
class Collector final : public journal::Listener {
 public:
  explicit Collector(TokenStore::Impl& store) : store_(store), now_(store.clock.now()) {}

  void entry(std::uint64_t, const journal::Entry& entry) override {
    if (!entry.restricts || entry.workspace != store_.workspace) return;
    const bool at_once = !entry.record.empty() || entry.deed == journal::Deed::revoked;
    take(entry.kind, entry.key, entry.until, {entry.revision, at_once ? 0 : entry.ends_at, std::string(entry.record)});
  }
  void ended(std::string_view workspace, const journal::EndedToken& token) override {
    if (workspace != store_.workspace) return;
    const bool at_once = token.deed == journal::Deed::revoked;
    take(RecordKind::token, token.id, token.until, {token.revision, at_once ? 0 : token.ends_at});
  }
  bool has_enough() const override { return part_.size() >= heal_part; }

  KnownPart take_part() { return std::exchange(part_, {}); }

 private:
  void take(RecordKind kind, std::string_view key, UnixMillis until, Known known) {
    // As in the set of what is restricted: nothing of it can be used any more.
    if (!journal::can_still_live(until, now_)) return;
    if (store_.journal->least_revision(kind, key).value_or(0) > known.revision) return;
    const auto [found, added] = part_.try_emplace({kind, std::string(key)});
    const bool says_more = known.revision > found->second.revision ||
                           (known.revision == found->second.revision && found->second.record.empty());
    if (added || says_more) found->second = std::move(known);
  }

  TokenStore::Impl& store_;
  const UnixMillis now_;
  KnownPart part_;
};

/// A store's settings, where two states of one revision disagree: each of them was acknowledged to somebody.
OwnerRecord stricter(OwnerRecord stored, const OwnerRecord& known) {
  stored.may_issue = stored.may_issue && known.may_issue;
  stored.may_use = stored.may_use && known.may_use;
  if (stored.suspended_at == not_ended) {
    stored.suspended_at = known.suspended_at;
    stored.suspended_by = known.suspended_by;
    stored.suspend_reason = known.suspend_reason;
  }
  // Tokens are bound to the birth, and count from there.
  if (stored.birth == known.birth) stored.revoke_all_count = std::max(stored.revoke_all_count, known.revoke_all_count);
  return stored;
}

bool say_the_same(const OwnerRecord& one, const OwnerRecord& other) noexcept {
  return one.may_issue == other.may_issue && one.may_use == other.may_use && one.suspended_at == other.suspended_at &&
         one.revoke_all_count == other.revoke_all_count;
}

class Healer {
 public:
  Healer(TokenStore::Impl& store, const Actor& actor, const Progress& progress)
      : store_(store), actor_(actor), progress_(progress) {}

  Result<HealReport> run() {
    journal::Walk walk = store_.journal->walk();
    Collector collector(store_);
    for (bool more = true; more;) {
      auto told = walk.next(collector);
      if (!told.ok()) return told.error();
      more = *told;
      // Frames are small, and may hold nothing of this workspace: a part is what comes together of them.
      if (more && !collector.has_enough()) continue;
      if (auto done = heal(collector.take_part()); !done.ok()) return done.error();
    }
    return report_;
  }

 private:
  Result<void> heal(const KnownPart& known) {
    for (auto from = known.begin(); from != known.end();) {
      auto to = from;
      std::size_t count = 0;
      for (; to != known.end() && count < heal_slice; ++count) ++to;
      if (auto done = heal(from, to); !done.ok()) return done;
      report_.looked_at += count;
      from = to;
      if (progress_ && !progress_(report_.looked_at, 0)) {
        return Error(Status::conflict, "the healing was stopped before its end; what was put forward stays so");
      }
    }
    return {};
  }

  Result<void> heal(KnownPart::const_iterator from, KnownPart::const_iterator to) {
    const HealReport before = report_;
    auto done = store_.retrying<bool>([&]() -> Result<bool> {
      report_ = before;
      std::vector<Mutation> batch;
      for (auto one = from; one != to; ++one) {
        auto step = step_for(one->first, one->second);
        if (!step.ok()) return step.error();
        if (*step) batch.push_back(std::move(**step));
      }
      if (batch.empty()) return true;
      auto committed = store_.commit(batch, {journal::Deed::healed, actor_, heal_reason});
      // In the journal it is anyhow: there it comes from.
      if (!committed.ok() && committed.status() != Status::not_journaled) return committed.error();
      store_.healing.healed.fetch_add(batch.size(), std::memory_order_relaxed);
      return true;
    });
    if (done.ok()) return {};
    report_ = before;
    if (done.status() != Status::conflict) return done.error();
    report_.refused += static_cast<std::uint64_t>(std::distance(from, to));
    return {};
  }

  using Step = Result<std::optional<Mutation>>;

  Step step_for(const Name& name, const Known& known) {
    switch (name.first) {
      case RecordKind::token:
        return of_token(name.second, known);
      case RecordKind::owner:
        return of_owner(name.second, known);
      case RecordKind::workspace:
        return of_workspace(known);
      case RecordKind::store:
        break;
    }
    return std::optional<Mutation>();
  }

  Step refused() {
    ++report_.refused;
    return std::optional<Mutation>();
  }

  template <typename Record>
  static std::optional<Record> decoded(const Known& known) {
    auto record = journal::decode_record(known.record);
    auto* right = record ? std::get_if<Record>(&*record) : nullptr;
    return right != nullptr ? std::optional<Record>(std::move(*right)) : std::nullopt;
  }

  /// To the revision that the journal knows, and no further: what another host's journal knows of a later one must go
  /// on to show that this is not the latest.
  template <typename Record, typename... Where>
  Mutation forward(Record record, RecordRevision stored, const Known& known, const Where&... where) {
    record.revision = std::max(known.revision, stored + 1);
    store_.sealer_after(record.seal_key_id).seal(where..., record);
    return Mutation::put(std::move(record), stored);
  }

  /// Whether a token can be used for longer than the journal knows, which no later state of it can.
  static bool allows_more(const TokenRecord& stored, const Known& known) noexcept {
    return rules::was_not_ended(stored) && (known.ends_at == 0 || stored.expires_at > known.ends_at);
  }

  Step of_token(const std::string& id, const Known& known) {
    auto loaded = store_.backend->load_token(store_.workspace, id);
    if (!loaded.ok()) return loaded.error();
    if (!loaded->has_value()) return std::optional<Mutation>();
    TokenRecord& stored = **loaded;
    if (stored.revision >= known.revision && !allows_more(stored, known)) return std::optional<Mutation>();
    if (stored.id != id || !store_.sealer->is_genuine(store_.place, stored)) return refused();
    const RecordRevision revision = stored.revision;
    if (known.revision == journal::gone) {
      ++report_.removed;
      return std::optional(Mutation::remove_token(id, revision));
    }
    ++report_.ended;
    auto ended = decoded<TokenRecord>(known);
    if (ended && ended->id == id && !rules::was_not_ended(*ended)) {
      return std::optional(forward(std::move(*ended), revision, known, store_.place));
    }
    if (known.ends_at != 0) {
      stored.expires_at = std::min(stored.expires_at, known.ends_at);
    } else if (rules::was_not_ended(stored)) {
      // Who did it and why is in an earlier segment of the journal.
      stored.revoked_at = store_.clock.now();
      stored.revoked_by = rules::actor_label(actor_);
      stored.revoke_reason = heal_reason;
    }
    return std::optional(forward(std::move(stored), revision, known, store_.place));
  }

  Step of_owner(const std::string& owner, const Known& known) {
    auto latest = decoded<OwnerRecord>(known);
    if (!latest || latest->owner != owner) return std::optional<Mutation>();
    auto loaded = store_.backend->load_owner(store_.workspace, owner);
    if (!loaded.ok()) return loaded.error();
    RecordRevision revision = 0;
    if (loaded->has_value()) {
      OwnerRecord& stored = **loaded;
      revision = stored.revision;
      // One that was born anew meanwhile stays: the tokens that there are are bound to it.
      const bool of_one_birth = stored.birth == latest->birth;
      const bool counts_less = of_one_birth && stored.revoke_all_count < latest->revoke_all_count;
      if (revision > known.revision && !counts_less) return std::optional<Mutation>();
      OwnerRecord next = revision > known.revision ? stored : stricter(stored, *latest);
      if (counts_less) next.revoke_all_count = latest->revoke_all_count;
      if (revision < known.revision && of_one_birth) next = *latest;
      if (revision >= known.revision && say_the_same(next, stored)) return std::optional<Mutation>();
      if (stored.owner != owner || !store_.sealer->is_genuine(store_.place, stored)) return refused();
      *latest = std::move(next);
    }
    ++report_.settings;
    return std::optional(forward(std::move(*latest), revision, known, store_.place));
  }

  Step of_workspace(const Known& known) {
    auto latest = decoded<WorkspaceRecord>(known);
    if (!latest || latest->workspace != store_.workspace) return std::optional<Mutation>();
    auto loaded = store_.backend->load_workspace(store_.workspace);
    if (!loaded.ok()) return loaded.error();
    RecordRevision revision = 0;
    if (loaded->has_value()) {
      WorkspaceRecord& stored = **loaded;
      revision = stored.revision;
      const bool less = revision < known.revision;
      const bool allows_more = revision == known.revision && stored.tokens_enabled && !latest->tokens_enabled;
      if (!less && !allows_more) return std::optional<Mutation>();
      const bool ours = stored.workspace == store_.workspace && stored.birth == store_.place.workspace_birth;
      if (!ours || !store_.sealer->is_genuine(store_.place.store, stored)) return refused();
      if (less) rules::set_policy(stored, rules::policy_of(*latest));
      stored.tokens_enabled = latest->tokens_enabled;
      *latest = std::move(stored);
    } else if (latest->birth != store_.place.workspace_birth) {
      return refused();
    }
    ++report_.settings;
    return std::optional(forward(std::move(*latest), revision, known, store_.place.store));
  }

  TokenStore::Impl& store_;
  const Actor& actor_;
  const Progress& progress_;
  HealReport report_;
};

}  // namespace

std::uint64_t TokenStore::Impl::rolled_back() const noexcept {
  return validator.rolled_back() + healing.met.load(std::memory_order_relaxed);
}

Error TokenStore::Impl::met_rolled_back(std::string_view what) {
  healing.met.fetch_add(1, std::memory_order_relaxed);
  return rules::rolled_back(what);
}

Result<bool> TokenStore::Impl::is_older_than_journal(Changes& head) {
  // Before the feed: what is in the journal was in storage then.
  const journal::Learned learned = journal->learned();
  const std::uint64_t heard_of = std::max(journal->highest_feed_revision(), learned.revision);
  auto changes = backend->changes(workspace, learned.ever ? learned.revision : seal::far_ahead);
  if (!changes.ok()) return changes.error();
  head = std::move(*changes);
  // A backend without a feed: only a record that is met can tell.
  if (head.revision == 0) return false;
  if (head.revision < heard_of) return true;
  return learned.ever && !seal::read_on(sealer->now(), place, learned.revision, learned.link, head).fits;
}

Result<HealReport> TokenStore::Impl::heal(const Actor& actor, const Progress& progress) {
  const std::int64_t begun = clock.monotonic();
  const std::uint64_t met = rolled_back();
  validator.read_journal();
  Changes before;
  const auto older = is_older_than_journal(before);
  if (!older.ok()) return older.error();
  auto report = Healer(*this, actor, progress).run();
  const bool left_some =
      !report.ok() || report->refused != 0 || report->ended + report->removed + report->settings == 0;
  const std::int64_t ended = clock.monotonic();
  healing.rest_until = left_some ? ended + std::max(shortest_rest, rest_factor * (ended - begun)) : 0;
  if (!report.ok()) return report;
  healing.met_before = met;
  healing.due = false;
  if (!*older) return report;
  auto after = backend->changes(workspace, before.revision);
  if (!after.ok()) return after.error();
  // Put back once more meanwhile: the next healing is for that.
  const bool fits = after->revision >= before.revision &&
                    seal::read_on(sealer->now(), place, before.revision, before.link, *after).fits;
  healing.due = !fits;
  if (!fits) return report;
  if (auto said = journal->healed(after->revision); !said.ok()) return said.error();
  // What others have ended before is learned anew.
  Learning::Place& own = learning.place();
  own.upto = {};
  own.walk.reset();
  return report;
}

bool TokenStore::Impl::healing_is_due() {
  const bool due = healing.due || rolled_back() != healing.met_before;
  return due && clock.monotonic() >= healing.rest_until;
}

void TokenStore::Impl::heal_at_opening() {
  if (!journal || backend->read_only()) return;
  const std::lock_guard lock(learning.place().mutex);
  Changes head;
  const auto older = is_older_than_journal(head);
  if (older.ok() && !*older) return;
  // An older database is harmless as it is: what fails here is done in upkeep.
  healing.due = !older.ok() || !heal(Actor::host(), {}).ok();
}

Result<HealReport> TokenStore::heal(const Actor& actor, const Progress& progress) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  if (!impl_->journal) {
    return Error(Status::unsupported,
                 "the store was opened without a journal, which is what it is healed from; name it");
  }
  if (impl_->backend->read_only()) {
    return Error(Status::read_only, "the store is open for reading only; open it for writing");
  }
  std::unique_lock lock(impl_->learning.place().mutex, std::try_to_lock);
  // Not for ever: storage may keep whoever has it.
  for (int tries = 0; !lock && tries < most_waits; ++tries) {
    std::this_thread::sleep_for(wait_for_upkeep);
    static_cast<void>(lock.try_lock());
  }
  if (!lock) return Error(Status::unavailable, "the store is being healed by its upkeep; ask again");
  return impl_->heal(actor, progress);
}

Result<std::uint64_t> heal_from_journal(Backend& storage, const std::function<Result<Keyring>()>& keys,
                                        const StoreOptions& options) {
  if (options.journal.empty()) return Error(Status::invalid_argument, "no journal was given to heal from; name it");
  // Borrowed: the caller keeps it.
  const std::shared_ptr<Backend> borrowed(std::shared_ptr<void>(), &storage);
  std::uint64_t healed = 0;
  for (std::string after;;) {
    const auto workspaces = storage.list_workspaces(after, heal_part);
    if (!workspaces.ok()) return workspaces.error();
    if (workspaces->empty()) return healed;
    for (const WorkspaceRecord& record : *workspaces) {
      after = record.workspace;
      auto keyring = keys();
      if (!keyring.ok()) return keyring.error();
      StoreOptions one;
      one.workspace = record.workspace;
      one.create_workspace = false;
      one.cache_bytes = 0;
      one.journal = options.journal;
      one.journal_owner_of = options.journal_owner_of;
      one.clock = options.clock;
      const auto store = TokenStore::open(borrowed, *std::move(keyring), std::move(one));
      if (!store.ok()) return store.error();
      // Opening has done it where the change feed tells, and goes on in upkeep where it fails: here nobody waits.
      if (const auto rest = (*store)->heal(Actor::host()); !rest.ok()) return rest.error();
      healed += (*store)->statistics().healed;
    }
  }
}

}  // namespace tokenstore
