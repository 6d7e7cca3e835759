/// What a store writes into its journal: its own commits, and what others have changed.
#include <algorithm>
#include <array>

#include "journal/summary.hpp"
#include "store/rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore {

namespace {

/// Small enough that upkeep gets on with other things.
constexpr std::size_t learning_slice = 1000;

std::string_view octets_of_link(const Bytes32& link) noexcept {
  return {reinterpret_cast<const char*>(link.data()), link.size()};
}

/// The end that a token may have had under an earlier state of its record, which nobody can tell: by the longest
/// lifetime that the policy allows.
UnixMillis latest_end(const Policy& policy, UnixMillis created_at, UnixMillis at_least) noexcept {
  if (policy.longest_lifetime == never || policy.never_allowed) return journal::no_end;
  if (created_at > latest_time || policy.longest_lifetime > latest_time) return journal::no_end;
  return std::max(at_least, created_at + policy.longest_lifetime);
}

/// Puts the entries of a commit together.
class Drafting {
 public:
  Drafting(const std::string& workspace, UnixMillis now, const Act& act)
      : workspace_(workspace), now_(now), act_(act), actor_(rules::actor_label(act.by)) {}

  journal::Draft run(std::span<const Mutation> batch) {
    std::uint64_t resealed = 0;
    for (const Mutation& step : batch) {
      if (step.action == Mutation::Action::check) continue;
      if (act_.deed == journal::Deed::resealed) {
        ++resealed;
      } else if (step.action == Mutation::Action::remove) {
        removed(step);
      } else if (const auto* token = std::get_if<TokenRecord>(&step.record)) {
        put(*token);
      } else if (act_.deed != journal::Deed::issued) {
        put_settings(step);
      }
    }
    // Says what it said: one line for all.
    if (resealed != 0) {
      journal::Entry entry = begun(RecordKind::workspace, {});
      const std::string count = std::to_string(resealed) + " records";
      entry.reason = count;
      draft_.add(entry);
    }
    return std::move(draft_);
  }

 private:
  journal::Entry begun(RecordKind kind, std::string_view key) const {
    journal::Entry entry;
    entry.deed = act_.deed;
    entry.kind = kind;
    entry.at = now_;
    entry.workspace = workspace_;
    entry.key = key;
    entry.actor = actor_;
    entry.reason = act_.reason;
    return entry;
  }

  void removed(const Mutation& step) {
    journal::Entry entry = begun(RecordKind::token, step.key);
    entry.owner = act_.owner;
    // What is purged had ended: its record denies it if it is put back, or the journal knows of its end.
    if (act_.deed != journal::Deed::purged) {
      entry.restricts = true;
      entry.revision = journal::gone;
      entry.until = act_.ended_at;
      entry.ends_at = now_;
      draft_.waits = true;
    }
    draft_.add(entry);
  }

  void put(const TokenRecord& record) {
    journal::Entry entry = begun(RecordKind::token, record.id);
    entry.owner = record.owner;
    entry.revision = record.revision;
    entry.ends_at = record.ends_at();
    std::string octets;
    if (act_.deed != journal::Deed::issued) {
      entry.restricts = true;
      entry.until = std::max(record.expires_at, act_.ended_at);
      draft_.waits = true;
      if (!rules::was_not_ended(record)) octets = journal::encode_record(record);
      entry.record = octets;
    }
    draft_.add(entry);
  }

  /// Loosened settings restrict too: the earlier ones were others, and are not the present ones.
  void put_settings(const Mutation& step) {
    journal::Entry entry = begun(step.kind, step.key);
    entry.restricts = true;
    entry.revision = std::visit([](const auto& record) { return record.revision; }, step.record);
    const std::string octets = journal::encode_record(step.record);
    entry.record = octets;
    draft_.waits = draft_.waits || act_.deed != journal::Deed::resumed;
    draft_.add(entry);
  }

  const std::string& workspace_;
  const UnixMillis now_;
  const Act& act_;
  const std::string actor_;
  journal::Draft draft_;
};

/// Takes over what others have changed.
class Learner {
 public:
  Learner(TokenStore::Impl& store, Learning::Place& learning) : store_(store), learning_(learning) {}

  Result<void> run() {
    for (; looked_at_ < learning_slice; ++looked_at_) {
      if (learning_.walk) {
        if (auto done = walk(*learning_.walk); !done.ok()) return done;
        continue;
      }
      const journal::Learned known = known_so_far();
      // Before the feed: what is in the journal was in storage then.
      const std::uint64_t heard_of = store_.journal->highest_feed_revision();
      auto changes = store_.backend->changes(store_.workspace, known.ever ? known.revision : seal::far_ahead);
      if (!changes.ok()) return changes.error();
      // A backend without a feed is at 0 for ever.
      const bool put_back = changes->revision != 0 && changes->revision < heard_of;
      if (known.ever && !put_back) {
        if (changes->revision == known.revision && changes->link == known.link) return {};
        if (const auto named = named_by_others(known, *changes)) return learn(*named, *changes);
      }
      // A standby that lagged, or another file, perhaps. What is taken over then is what is right.
      if (known.ever || put_back) {
        if (auto healed = store_.heal(Actor::host(), {}); !healed.ok()) return healed.error();
        learning_.upto = {};
      }
      learning_.walk = Learning::Walk{changes->revision, changes->link, Learning::Walk::Part::owners, {}};
    }
    return {};
  }

