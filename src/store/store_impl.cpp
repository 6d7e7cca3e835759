#include "store/store_impl.hpp"

#include <algorithm>

#include "store/rules.hpp"

namespace tokenstore {

namespace {

constexpr std::chrono::milliseconds upkeep_budget{50};

template <typename T>
std::shared_ptr<T> or_else(std::shared_ptr<T> given, std::shared_ptr<T> (*make)()) {
  return given ? std::move(given) : make();
}

}  // namespace

TokenStore::Impl::Impl(std::shared_ptr<Backend> storage, std::unique_ptr<seal::LiveSealer> seals, seal::Place where,
                       StoreOptions options)
    : backend(std::move(storage)),
      sealer(std::move(seals)),
      random(or_else(std::move(options.random), system_random)),
      clock(or_else(std::move(options.clock), system_clock)),
      place(std::move(where)),
      prefix(std::move(options.prefix)),
      validator({*backend, *sealer, clock, *random, place, prefix, journal, options.cache_bytes, options.use_interval,
                 [this] {
                   if (upkeep) start_upkeep(upkeep_pause);
                 }}) {
  const auto fits = [this](const seal::Sealer& others) -> Result<bool> {
    const auto store = backend->load_store();
    if (!store.ok()) return store.error();
    if (!store->has_value()) return false;
    const seal::SealCheck check = others.verify(**store);
    // A retired key is this store's too.
    return check == seal::SealCheck::genuine || check == seal::SealCheck::retired_key;
  };
  sealer->watch(fits, [this] { validator.keys_changed(); });
}

const seal::Sealer& TokenStore::Impl::sealer_after(std::string_view sealed_with) noexcept {
  const seal::Sealer& known = sealer->now();
  if (sealed_with.empty() || sealed_with == known.active_key_id()) return known;
  sealer->look(known);
  return sealer->now();
}

Result<WorkspaceRecord> TokenStore::Impl::load_workspace() {
  const RecordRevision least = least_revision(RecordKind::workspace, workspace);
  auto loaded = backend->load_workspace(workspace);
  if (!loaded.ok()) return loaded.error();
  if (!loaded->has_value()) return rules::tampered("the record of this workspace is missing: the store");
  WorkspaceRecord& record = **loaded;
  if (record.workspace != workspace || record.birth != place.workspace_birth ||
      !sealer->is_genuine(place.store, record)) {
    return rules::tampered("the record of this workspace");
  }
  if (record.revision < least) return met_rolled_back("the record of this workspace");
  return std::move(record);
}

Result<std::optional<OwnerRecord>> TokenStore::Impl::load_owner(std::string_view owner) {
  const RecordRevision least = least_revision(RecordKind::owner, owner);
  auto loaded = backend->load_owner(workspace, owner);
  if (!loaded.ok()) return loaded;
  if (!loaded->has_value()) {
    if (least != 0) return met_rolled_back("the record of this owner");
    return loaded;
  }
  const OwnerRecord& record = **loaded;
  if (record.owner != owner || !sealer->is_genuine(place, record)) {
    return rules::tampered("the record of this owner");
  }
  if (record.revision < least) return met_rolled_back("the record of this owner");
  return loaded;
}

Result<OwnerRecord> TokenStore::Impl::load_or_start_owner(std::string_view owner) {
  auto loaded = load_owner(owner);
  if (!loaded.ok()) return loaded.error();
  if (loaded->has_value()) return std::move(**loaded);
  OwnerRecord fresh;
  fresh.owner = owner;
  fresh.birth = new_birth();
  return fresh;
}

Result<TokenRecord> TokenStore::Impl::load_visible_token(const Actor& actor, std::string_view id) {
  if (!text::is_id(id)) return rules::no_such_token();
  auto loaded = backend->load_token(workspace, id);
  if (!loaded.ok()) return loaded.error();
  if (!loaded->has_value()) return rules::no_such_token();
  TokenRecord& record = **loaded;
  // Before the seal: a user learns nothing of a record that does not even claim to be theirs.
  if (!rules::may_act_on(actor, record.owner)) return rules::no_such_token();
  if (record.id != id || !sealer->is_genuine(place, record)) {
    return rules::tampered("the record of this token");
  }
  return std::move(record);
}

Result<TokenList> TokenStore::Impl::list_part(std::string_view of_workspace, const TokenQuery& query) {
  auto list = backend->list_tokens(of_workspace, query);
  if (list.ok() && !query.before_id.empty() && list->next_before_id >= query.before_id) {
    return Error(Status::internal, "the storage backend lists the same tokens again and again; it must be repaired");
  }
  return list;
}

namespace {

/// `where`: what the seal of such a record covers besides.
template <typename Record, typename... Where>
Mutation sealed_anew(const seal::Sealer& sealer, Record record, const Where&... where) {
  const RecordRevision expected = record.revision++;
  sealer.seal(where..., record);
  return Mutation::put(std::move(record), expected);
}

}  // namespace

Mutation TokenStore::Impl::next_revision(TokenRecord record) {
  const seal::Sealer& keys = sealer_after(record.seal_key_id);
  return sealed_anew(keys, std::move(record), place);
}
Mutation TokenStore::Impl::next_revision(OwnerRecord record) {
  const seal::Sealer& keys = sealer_after(record.seal_key_id);
  return sealed_anew(keys, std::move(record), place);
}
Mutation TokenStore::Impl::next_revision(WorkspaceRecord record) {
  const seal::Sealer& keys = sealer_after(record.seal_key_id);
  return sealed_anew(keys, std::move(record), place.store);
}
Mutation TokenStore::Impl::next_revision(StoreRecord record) {
  const seal::Sealer& keys = sealer_after(record.seal_key_id);
  return sealed_anew(keys, std::move(record));
}

Bytes16 TokenStore::Impl::new_birth() const {
  Bytes16 birth;
  random->fill(birth);
  return birth;
}

Result<void> TokenStore::Impl::commit(std::span<const Mutation> batch, const Act& act) {
  seal::SealedAnnouncement announcement(sealer->now(), place);
  announcement.name_changes(batch);
  return commit(batch, &announcement, &act);
}

Result<void> TokenStore::Impl::commit_unannounced(std::span<const Mutation> batch, const Act& act) {
  return commit(batch, nullptr, &act);
}

Result<void> TokenStore::Impl::announce(RecordKind kind, std::string_view key) {
  seal::SealedAnnouncement announcement(sealer->now(), place);
  announcement.name(kind, key);
  return commit({}, &announcement, nullptr);
}

Result<void> TokenStore::Impl::commit(std::span<const Mutation> batch, const seal::SealedAnnouncement* announcement,
                                      const Act* act) {
  if (backend->read_only()) return Error(Status::read_only, "the store is open for reading only; open it for writing");
  // Before the commit: behind it nothing may fail for lack of memory.
  journal::Draft entries;
  if (journal && act != nullptr) entries = draft(batch, *act);
  const CommitResult done = backend->commit(workspace, batch, announcement);
  // Before the caller is told, and whether or not the backend's pulse moves.
  const bool committed = done.outcome == CommitOutcome::committed;
  if (committed || done.outcome == CommitOutcome::unknown) {
    const std::string_view entry = announcement != nullptr ? announcement->entry() : std::string_view();
    validator.committed(batch, entry, committed ? done.revision : 0);
  }
  if (!committed || entries.empty()) return outcome_of(done);
  return journal->append(std::move(entries), announcement != nullptr ? done.revision : 0);
}

Result<void> TokenStore::Impl::outcome_of(const CommitResult& done) {
  switch (done.outcome) {
    case CommitOutcome::committed:
      return {};
    case CommitOutcome::conflict:
      return Error(Status::conflict, "somebody else changed the same record at the same time; ask again");
    case CommitOutcome::unknown:
      return Error(Status::unknown, done.error
                                        ? done.error->message()
                                        : "storage failed while committing; read to find out whether it happened");
    case CommitOutcome::failed:
      break;
  }
  // A backend that fails in a way it has no word for must not look like "committed" or "conflict".
  const bool worded = done.error && done.error->status() != Status::ok && done.error->status() != Status::conflict;
  return worded ? *done.error : Error(Status::unavailable, "storage failed; nothing was changed");
}

Result<TokenStore::Impl::Left> TokenStore::Impl::maintain(std::chrono::milliseconds budget) {
  sealer->look(sealer->now(), seal::LiveSealer::Ask::by_mark);
  if (backend->read_only()) return Left{};
  budget = std::clamp(budget, std::chrono::milliseconds(0), longest_budget);
  const std::int64_t start = clock.monotonic();
  auto uses = validator.write_due_uses(budget);
  // A failure shows in the statistics and is tried again at the next turn.
  if (journal) static_cast<void>(learn_from_feed().ok());
  // The backend's turn comes in any case: a lease may depend on it.
  const std::chrono::milliseconds spent(clock.monotonic() - start);
  auto rest = backend->maintain(budget - std::min(budget, spent));
  if (!uses.ok() || !rest.ok()) return uses.ok() ? rest.error() : uses.error();
  return Left{*uses, *rest};
}

void TokenStore::Impl::start_upkeep(std::chrono::milliseconds pause) {
  upkeep_pause = pause;
  upkeep = std::make_unique<UpkeepThread>(pause, [this] {
    try {
      // A failure shows in the statistics and is tried again at the next turn.
      const auto left = maintain(upkeep_budget);
      // What storage leaves (somebody still reads the log) is not done sooner by asking more often.
      return left.ok() && left->uses;
    } catch (...) {
      return false;  // no memory now, perhaps at the next turn
    }
  });
}

}  // namespace tokenstore
