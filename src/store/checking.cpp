/// Checking a whole store: every seal, what tokens are bound to, the change feed, and the storage itself.
#include <fmt/format.h>

#include <map>
#include <unordered_map>

#include "store/rules.hpp"
#include "store/store_impl.hpp"

namespace tokenstore {

namespace {

constexpr std::size_t check_page = 1000;
constexpr std::size_t most_problems = 1000;

/// What follows from a seal that is not genuine.
std::string complaint(seal::SealCheck check, const std::string& key_id) {
  switch (check) {
    case seal::SealCheck::unknown_key:
      return "is sealed with a key that is not in the keyring";
    case seal::SealCheck::retired_key:
      return fmt::format("is sealed with key {}, which is retired; make it verify-only and seal everything anew",
                         key_id);
    case seal::SealCheck::genuine:
    case seal::SealCheck::tampered:
      break;
  }
  return "has a seal that does not verify";
}

class Check {
 public:
  Check(TokenStore::Impl& store, const Progress& progress) : store_(store), progress_(progress) {}

  Result<CheckReport> run() {
    usage_.try_emplace(store_.sealer->now().active_key_id());
    if (auto done = check_settings(); !done.ok()) return done.error();
    if (auto done = check_owners(); !done.ok()) return done.error();
    if (auto done = check_tokens(); !done.ok()) return done.error();
    if (auto done = check_feed(); !done.ok()) return done.error();
    auto storage = store_.backend->check_integrity(most_problems, progress_);
    if (!storage.ok()) return storage.error();
    for (std::string& line : *storage) problem("storage: " + std::move(line));
    for (auto& [key_id, usage] : usage_) {
      usage.key_id = key_id;
      report_.keys.push_back(std::move(usage));
    }
    return std::move(report_);
  }

 private:
  struct Owner {
    Bytes16 birth;
    std::uint64_t revoke_all_count;
  };

  void problem(std::string line) {
    ++report_.problem_count;
    if (report_.problems.size() < most_problems) report_.problems.push_back(std::move(line));
  }

  Result<void> go_on() {
    if (!progress_ || progress_(report_.owners + report_.tokens, 0)) return {};
    return Error(Status::conflict, "the check was stopped before its end");
  }

  /// Counts a genuine seal; complains of any other.
  template <typename Where, typename Record>
  bool seal_holds(const Where& where, const Record& record, const std::string& what, std::string_view consequence) {
    return seal_holds(store_.sealer->verify(where, record), record.seal_key_id, what, consequence);
  }
  bool seal_holds(seal::SealCheck check, const std::string& key_id, const std::string& what,
                  std::string_view consequence) {
    if (check == seal::SealCheck::genuine) {
      ++usage_[key_id].seals;
      return true;
    }
    problem(fmt::format("{} {}: {}", what, complaint(check, key_id), consequence));
    return false;
  }

  Result<void> check_settings() {
    auto store = store_.backend->load_store();
    if (!store.ok()) return store.error();
    if (!store->has_value()) {
      problem("the record of the store is missing: it cannot be opened again");
    } else if (seal_holds(store_.sealer->verify(**store), (*store)->seal_key_id, "the record of the store",
                          "it cannot be opened again") &&
               (*store)->id != store_.place.store) {
      problem("the record of the store is another store's: it cannot be opened again");
    }
    auto workspace = store_.backend->load_workspace(store_.workspace);
    if (!workspace.ok()) return workspace.error();
    if (!workspace->has_value()) {
      problem("the record of the workspace is missing: every token is denied");
    } else if (seal_holds(store_.place.store, **workspace, "the record of the workspace", "every token is denied") &&
               ((*workspace)->workspace != store_.workspace || (*workspace)->birth != store_.place.workspace_birth)) {
      problem("the record of the workspace is another one's: every token is denied");
    }
    return {};
  }

  Result<void> check_owners() {
    for (std::string after;;) {
      auto list = store_.backend->list_owners(store_.workspace, after, check_page);
      if (!list.ok()) return list.error();
      for (const OwnerRecord& record : list->owners) {
        ++report_.owners;
        if (!rules::check_owner_name(record.owner).ok()) {
          problem("an owner's name is malformed: nobody can act on the record");
        }
        if (seal_holds(store_.place, record, fmt::format("owner \"{}\"", record.owner),
                       "every token of theirs is denied")) {
          owners_.insert_or_assign(record.owner, Owner{record.birth, record.revoke_all_count});
        }
      }
      if (!list->more || list->owners.empty()) return {};
      after = list->owners.back().owner;
      if (auto wanted = go_on(); !wanted.ok()) return wanted;
    }
  }