 private:
  /// Where this process has come to, even if another one has come further: the database may have been put back since.
  journal::Learned known_so_far() { return learning_.upto.ever ? learning_.upto : store_.journal->learned(); }

  /// Empty: the feed does not tell, or is not genuine.
  std::optional<std::vector<seal::ChangedRecord>> named_by_others(const journal::Learned& known,
                                                                  const Changes& changes) {
    auto reading = seal::read_on(store_.sealer->now(), store_.place, known.revision, known.link, changes);
    if (!reading.named) return std::nullopt;
    std::vector<seal::ChangedRecord> named;
    for (const Changes::Entry& entry : changes.entries) {
      if (store_.journal->is_own(entry.revision)) continue;
      auto some = seal::changes_named(entry.text);
      if (!some) return std::nullopt;
      std::move(some->begin(), some->end(), std::back_inserter(named));
    }
    return named;
  }

  Result<void> learn(const std::vector<seal::ChangedRecord>& named, const Changes& upto) {
    for (const seal::ChangedRecord& one : named) {
      if (auto done = learn(one); !done.ok()) return done;
    }
    return finish(upto.revision, upto.link);
  }

  Result<void> learn(const seal::ChangedRecord& one) {
    switch (one.kind) {
      case RecordKind::token: {
        if (!text::is_id(one.key)) return {};
        auto loaded = store_.backend->load_token(store_.workspace, one.key);
        if (!loaded.ok()) return loaded.error();
        return loaded->has_value() ? learn(**loaded) : learn_removed(one.key);
      }
      case RecordKind::owner: {
        auto loaded = store_.backend->load_owner(store_.workspace, one.key);
        if (!loaded.ok()) return loaded.error();
        if (loaded->has_value()) learn(**loaded);
        return {};
      }
      case RecordKind::workspace:
        return learn_workspace();
      case RecordKind::store:
        break;
    }
    return {};
  }

  Result<void> learn(const TokenRecord& record) {
    // Of a first revision there is no earlier state.
    if (record.revision < 2 || is_known(RecordKind::token, record.id, record.revision)) return {};
    if (!store_.sealer->is_genuine(store_.place, record)) return {};
    auto policy = read_policy();
    if (!policy.ok()) return policy.error();
    journal::Entry entry = begun(RecordKind::token, record.id, record.revision);
    entry.owner = record.owner;
    entry.actor = record.revoked_by;
    entry.reason = record.revoke_reason;
    entry.ends_at = record.ends_at();
    const bool was_its_end = record.revision == 2 && record.revoked_at != not_ended && record.expired_at == not_ended;
    entry.until = was_its_end ? record.expires_at : latest_end(**policy, record.created_at, record.expires_at);
    std::string octets;
    if (!rules::was_not_ended(record)) octets = journal::encode_record(record);
    entry.record = octets;
    draft_.add(entry);
    return {};
  }

  Result<void> learn_removed(const std::string& id) {
    if (is_known(RecordKind::token, id, journal::gone)) return {};
    auto policy = read_policy();
    if (!policy.ok()) return policy.error();
    journal::Entry entry = begun(RecordKind::token, id, journal::gone);
    entry.until = latest_end(**policy, text::id_time(id).value_or(latest_time), 0);
    // Purged, most likely.
    if (!journal::can_still_live(entry.until, store_.clock.now())) return {};
    draft_.add(entry);
    return {};
  }

  void learn(const OwnerRecord& record) {
    if (is_known(RecordKind::owner, record.owner, record.revision)) return;
    if (!store_.sealer->is_genuine(store_.place, record)) return;
    journal::Entry entry = begun(RecordKind::owner, record.owner, record.revision);
    entry.actor = record.suspended_by;
    entry.reason = record.suspend_reason;
    const std::string octets = journal::encode_record(record);
    entry.record = octets;
    draft_.add(entry);
  }

  Result<void> learn_workspace() {
    auto loaded = store_.backend->load_workspace(store_.workspace);
    if (!loaded.ok()) return loaded.error();
    if (!loaded->has_value()) return {};
    const WorkspaceRecord& record = **loaded;
    if (record.birth != store_.place.workspace_birth || !store_.sealer->is_genuine(store_.place.store, record))
      return {};
    if (is_known(RecordKind::workspace, store_.workspace, record.revision)) return {};
    journal::Entry entry = begun(RecordKind::workspace, store_.workspace, record.revision);
    const std::string octets = journal::encode_record(record);
    entry.record = octets;
    draft_.add(entry);
    return {};
  }

