/// The keys of an open store: what hangs on each, and changing them while everybody works.
#include <fmt/format.h>

#include "store/key_count.hpp"
#include "store/rules.hpp"

namespace tokenstore {

namespace {

/// Whoever may change keys, on a store that can be written.
Result<void> may_change_keys(const TokenStore::Impl& store, const Actor& actor) {
  if (auto good = rules::require_host(actor); !good.ok()) return good;
  if (store.backend->read_only()) {
    return Error(Status::read_only, "the store is open for reading only; open it for writing");
  }
  if (!store.sealer->can_change()) {
    return Error(Status::unsupported,
                 "this store was opened with keys that nothing can change; open it with a key file");
  }
  return {};
}

/// Changes the key file, and has this process take what it holds then.
Result<void> replace_keys(TokenStore::Impl& store, const std::function<Result<void>(Keyring&)>& change) {
  if (auto done = store.sealer->source()->replace(change); !done.ok()) return done;
  if (auto taken = store.sealer->reload(); !taken.ok()) return taken.error();
  return {};
}

/// A commit in a workspace of the store, perhaps not the one that is open.
Result<void> commit_in(TokenStore::Impl& store, const seal::Place& place, std::span<const Mutation> batch) {
  seal::SealedAnnouncement announcement(store.sealer->now(), place);
  announcement.name_changes(batch);
  announcement.name(RecordKind::store, {});
  return TokenStore::Impl::outcome_of(store.backend->commit(place.workspace, batch, &announcement));
}

seal::Place place_of(const TokenStore::Impl& store, const WorkspaceRecord& record) {
  return {store.place.store, record.workspace, record.birth};
}

/// Has every process look at its keys, whatever workspace it has open.
Result<void> tell_everybody(TokenStore::Impl& store) {
  return for_each_workspace(*store.backend, [&](const WorkspaceRecord& record) -> Result<void> {
    // One that was tampered with denies everything, and has no place that could be believed.
    if (!store.sealer->is_genuine(store.place.store, record)) return {};
    return commit_in(store, place_of(store, record), {});
  });
}

/// Seals the store's record under the active key, unless it is.
Result<void> seal_store_anew(TokenStore::Impl& store) {
  const Actor host = Actor::host();
  auto done = store.retrying<bool>([&]() -> Result<bool> {
    auto loaded = store.backend->load_store();
    if (!loaded.ok()) return loaded.error();
    if (!loaded->has_value()) return true;
    StoreRecord& record = **loaded;
    const seal::Sealer& sealer = store.sealer->now();
    if (record.seal_key_id == sealer.active_key_id() || store.sealer->verify(record) != seal::SealCheck::genuine) {
      return true;
    }
    const Mutation batch[] = {store.next_revision(std::move(record))};
    const Act act{journal::Deed::resealed, host};
    if (auto committed = store.commit(batch, act); !committed.ok()) return committed.error();
    return true;
  });
  if (!done.ok()) return done.error();
  return {};
}

/// Writes a workspace's record again, whatever key it is under: an issue that is under way goes by its revision, loses
/// against this, and takes the keys of now.
Result<void> overtake(TokenStore::Impl& store, const std::string& workspace) {
  auto done = store.retrying<bool>([&]() -> Result<bool> {
    // What was put back must not get a revision that the journal takes for the present one.
    const RecordRevision least =
        workspace == store.workspace ? store.least_revision(RecordKind::workspace, workspace) : 0;
    auto loaded = store.backend->load_workspace(workspace);
    if (!loaded.ok()) return loaded.error();
    if (!loaded->has_value() || !store.sealer->is_genuine(store.place.store, **loaded)) return true;
    WorkspaceRecord& record = **loaded;
    if (record.revision < least) return true;
    const seal::Place place = place_of(store, record);
    const Mutation batch[] = {store.next_revision(std::move(record))};
    if (auto committed = commit_in(store, place, batch); !committed.ok()) return committed.error();
    return true;
  });
  if (!done.ok()) return done.error();
  return {};
}

Result<KeyCount::Of> count_of(TokenStore::Impl& store, std::string_view id, KeyCount::Denied denied) {
  const Progress silent;
  KeyCount counted(store, denied, silent);
  if (auto done = counted.run(); !done.ok()) return done.error();
  return counted.of(id);
}

/// What another process has put into the key file counts. `refused` if this is the active key.
Result<void> look_at_leaving_key(TokenStore::Impl& store, std::string_view id) {
  if (auto taken = store.sealer->reload(); !taken.ok()) return taken.error();
  const auto use = store.sealer->now().key_use(id);
  if (!use) return Error(Status::not_found, "there is no key of this id in the keyring; list them");
  if (*use == KeyUse::active) {
    return Error(Status::refused, fmt::format("key {} is the active one; activate another one first", id));
  }
  // A journal that begins under this key could not be read without it.
  return store.journal ? store.journal->tidy() : Result<void>();
}

}  // namespace

Result<std::vector<KeyStatus>> TokenStore::key_status(const Actor& actor, const Progress& progress) {
  if (auto good = rules::require_host(actor); !good.ok()) return good.error();
  impl_->sealer->look(impl_->sealer->now());
  KeyCount counted(*impl_, KeyCount::Denied::refused, progress);
  if (auto done = counted.run(); !done.ok()) return done.error();
  const seal::Sealer& sealer = impl_->sealer->now();
  std::vector<KeyStatus> keys;
  for (const auto& [id, use] : sealer.keys()) {
    const KeyCount::Of of = counted.of(id);
    keys.push_back({id, use, of.seals, of.living_tokens});
  }
  for (const auto& [id, of] : counted.keys()) {
    if (!sealer.key_use(id)) keys.push_back({id, std::nullopt, of.seals, of.living_tokens});
  }
  return keys;
}

Result<std::string> TokenStore::add_key(const Actor& actor) {
  if (auto good = may_change_keys(*impl_, actor); !good.ok()) return good.error();
  std::string id;
  auto done = replace_keys(*impl_, [&](Keyring& keyring) -> Result<void> {
    auto added = keyring.add_new(*impl_->random);
    if (!added.ok()) return added.error();
    id = *std::move(added);
    return {};
  });
  if (!done.ok()) return done.error();
  if (auto told = tell_everybody(*impl_); !told.ok()) return told.error();
  if (auto noted = impl_->journal_key({journal::Deed::key_added, actor}, id); !noted.ok()) return noted.error();
  return id;
}

Result<void> TokenStore::activate_key(const Actor& actor, std::string_view id) {
  if (auto good = may_change_keys(*impl_, actor); !good.ok()) return good.error();
  auto done = replace_keys(*impl_, [&](Keyring& keyring) { return keyring.activate(id); });
  if (!done.ok()) return done;
  if (auto sealed = seal_store_anew(*impl_); !sealed.ok()) return sealed;
  auto overtaken = for_each_workspace(
      *impl_->backend, [&](const WorkspaceRecord& record) { return overtake(*impl_, record.workspace); });
  if (!overtaken.ok()) return overtaken;
  return impl_->journal_key({journal::Deed::key_activated, actor}, id);
}

Result<void> TokenStore::retire_key(const Actor& actor, std::string_view id) {
  if (auto good = may_change_keys(*impl_, actor); !good.ok()) return good.error();
  if (auto good = look_at_leaving_key(*impl_, id); !good.ok()) return good;
  // Retired already: told again, in case somebody has not been.
  if (impl_->sealer->now().key_use(id) != KeyUse::retired) {
    // A key that leaked must be retired, whatever somebody has done to storage.
    auto of = count_of(*impl_, id, KeyCount::Denied::left_out);
    if (!of.ok()) return of.error();
    if (of->outliving != 0) {
      return Error(Status::refused, fmt::format("key {} seals {} records that outlive it, some in workspace '{}'; seal "
                                                "every workspace anew first",
                                                id, of->outliving, of->workspace));
    }
    auto done = replace_keys(*impl_, [&](Keyring& keyring) { return keyring.retire(id); });
    if (!done.ok()) return done;
  }
  if (auto told = tell_everybody(*impl_); !told.ok()) return told;
  return impl_->journal_key({journal::Deed::key_retired, actor}, id);
}

Result<void> TokenStore::remove_key(const Actor& actor, std::string_view id) {
  if (auto good = may_change_keys(*impl_, actor); !good.ok()) return good.error();
  if (auto good = look_at_leaving_key(*impl_, id); !good.ok()) return good;
  // A workspace that is put right later may need it.
  auto of = count_of(*impl_, id, KeyCount::Denied::refused);
  if (!of.ok()) return of.error();
  if (of->seals != 0 || of->living_tokens != 0) {
    return Error(Status::refused,
                 fmt::format("{} records and {} living tokens hang on key {}; seal every workspace anew "
                             "and let its tokens end, or retire it, first",
                             of->seals, of->living_tokens, id));
  }
  auto done = replace_keys(*impl_, [&](Keyring& keyring) { return keyring.remove(id); });
  if (!done.ok()) return done;
  if (auto told = tell_everybody(*impl_); !told.ok()) return told;
  return impl_->journal_key({journal::Deed::key_removed, actor}, id);
}

Result<bool> TokenStore::reload_keys() {
  return impl_->sealer->reload();
}

}  // namespace tokenstore