  Result<void> check_tokens() {
    TokenQuery query;
    query.limit = check_page;
    query.now = store_.clock.now();
    do {
      auto list = store_.list_part(query);
      if (!list.ok()) return list.error();
      for (const TokenRecord& record : list->tokens) check_token(record, query.now);
      if (auto wanted = go_on(); !wanted.ok()) return wanted;
      query.before_id = std::move(list->next_before_id);
    } while (!query.before_id.empty());
    return {};
  }

  void check_token(const TokenRecord& record, UnixMillis now) {
    ++report_.tokens;
    if (!text::is_id(record.id)) problem("a token's id is malformed: nobody can show or end it");
    const std::string what = fmt::format("token {}", record.id);
    if (!seal_holds(store_.place, record, what, "it is denied")) return;
    const std::optional<Owner> owner = owner_of(record);
    if (!owner) return problem(fmt::format("{} has no genuine record of its owner: it is denied", what));
    if (owner->birth != record.owner_birth || owner->revoke_all_count < record.revoke_all_count) {
      return problem(
          fmt::format("{} belongs to a record of its owner that was removed or put back: it is denied", what));
    }
    if (rules::is_living(record, owner->revoke_all_count, now)) ++usage_[record.key_id].living_tokens;
  }

  std::optional<Owner> owner_of(const TokenRecord& record) {
    const auto known = owners_.find(record.owner);
    if (known != owners_.end() && known->second.birth == record.owner_birth &&
        known->second.revoke_all_count >= record.revoke_all_count) {
      return known->second;
    }
    // Written or changed since the owners were read, if it fits now.
    auto owner = store_.load_owner(record.owner);
    if (!owner.ok() || !owner->has_value()) return std::nullopt;
    return Owner{(*owner)->birth, (*owner)->revoke_all_count};
  }

  /// Every entry that the feed still has is linked to the one before it. That of the first is known only where the feed
  /// begins at the beginning.
  Result<void> check_feed() {
    auto head = store_.backend->changes(store_.workspace, seal::far_ahead);
    if (!head.ok()) return head.error();
    auto feed = store_.backend->changes(store_.workspace, head->complete_from);
    if (!feed.ok()) return feed.error();
    // Trimmed meanwhile, or a backend without a feed.
    if (feed->everything) return {};
    std::uint64_t revision = feed->complete_from;
    std::optional<Bytes32> link;
    if (revision == 0) link = Bytes32{};
    const seal::Sealer& sealer = store_.sealer->now();
    // What a key linked that is gone cannot be judged any more, and what a retired one linked whoever stole it could
    // have linked. Both are let be where they may stand by right: before an entry of another key, which is linked to
    // them.
    std::uint64_t doubtful = 0;  // the first revision since such an entry; 0: none
    bool any_sure = false;
    for (const Changes::Entry& entry : feed->entries) {
      const auto use = sealer.key_use(seal::key_of_entry(entry.text));
      const bool linked = !link || !use || seal::is_linked(sealer, store_.place, entry, *link) ||
                          seal::is_linked_by_retired(sealer, store_.place, entry, *link);
      if (entry.revision != revision + 1 || !linked) return feed_does_not_fit(revision + 1);
      revision = entry.revision;
      link = entry.link;
      if (use && *use != KeyUse::retired) {
        any_sure = true;
        doubtful = 0;
      } else if ((!use || any_sure) && doubtful == 0) {
        doubtful = revision;
      }
    }
    if (doubtful != 0) return feed_does_not_fit(doubtful);
    if (revision != feed->revision || (link && *link != feed->link)) return feed_does_not_fit(revision + 1);
    return {};
  }

  Result<void> feed_does_not_fit(std::uint64_t revision) {
    problem(fmt::format(
        "the change feed does not fit at revision {}: it was changed outside the library, and whoever reads "
        "it forgets everything",
        revision));
    return {};
  }

  TokenStore::Impl& store_;
  const Progress& progress_;
  CheckReport report_;
  std::unordered_map<std::string, Owner> owners_;
  std::map<std::string, KeyUsage, std::less<>> usage_;
};

}  // namespace

Result<CheckReport> TokenStore::check(const Actor& actor, const Progress& progress) {
  if (auto good = rules::require_administrator(actor); !good.ok()) return good.error();
  return Check(*impl_, progress).run();
}

}  // namespace tokenstore
