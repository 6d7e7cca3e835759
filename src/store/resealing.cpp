/// Sealing records anew under the active key, so that another one can be taken out of the keyring.
#include <algorithm>

#include "store/cursor.hpp"
#include "store/rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore {

namespace {

/// Small enough that a writer who waits for a slice does not notice.
constexpr std::size_t slice = 200;

class Reseal {
 public:
  Reseal(TokenStore::Impl& store, const Actor& actor, std::int64_t stop_at)
      : store_(store), actor_(actor), stop_at_(stop_at) {}

  Result<ResealResult> run(std::string_view cursor) {
    store_.sealer->look(store_.sealer->now());
    std::string after;
    if (cursor.empty()) {
      if (auto done = settings(); !done.ok()) return done.error();
    } else if (Cursor::is_of(Walk::owners, cursor)) {
      auto key = Cursor::key_of(Walk::owners, cursor,
                                [](std::string_view name) { return rules::check_owner_name(name).ok(); });
      if (!key.ok()) return key.error();
      after = std::move(*key);
    }
    std::string before;
    if (Cursor::is_of(Walk::tokens, cursor)) {
      auto key = Cursor::key_of(Walk::tokens, cursor, text::is_id);
      if (!key.ok()) return key.error();
      before = std::move(*key);
    } else if (cursor.empty() || Cursor::is_of(Walk::owners, cursor)) {
      auto done = owners(std::move(after));
      if (!done.ok()) return done.error();
      if (!*done) return std::move(result_);
    } else {
      return Cursor::unknown();
    }
    if (auto done = tokens(std::move(before)); !done.ok()) return done.error();
    return std::move(result_);
  }

 private:
  bool time_is_over() { return store_.clock.monotonic() >= stop_at_; }

  bool is_rolled_back(const TokenRecord& record) {
    return is_rolled_back(RecordKind::token, record.id, record.revision,
                          [&] { return store_.backend->load_token(store_.workspace, record.id); });
  }
  bool is_rolled_back(const OwnerRecord& record) {
    return is_rolled_back(RecordKind::owner, record.owner, record.revision,
                          [&] { return store_.backend->load_owner(store_.workspace, record.owner); });
  }
  bool is_rolled_back(const WorkspaceRecord& record) {
    return is_rolled_back(RecordKind::workspace, record.workspace, record.revision,
                          [&] { return store_.backend->load_workspace(record.workspace); });
  }
  template <typename Load>
  bool is_rolled_back(RecordKind kind, std::string_view key, RecordRevision revision, const Load& load_again) {
    const RecordRevision least = store_.least_revision(kind, key);
    if (revision >= least) return false;
    // Or it was changed since it was read: then the commit loses, and the slice is tried again.
    const auto loaded = load_again();
    return !loaded.ok() || (loaded->has_value() && (**loaded).revision < least);
  }
  /// It restricts nothing.
  static bool is_rolled_back(const StoreRecord&) { return false; }

  /// Adds a step that seals a record anew, if it is to be. `where`: what its seal covers besides.
  template <typename Record, typename... Where>
  void consider(std::vector<Mutation>& batch, Record record, const Where&... where) {
    // What was put back must not get a revision that the journal takes for the present one.
    if (store_.sealer->verify(where..., record) != seal::SealCheck::genuine || is_rolled_back(record)) {
      ++result_.refused;
    } else if (record.seal_key_id == store_.sealer->now().active_key_id()) {
      ++result_.kept;
    } else {
      batch.push_back(store_.next_revision(std::move(record)));
    }
  }

  /// Whoever changed one of the records meanwhile has sealed it anew; the others are tried again.
  Result<void> commit(const std::vector<Mutation>& batch) {
    if (batch.empty()) return {};
    auto done = store_.commit(batch, {journal::Deed::resealed, actor_});
    if (done.ok()) result_.resealed += batch.size();
    return done;
  }

  /// Reads a slice and commits it until nobody came in between. What was counted of a try that failed does not count.
  template <typename Attempt>
  Result<bool> retrying(const Attempt& attempt) {
    return store_.retrying<bool>([&]() -> Result<bool> {
      const ResealResult before = result_;
      auto done = attempt();
      if (!done.ok()) result_ = before;
      return done;
    });
  }

  Result<void> settings() {
    auto done = retrying([&]() -> Result<bool> {
      std::vector<Mutation> batch;
      auto store = store_.backend->load_store();
      if (!store.ok()) return store.error();
      if (store->has_value()) consider(batch, std::move(**store));
      auto workspace = store_.backend->load_workspace(store_.workspace);
      if (!workspace.ok()) return workspace.error();
      if (workspace->has_value()) consider(batch, std::move(**workspace), store_.place.store);
      if (auto committed = commit(batch); !committed.ok()) return committed.error();
      return true;
    });
    if (!done.ok()) return done.error();
    return {};
  }

  /// False: the time was over.
  Result<bool> owners(std::string after) {
    for (;;) {
      bool more = false;
      std::string last;
      auto done = retrying([&]() -> Result<bool> {
        auto list = store_.backend->list_owners(store_.workspace, after, slice);
        if (!list.ok()) return list.error();
        more = list->more && !list->owners.empty();
        if (more) last = list->owners.back().owner;
        std::vector<Mutation> batch;
        for (OwnerRecord& record : list->owners) consider(batch, std::move(record), store_.place);
        if (auto committed = commit(batch); !committed.ok()) return committed.error();
        return true;
      });
      if (!done.ok()) return done;
      if (!more) return true;
      after = std::move(last);
      if (time_is_over()) {
        result_.next = Cursor::behind(Walk::owners, after, rules::check_owner_name(after).ok());
        return false;
      }
    }
  }

  Result<void> tokens(std::string before) {
    TokenQuery query;
    query.limit = slice;
    query.before_id = std::move(before);
    for (;;) {
      std::string next;
      auto done = retrying([&]() -> Result<bool> {
        auto list = store_.list_part(query);
        if (!list.ok()) return list.error();
        next = std::move(list->next_before_id);
        std::vector<Mutation> batch;
        for (TokenRecord& record : list->tokens) consider(batch, std::move(record), store_.place);
        if (auto committed = commit(batch); !committed.ok()) return committed.error();
        return true;
      });
      if (!done.ok()) return done.error();
      if (next.empty()) return {};
      query.before_id = std::move(next);
      if (time_is_over()) {
        result_.next = Cursor::behind(Walk::tokens, query.before_id, text::is_id(query.before_id));
        return {};
      }
    }
  }

  TokenStore::Impl& store_;
  const Actor& actor_;
  const std::int64_t stop_at_;
  ResealResult result_;
};

}  // namespace

Result<ResealResult> TokenStore::reseal(const Actor& actor, std::string_view cursor, std::chrono::milliseconds budget) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  if (budget.count() < 1) return Error(Status::invalid_argument, "the time budget is below 1 ms");
  if (impl_->backend->read_only()) {
    return Error(Status::read_only, "the store is open for reading only; open it for writing");
  }
  return Reseal(*impl_, actor, impl_->clock.monotonic() + std::min(budget, longest_budget).count()).run(cursor);
}

}  // namespace tokenstore