  /// A slice of everything that has ended.
  Result<void> walk(Learning::Walk& at) {
    using Part = Learning::Walk::Part;
    if (at.part == Part::owners) {
      if (at.from.empty()) {
        if (auto done = learn_workspace(); !done.ok()) return done;
      }
      auto list = store_.backend->list_owners(store_.workspace, at.from, learning_slice);
      if (!list.ok()) return list.error();
      looked_at_ += list->owners.size();
      for (const OwnerRecord& record : list->owners) {
        if (record.revision > 1) learn(record);
      }
      if (auto done = write(at.revision); !done.ok()) return done;
      if (list->more && !list->owners.empty()) {
        at.from = list->owners.back().owner;
        return {};
      }
      at.part = Part::revoked;
      at.from.clear();
      return {};
    }
    TokenQuery query;
    query.state = at.part == Part::revoked ? TokenQuery::State::revoked : TokenQuery::State::expired;
    query.now = store_.clock.now();
    query.before_id = at.from;
    query.limit = learning_slice;
    auto list = store_.list_part(query);
    if (!list.ok()) return list.error();
    looked_at_ += list->tokens.size();
    for (const TokenRecord& record : list->tokens) {
      // What is over by itself needs nobody to remember it.
      const bool by_hand = record.revoked_at != not_ended || record.expired_at != not_ended;
      if (!by_hand) continue;
      if (auto done = learn(record); !done.ok()) return done;
    }
    if (auto done = write(at.revision); !done.ok()) return done;
    at.from = std::move(list->next_before_id);
    if (!at.from.empty()) return {};
    if (at.part == Part::revoked) {
      at.part = Part::expired;
      return {};
    }
    const Learning::Walk whole = *std::exchange(learning_.walk, std::nullopt);
    return finish(whole.revision, whole.link);
  }

  /// From here on the feed is followed.
  Result<void> finish(std::uint64_t revision, const Bytes32& link) {
    journal::Entry entry = begun(RecordKind::workspace, {}, 0);
    entry.restricts = false;
    entry.record = octets_of_link(link);
    draft_.add(entry);
    if (auto done = write(revision); !done.ok()) return done;
    learning_.upto = {revision, link, true};
    store_.journal->forget_own(revision);
    return {};
  }

  Result<void> write(std::uint64_t revision) {
    return store_.journal->append(std::exchange(draft_, journal::Draft()), revision, journal::Whose::others);
  }

  journal::Entry begun(RecordKind kind, std::string_view key, RecordRevision revision) const {
    journal::Entry entry;
    entry.deed = journal::Deed::learned;
    entry.kind = kind;
    entry.restricts = true;
    entry.at = store_.clock.now();
    entry.workspace = store_.workspace;
    entry.key = key;
    entry.revision = revision;
    return entry;
  }

  bool is_known(RecordKind kind, std::string_view key, RecordRevision revision) {
    return store_.journal->least_revision(kind, key).value_or(journal::gone) >= revision;
  }

  Result<const Policy*> read_policy() {
    if (!policy_) {
      auto record = store_.load_workspace();
      if (!record.ok()) return record.error();
      policy_ = rules::policy_of(*record);
    }
    return &*policy_;
  }

  TokenStore::Impl& store_;
  Learning::Place& learning_;
  std::size_t looked_at_ = 0;
  journal::Draft draft_;
  std::optional<Policy> policy_;
};

}  // namespace

journal::Draft TokenStore::Impl::draft(std::span<const Mutation> batch, const Act& act) {
  return Drafting(workspace, clock.now(), act).run(batch);
}

Result<void> TokenStore::Impl::journal_key(const Act& act, std::string_view id) {
  if (!journal) return {};
  const std::string actor = rules::actor_label(act.by);
  journal::Entry entry;
  entry.deed = act.deed;
  entry.kind = RecordKind::store;
  entry.at = clock.now();
  entry.workspace = workspace;
  entry.key = id;
  entry.actor = actor;
  journal::Draft draft;
  draft.waits = true;
  draft.add(entry);
  return journal->append(std::move(draft), 0);
}

Result<void> TokenStore::Impl::settle_journal() {
  if (!journal || journal->settle().ok()) return {};
  const auto why = journal->trouble();
  return Error(Status::not_journaled,
               "the change holds, but is not in the journal: " + (why ? why->message() : "ask again"));
}

Result<void> TokenStore::Impl::learn_from_feed() {
  Learning::Place& own = learning.place();
  const std::unique_lock lock(own.mutex, std::try_to_lock);
  if (!lock) return {};
  // What another process has written already need not be learned again.
  validator.read_journal();
  auto learned = Learner(*this, own).run();
  if (healing_is_due()) {
    if (auto healed = heal(Actor::host(), {}); !healed.ok() && learned.ok()) learned = healed.error();
  }
  auto written = journal->write_waiting();
  if (written.ok()) written = journal->tidy();
  return learned.ok() ? written : learned;
}

}  // namespace tokenstore
