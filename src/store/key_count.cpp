#include "store/key_count.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "store/rules.hpp"

namespace tokenstore {

namespace {
constexpr std::size_t count_page = 1000;
}  // namespace

Result<void> KeyCount::run() {
  auto store = store_.backend->load_store();
  if (!store.ok()) return store.error();
  if (store->has_value()) count_seal(store_.sealer->verify(**store), (*store)->seal_key_id, {});
  return for_each_workspace(*store_.backend, [this](const WorkspaceRecord& record) { return count_workspace(record); });
}

Result<void> KeyCount::count_workspace(const WorkspaceRecord& record) {
  const Bytes16& id = store_.place.store;
  const seal::SealCheck check = store_.sealer->verify(id, record);
  if (check == seal::SealCheck::tampered) {
    // What it holds cannot be judged: its birth may not be what it was. It denies everything, until it is put right.
    if (denied_ == Denied::left_out) return {};
    return rules::tampered(fmt::format("the record of the workspace \"{}\"", record.workspace));
  }
  count_seal(check, record.seal_key_id, record.workspace);
  const seal::Place place{id, record.workspace, record.birth};
  revoke_all_counts_.clear();
  if (auto done = count_owners(place); !done.ok()) return done;
  return count_tokens(place);
}

Result<void> KeyCount::count_owners(const seal::Place& place) {
  for (std::string after;;) {
    auto list = store_.backend->list_owners(place.workspace, after, count_page);
    if (!list.ok()) return list.error();
    for (const OwnerRecord& record : list->owners) {
      count_seal(store_.sealer->verify(place, record), record.seal_key_id, place.workspace);
      revoke_all_counts_.insert_or_assign(record.owner, record.revoke_all_count);
    }
    done_ += list->owners.size();
    if (!list->more || list->owners.empty()) return {};
    after = list->owners.back().owner;
    if (auto wanted = go_on(); !wanted.ok()) return wanted;
  }
}

Result<void> KeyCount::count_tokens(const seal::Place& place) {
  TokenQuery query;
  query.limit = count_page;
  query.now = store_.clock.now();
  do {
    auto list = store_.list_part(place.workspace, query);
    if (!list.ok()) return list.error();
    for (const TokenRecord& record : list->tokens) count_token(place, record, query.now);
    done_ += list->tokens.size();
    if (auto wanted = go_on(); !wanted.ok()) return wanted;
    query.before_id = std::move(list->next_before_id);
  } while (!query.before_id.empty());
  return {};
}

void KeyCount::count_token(const seal::Place& place, const TokenRecord& record, UnixMillis now) {
  const seal::SealCheck check = store_.sealer->verify(place, record);
  if (check == seal::SealCheck::tampered) return;
  ++keys_[record.seal_key_id].seals;
  if (record.key_id != record.seal_key_id) {
    Of& seal = keys_[record.seal_key_id];
    ++seal.outliving;
    seal.workspace = place.workspace;
  }
  // An owner who came, or revoked all, after the owners were read: rather one too many that lives.
  const auto owner = revoke_all_counts_.find(record.owner);
  const std::uint64_t known = owner == revoke_all_counts_.end() ? 0 : owner->second;
  const bool living = rules::is_living(record, std::max(known, record.revoke_all_count), now);
  if (living && store_.sealer->now().key_use(record.key_id) != KeyUse::retired) ++keys_[record.key_id].living_tokens;
}

void KeyCount::count_seal(seal::SealCheck check, const std::string& key_id, const std::string& workspace) {
  if (check == seal::SealCheck::tampered) return;
  Of& seal = keys_[key_id];
  ++seal.seals;
  ++seal.outliving;
  seal.workspace = workspace;
}

Result<void> KeyCount::go_on() {
  if (!progress_ || progress_(done_, 0)) return {};
  return Error(Status::conflict, "counting was stopped before its end");
}

}  // namespace tokenstore
