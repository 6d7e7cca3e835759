/// Ending tokens: expire, revoke, revoke all, delete.
#include <algorithm>

#include "store/rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore {

namespace {

/// An ending that was asked for holds in this process at once, even if storage could not be told; once
/// storage knows, it need not be remembered here.
void remember_ending(validate::Denials& denials, std::string_view id, Status status) {
  if (status == Status::ok || status == Status::not_found) {
    denials.allow_token(id);
  } else if (rules::storage_was_not_told(status)) {
    denials.deny_token(id);
  }
}

constexpr std::size_t revoke_slice = 500;

/// Revokes up to a slice of an owner's tokens in one state. Returns how many; `conflict` if one of
/// them was changed meanwhile.
Result<std::uint64_t> revoke_some(TokenStore::Impl& store, const TokenQuery& query, const Actor& actor,
                                  std::string_view reason, std::string& next) {
  auto list = store.list_part(query);
  if (!list.ok()) return list.error();
  std::vector<Mutation> batch;
  std::vector<std::string> ids;
  for (TokenRecord& record : list->tokens) {
    // A record that does not verify is denied already, and a seal must not bless it.
    if (store.sealer->verify(store.workspace, record) != seal::SealCheck::genuine) continue;
    if (record.owner != query.owner || record.revoked_at != not_ended) continue;
    ids.push_back(record.id);
    record.revoked_at = query.now;
    record.revoked_by = rules::actor_label(actor);
    record.revoke_reason = reason;
    batch.push_back(store.next_revision(std::move(record)));
  }
  if (!batch.empty()) {
    auto done = store.commit(batch);
    for (const std::string& id : ids) remember_ending(store.validator.denials(), id, done.status());
    if (!done.ok()) return done.error();
  }
  next = list->next_before_id;
  return batch.size();
}

}  // namespace

Result<TokenInfo> TokenStore::expire(const Actor& actor, std::string_view id, std::optional<UnixMillis> at) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  bool ends_now = false;
  auto answer = impl_->retrying<TokenInfo>([&]() -> Result<TokenInfo> {
    auto record = impl_->load_visible_token(actor, id);
    if (!record.ok()) return record.error();
    const UnixMillis now = impl_->clock.now();
    const UnixMillis end = std::max(at.value_or(now), now);
    ends_now = end == now;
    const TokenState state = rules::state_at(*record, now);
    if (at && *at > record->expires_at) {
      return Error(Status::invalid_argument,
                   "the new end is later than the token's; an end can only be brought forward");
    }
    if (at && *at > latest_time && *at != record->expires_at) {
      return Error(Status::invalid_argument, "the new end is after the year 9999; give an earlier one");
    }
    if (state == TokenState::revoked || state == TokenState::expired || end == record->expires_at) {
      return rules::describe(*record, now);
    }
    record->expires_at = end;
    TokenInfo info = rules::describe(*record, now);
    const Mutation batch[] = {impl_->next_revision(std::move(*record))};
    if (auto done = impl_->commit(batch); !done.ok()) return done.error();
    return info;
  });
  if (ends_now) remember_ending(impl_->validator.denials(), id, answer.status());
  return answer;
}

Result<TokenInfo> TokenStore::revoke(const Actor& actor, std::string_view id, std::string_view reason) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (auto good = rules::check_reason(reason); !good.ok()) return good.error();
  bool may_end = false;
  auto answer = impl_->retrying<TokenInfo>([&]() -> Result<TokenInfo> {
    auto record = impl_->load_visible_token(actor, id);
    if (!record.ok()) return record.error();
    may_end = true;
    const UnixMillis now = impl_->clock.now();
    if (record->revoked_at != not_ended) return rules::describe(*record, now);
    record->revoked_at = now;
    record->revoked_by = rules::actor_label(actor);
    record->revoke_reason = reason;
    TokenInfo info = rules::describe(*record, now);
    const Mutation batch[] = {impl_->next_revision(std::move(*record))};
    if (auto done = impl_->commit(batch); !done.ok()) return done.error();
    return info;
  });
  // Only for who was seen to be allowed: an unreadable record tells nobody whose token it is.
  if (may_end || actor.kind() != Actor::Kind::user) {
    remember_ending(impl_->validator.denials(), id, answer.status());
  }
  return answer;
}

Result<std::uint64_t> TokenStore::revoke_all(const Actor& actor, std::string_view owner, std::string_view reason) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (auto good = rules::check_owner_name(owner); !good.ok()) return good.error();
  if (auto good = rules::check_reason(reason); !good.ok()) return good.error();
  if (!rules::may_act_on(actor, owner)) return rules::no_such_owner();

  // First the owner's record, so that an issue under way cannot commit behind the list that follows.
  auto fenced = impl_->retrying<bool>([&]() -> Result<bool> {
    auto record = impl_->load_or_start_owner(owner);
    if (!record.ok()) return record.error();
    if (record->revision == 0) return false;
    ++record->revoke_all_count;
    const Mutation batch[] = {impl_->next_revision(std::move(*record))};
    if (auto done = impl_->commit(batch); !done.ok()) return done.error();
    return true;
  });
  if (!fenced.ok()) return fenced.error();
  if (!*fenced) return rules::no_such_owner();

  std::uint64_t revoked = 0;
  // One time for both: what is pending in the first list must not become active before the second.
  const UnixMillis now = impl_->clock.now();
  for (const auto state : {TokenQuery::State::active, TokenQuery::State::pending}) {
    TokenQuery query;
    query.owner = owner;
    query.state = state;
    query.now = now;
    query.limit = revoke_slice;
    do {
      std::string next;
      auto some = impl_->retrying<std::uint64_t>([&] { return revoke_some(*impl_, query, actor, reason, next); });
      if (!some.ok()) return some.error();
      revoked += *some;
      query.before_id = std::move(next);
    } while (!query.before_id.empty());
  }
  return revoked;
}

Result<void> TokenStore::remove(const Actor& actor, std::string_view id) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (!text::is_id(id)) return rules::no_such_token();
  bool may_end = actor.kind() != Actor::Kind::user;
  const auto answer = impl_->retrying<bool>([&]() -> Result<bool> {
    auto loaded = impl_->backend->load_token(impl_->workspace, id);
    if (!loaded.ok()) return loaded.error();
    // A record that does not verify can be deleted too: that is the way to be rid of it.
    if (!loaded->has_value() || !rules::may_act_on(actor, (*loaded)->owner)) return rules::no_such_token();
    // Whose the token is can only be believed of the record that was asked for.
    if ((*loaded)->id != id) return rules::tampered("the record of this token");
    may_end = true;
    const Mutation batch[] = {Mutation::remove_token(std::string(id), (*loaded)->revision)};
    if (auto done = impl_->commit(batch); !done.ok()) return done.error();
    return true;
  });
  if (may_end) remember_ending(impl_->validator.denials(), id, answer.status());
  if (!answer.ok()) return answer.error();
  return {};
}

}  // namespace tokenstore
