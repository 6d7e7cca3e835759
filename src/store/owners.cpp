/// Owners: settings, suspending and resuming.
#include <fmt/format.h>

#include "store/cursor.hpp"
#include "store/refused_endings.hpp"
#include "store/rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore {

namespace {

/// Reads the owner's record (or starts one), lets `change` alter it, and stores it unless `change`
/// says that it is as it should be.
Result<OwnerInfo> change_owner(TokenStore::Impl& store, const Act& act, std::string_view owner,
                               const std::function<bool(OwnerRecord&)>& change) {
  const Actor& actor = act.by;
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  if (auto good = rules::check_owner_name(owner); !good.ok()) return good.error();
  auto answer = store.retrying<OwnerInfo>([&]() -> Result<OwnerInfo> {
    auto record = store.load_or_start_owner(owner);
    if (!record.ok()) return record.error();
    const bool changed = change(*record);
    OwnerInfo info = rules::describe(*record);
    if (!changed && record->revision != 0) {
      if (auto settled = store.settle_journal(); !settled.ok()) return settled.error();
      return info;
    }
    std::vector<Mutation> batch;
    if (record->revision == 0) {
      // As in an issue: of a record that is new, nothing else says by which key it is to be sealed.
      auto workspace = store.load_workspace();
      // One that denies everything is no reason not to stop somebody.
      if (!workspace.ok() && workspace.status() != Status::tampered) return workspace.error();
      if (workspace.ok()) {
        store.sealer_after(workspace->seal_key_id);
        batch.push_back(Mutation::check(RecordKind::workspace, store.workspace, workspace->revision));
      }
    }
    batch.push_back(store.next_revision(std::move(*record)));
    if (auto done = store.commit(batch, act); !done.ok()) return done.error();
    return info;
  });
  // A record that does not verify denies the owner: everybody has to look.
  if (auto told = store.end_for_others(answer.status(), RecordKind::owner, owner); !told.ok()) return told.error();
  return answer;
}

}  // namespace

Result<OwnerInfo> TokenStore::owner(const Actor& actor, std::string_view owner) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (auto good = rules::check_owner_name(owner); !good.ok()) return good.error();
  if (!rules::may_act_on(actor, owner)) return rules::no_such_owner();
  auto loaded = impl_->load_owner(owner);
  if (!loaded.ok()) return loaded.error();
  if (!loaded->has_value()) return rules::no_such_owner();
  return rules::describe(**loaded);
}

Result<OwnerPage> TokenStore::list_owners(const Actor& actor, std::string_view cursor, std::size_t limit) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  if (limit < 1 || limit > page_max) {
    return Error(Status::invalid_argument, fmt::format("a page holds 1 to {} owners", page_max));
  }
  const auto is_name = [](std::string_view name) { return rules::check_owner_name(name).ok(); };
  auto after = Cursor::key_of(Walk::owners, cursor, is_name);
  if (!after.ok()) return after.error();
  auto list = impl_->backend->list_owners(impl_->workspace, *after, limit);
  if (!list.ok()) return list.error();
  OwnerPage page;
  for (const OwnerRecord& record : list->owners) {
    // Nobody could act on it by its name; check() names it.
    if (!is_name(record.owner)) continue;
    if (impl_->sealer->is_genuine(impl_->place, record)) {
      page.owners.push_back(rules::describe(record));
    } else {
      OwnerInfo info;
      info.owner = record.owner;
      info.settings = {false, false};
      info.tampered = true;
      page.owners.push_back(std::move(info));
    }
  }
  if (list->more && !list->owners.empty()) {
    const std::string& last = list->owners.back().owner;
    page.next = Cursor::behind(Walk::owners, last, is_name(last));
  }
  return page;
}

Result<OwnerInfo> TokenStore::set_owner(const Actor& actor, std::string_view owner, const OwnerSettings& settings) {
  auto answer = change_owner(*impl_, {journal::Deed::owner_set, actor}, owner, [&](OwnerRecord& record) {
    if (record.may_issue == settings.may_issue && record.may_use == settings.may_use) return false;
    record.may_issue = settings.may_issue;
    record.may_use = settings.may_use;
    return true;
  });
  if (answer.ok() || !settings.may_use) {
    remember_stop(impl_->validator.denials(), owner, validate::OwnerStop::may_not_use, answer.status());
  }
  return answer;
}

Result<OwnerInfo> TokenStore::suspend(const Actor& actor, std::string_view owner, std::string_view reason) {
  if (auto good = rules::check_reason(reason); !good.ok()) return good.error();
  const auto stop = [&](OwnerRecord& record) {
    if (record.suspended_at != not_ended) return false;
    record.suspended_at = impl_->clock.now();
    record.suspended_by = rules::actor_label(actor);
    record.suspend_reason = reason;
    return true;
  };
  auto answer = change_owner(*impl_, {journal::Deed::suspended, actor, reason}, owner, stop);
  remember_stop(impl_->validator.denials(), owner, validate::OwnerStop::suspension, answer.status());
  return answer;
}

Result<OwnerInfo> TokenStore::resume(const Actor& actor, std::string_view owner) {
  auto answer = change_owner(*impl_, {journal::Deed::resumed, actor}, owner, [](OwnerRecord& record) {
    if (record.suspended_at == not_ended) return false;
    record.suspended_at = not_ended;
    record.suspended_by.clear();
    record.suspend_reason.clear();
    return true;
  });
  if (answer.ok()) impl_->validator.denials().allow_owner(owner, validate::OwnerStop::suspension);
  return answer;
}

}  // namespace tokenstore
