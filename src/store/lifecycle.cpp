/// Ending tokens: expire, revoke, revoke all, delete.
#include <algorithm>

#include "store/refused_endings.hpp"
#include "store/rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore {

namespace {

enum class Ends : std::uint8_t { at_once, later };

/// What all endings of one token have in common: tries until nobody was faster, and sees to it that afterwards nobody
/// accepts the token, whatever the attempt met. `attempt` loads the record by the function that it is given.
template <typename T>
Result<T> end_token(TokenStore::Impl& store, const Actor& actor, std::string_view id, Ends ends,
                    const std::function<Result<T>(TokenRecord&)>& attempt) {
  // Only for who was seen to be allowed: a record that cannot be read tells nobody whose token it is.
  bool allowed = actor.kind() != Actor::Kind::user;
  Result<T> answer = store.retrying<T>([&]() -> Result<T> {
    auto record = store.load_visible_token(actor, id);
    allowed = allowed || record.ok() || record.status() == Status::tampered;
    if (!record.ok()) return record.error();
    return attempt(*record);
  });
  if (!text::is_id(id)) return answer;
  if (!allowed) {
    if (ends == Ends::at_once) remember_unread_ending(store.validator.denials(), id, actor, answer.status());
    return answer;
  }
  const auto told = store.end_for_others(answer.status(), RecordKind::token, id);
  if (ends == Ends::at_once) {
    remember_ending(store.validator.denials(), id, told.ok() ? answer.status() : told.status());
  }
  if (!told.ok()) return told.error();
  return answer;
}

constexpr std::size_t revoke_slice = 500;

/// What "revoke all" has ended already by its count gets its mark, so that lists show it. Of the tokens that this
/// host's clock holds for expired, the latest too: another's clock may be behind.
constexpr std::int64_t clocks_may_differ = millis_per_day;

/// Marks up to a slice of an owner's tokens in one state. Returns how many had not ended; `conflict` if one of
/// them was changed meanwhile.
Result<std::uint64_t> revoke_some(TokenStore::Impl& store, const TokenQuery& query, UnixMillis now, const Actor& actor,
                                  std::string_view reason, std::string& next) {
  auto list = store.list_part(query);
  if (!list.ok()) return list.error();
  std::vector<Mutation> batch;
  std::vector<std::string> ids;
  std::uint64_t living = 0;
  for (TokenRecord& record : list->tokens) {
    // A record that does not verify is denied already, and a seal must not bless it.
    if (!store.sealer->is_genuine(store.place, record)) continue;
    if (record.owner != query.owner || record.revoked_at != not_ended) continue;
    if (rules::state_at(record, now) != TokenState::expired) ++living;
    ids.push_back(record.id);
    record.revoked_at = now;
    record.revoked_by = rules::actor_label(actor);
    record.revoke_reason = reason;
    batch.push_back(store.next_revision(std::move(record)));
  }
  if (!batch.empty()) {
    auto done = store.commit(batch, {journal::Deed::revoked, actor, reason});
    for (const std::string& id : ids) remember_ending(store.validator.denials(), id, done.status());
    if (!done.ok()) return done.error();
  }
  next = list->next_before_id;
  return living;
}

/// An owner without a record may have had one, and tokens that somebody remembers. A name is only written down if it
/// stands in a token already: it may be anything, even a token that was given in its place. Else everybody looks at
/// everything, which a user must not be able to bring about.
Result<void> forget_missing_owner(TokenStore::Impl& store, const Actor& actor, std::string_view owner) {
  TokenQuery any;
  any.owner = owner;
  any.limit = 1;
  auto tokens = store.list_part(any);
  if (!tokens.ok()) return tokens.error();
  if (!tokens->tokens.empty()) return store.announce(RecordKind::owner, owner);
  if (actor.kind() == Actor::Kind::user) return {};
  return store.announce(RecordKind::workspace, store.workspace);
}

}  // namespace

Result<TokenInfo> TokenStore::expire(const Actor& actor, std::string_view id, std::optional<UnixMillis> at) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  const Ends ends = !at || *at <= impl_->clock.now() ? Ends::at_once : Ends::later;
  return end_token<TokenInfo>(*impl_, actor, id, ends, [&](TokenRecord& record) -> Result<TokenInfo> {
    const UnixMillis now = impl_->clock.now();
    if (at && *at > record.expires_at) {
      return Error(Status::invalid_argument,
                   "the new end is later than the token's; an end can only be brought forward");
    }
    if (at && *at > latest_time && *at != record.expires_at) {
      return Error(Status::invalid_argument, "the new end is after the year 9999; give an earlier one");
    }
    if (record.revoked_at != not_ended || record.expired_at != not_ended) {
      if (auto settled = impl_->settle_journal(); !settled.ok()) return settled.error();
      return rules::describe(record, now);
    }
    const UnixMillis ended_at = record.expires_at;
    if (ends == Ends::at_once) {
      // Marked as ended, also if it is over by this host's clock: another's may be behind.
      record.expired_at = now;
      record.expires_at = std::min(record.expires_at, now);
    } else {
      if (record.expires_at <= now || *at == record.expires_at) return rules::describe(record, now);
      // What was put back may have ended: its next revision must not be one that can still be used.
      if (const auto least = impl_->least_revision(RecordKind::token, id); record.revision < least) {
        auto again = impl_->load_visible_token(actor, id);
        if (!again.ok()) return again.error();
        if (again->revision < least) return impl_->met_rolled_back("the record of this token");
        return Error(Status::conflict, "the token was changed at the same time; ask again");
      }
      record.expires_at = *at;
    }
    TokenInfo info = rules::describe(record, now);
    const Mutation batch[] = {impl_->next_revision(std::move(record))};
    const Act act{journal::Deed::expired, actor, {}, ended_at};
    if (auto done = impl_->commit(batch, act); !done.ok()) return done.error();
    return info;
  });
}

Result<TokenInfo> TokenStore::revoke(const Actor& actor, std::string_view id, std::string_view reason) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (auto good = rules::check_reason(reason); !good.ok()) return good.error();
  return end_token<TokenInfo>(*impl_, actor, id, Ends::at_once, [&](TokenRecord& record) -> Result<TokenInfo> {
    const UnixMillis now = impl_->clock.now();
    if (record.revoked_at != not_ended) {
      if (auto settled = impl_->settle_journal(); !settled.ok()) return settled.error();
      return rules::describe(record, now);
    }
    record.revoked_at = now;
    record.revoked_by = rules::actor_label(actor);
    record.revoke_reason = reason;
    TokenInfo info = rules::describe(record, now);
    const Mutation batch[] = {impl_->next_revision(std::move(record))};
    if (auto done = impl_->commit(batch, {journal::Deed::revoked, actor, reason}); !done.ok()) return done.error();
    return info;
  });
}

Result<std::uint64_t> TokenStore::revoke_all(const Actor& actor, std::string_view owner, std::string_view reason) {
  if (auto good = rules::check_actor(actor); !good.ok()) return good.error();
  if (auto good = rules::check_owner_name(owner); !good.ok()) return good.error();
  if (auto good = rules::check_reason(reason); !good.ok()) return good.error();
  if (!rules::may_act_on(actor, owner)) return rules::no_such_owner();

  // The owner's record counts, and every token of theirs knows the count it was issued under: with this commit all of
  // them have ended, whatever their own records or anybody's clock say, and an issue under way cannot commit behind it.
  auto ended = impl_->retrying<bool>([&]() -> Result<bool> {
    auto record = impl_->load_owner(owner);
    if (!record.ok()) return record.error();
    if (!record->has_value()) return rules::no_such_owner();
    ++(*record)->revoke_all_count;
    const Mutation batch[] = {impl_->next_revision(std::move(**record))};
    if (auto done = impl_->commit(batch, {journal::Deed::all_revoked, actor, reason}); !done.ok()) return done.error();
    return true;
  });
  const auto told = ended.status() == Status::not_found
                        ? forget_missing_owner(*impl_, actor, owner)
                        : impl_->end_for_others(ended.status(), RecordKind::owner, owner);
  // What is issued until it succeeds is denied here too: nobody can tell which came first.
  remember_stop(impl_->validator.denials(), owner, validate::OwnerStop::revoke_all,
                told.ok() ? ended.status() : told.status());
  if (!told.ok()) return told.error();
  if (!ended.ok()) return ended.error();

  std::uint64_t revoked = 0;
  // One time for both: what is pending in the first list must not become active before the second.
  const UnixMillis now = impl_->clock.now();
  for (const auto state : {TokenQuery::State::active, TokenQuery::State::pending}) {
    TokenQuery query;
    query.owner = owner;
    query.state = state;
    query.now = now - std::min(clocks_may_differ, now);
    query.limit = revoke_slice;
    do {
      std::string next;
      auto some = impl_->retrying<std::uint64_t>([&] { return revoke_some(*impl_, query, now, actor, reason, next); });
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
  bool allowed = actor.kind() != Actor::Kind::user;
  auto answer = impl_->retrying<bool>([&]() -> Result<bool> {
    auto loaded = impl_->backend->load_token(impl_->workspace, id);
    if (!loaded.ok()) return loaded.error();
    // A record that does not verify can be deleted too: that is the way to be rid of it.
    if (!loaded->has_value() || !rules::may_act_on(actor, (*loaded)->owner)) return rules::no_such_token();
    // Whose the token is can only be believed of the record that was asked for.
    if ((*loaded)->id != id) return rules::tampered("the record of this token");
    allowed = true;
    const Mutation batch[] = {Mutation::remove_token(std::string(id), (*loaded)->revision)};
    // Whether the record is genuine or not: an earlier state of it might be.
    const bool genuine = impl_->sealer->is_genuine(impl_->place, **loaded);
    const Act act{journal::Deed::removed, actor, {}, genuine ? (*loaded)->expires_at : never, (*loaded)->owner};
    if (auto done = impl_->commit(batch, act); !done.ok()) return done.error();
    return true;
  });
  if (allowed) {
    const auto told = impl_->end_for_others(answer.status(), RecordKind::token, id);
    remember_ending(impl_->validator.denials(), id, told.ok() ? answer.status() : told.status());
    if (!told.ok()) return told.error();
  } else {
    remember_unread_ending(impl_->validator.denials(), id, actor, answer.status());
  }
  if (!answer.ok()) return answer.error();
  return {};
}

}  // namespace tokenstore
