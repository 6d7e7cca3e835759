// Lists of tokens, owners and workspaces: order, pages, and the keyset under change.
#include <algorithm>

#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

std::vector<std::string> expected_ids(std::uint64_t from, std::uint64_t to, std::uint64_t every = 1) {
  std::vector<std::string> ids;
  for (std::uint64_t number = from; number <= to; number += every) ids.push_back(id_of(number));
  std::reverse(ids.begin(), ids.end());
  return ids;
}

void fill(Trial& trial, Backend& backend, std::uint64_t from, std::uint64_t to) {
  std::vector<Mutation> batch;
  for (std::uint64_t number = from; number <= to; ++number) {
    batch.push_back(put_new(token_of(number, number % 2 == 0 ? "alice" : "bob")));
  }
  must_commit(trial, backend, batch);
}

void newest_first(Trial& trial) {
  const auto backend = trial.open();
  fill(trial, *backend, 1, 100);
  for (const std::size_t limit : {1U, 2U, 7U, 50U, 99U, 100U, 101U, 1000U}) {
    TokenQuery query;
    query.limit = limit;
    EQUAL(trial, ids_of(list_all(trial, *backend, query)), expected_ids(1, 100));
    query.owner = "alice";
    EQUAL(trial, ids_of(list_all(trial, *backend, query)), expected_ids(2, 100, 2));
    query.owner = "nobody";
    EQUAL(trial, list_all(trial, *backend, query).size(), std::size_t{0});
  }
}

void limits(Trial& trial) {
  const auto backend = trial.open();
  fill(trial, *backend, 1, 20);
  TokenQuery query;
  query.limit = 0;
  HOLDS(trial, VALUE(trial, backend->list_tokens(home, query)).tokens.empty());
  for (const std::string owner : {"", "alice"}) {
    query.owner = owner;
    for (const std::size_t limit : {std::size_t{1}, std::size_t{9}, std::size_t{10}, std::size_t{19}, std::size_t{20},
                                    std::size_t{21}, std::numeric_limits<std::size_t>::max()}) {
      query.limit = limit;
      query.scan_limit = limit == std::numeric_limits<std::size_t>::max() ? limit : 10'000;
      const TokenList list = VALUE(trial, backend->list_tokens(home, query));
      const std::size_t all = owner.empty() ? 20 : 10;
      EQUAL(trial, list.tokens.size(), std::min(limit, all));
      if (limit < all) EQUAL(trial, list.next_before_id, list.tokens.back().id);
      if (limit > all) EQUAL(trial, list.next_before_id, std::string());
    }
  }
}

void before_edges(Trial& trial) {
  const auto backend = trial.open();
  fill(trial, *backend, 10, 20);
  const auto below = [&](std::string before, const std::string& owner = {}) {
    TokenQuery query;
    query.owner = owner;
    query.before_id = std::move(before);
    return ids_of(list_all(trial, *backend, query));
  };
  EQUAL(trial, below(id_of(10)), std::vector<std::string>{});
  EQUAL(trial, below(id_of(11)), expected_ids(10, 10));
  EQUAL(trial, below(id_of(20)), expected_ids(10, 19));
  EQUAL(trial, below(id_of(21)), expected_ids(10, 20));
  EQUAL(trial, below(id_of(1)), std::vector<std::string>{});
  EQUAL(trial, below(std::string(16, '\xff')), expected_ids(10, 20));
  EQUAL(trial, below(std::string(1, '\xff')), expected_ids(10, 20));
  EQUAL(trial, below("0"), std::vector<std::string>{});
  EQUAL(trial, below(id_of(15) + "0"), expected_ids(10, 15));
  EQUAL(trial, below(id_of(15).substr(0, 15)), std::vector<std::string>{});
  EQUAL(trial, below(id_of(20).substr(0, 15)), expected_ids(10, 19));
  EQUAL(trial, below(id_of(10), "alice"), std::vector<std::string>{});
  EQUAL(trial, below(id_of(12), "alice"), expected_ids(10, 10));
  EQUAL(trial, below(id_of(13), "alice"), expected_ids(10, 12, 2));
}

/// Whatever is there from first to last page is seen once; the rest at most once.
void pages_under_change(Trial& trial) {
  const auto backend = trial.open();
  fill(trial, *backend, 1'000, 1'200);
  std::set<std::string> removed;
  std::vector<std::string> seen;
  TokenQuery query;
  query.limit = 7;
  std::uint64_t newest = 1'200;
  for (;;) {
    const TokenList page = VALUE(trial, backend->list_tokens(home, query));
    for (const TokenRecord& token : page.tokens) seen.push_back(token.id);
    if (page.next_before_id.empty()) break;
    query.before_id = page.next_before_id;
    fill(trial, *backend, newest + 1, newest + 3);
    newest += 3;
    for (const std::uint64_t number : {1'000 + trial.pick(200), 1'000 + trial.pick(200)}) {
      if (!removed.insert(id_of(number)).second) continue;
      must_commit(trial, *backend, {Mutation::remove_token(id_of(number), 1)});
    }
    // The very record that the continuation names may go.
    if (trial.pick(2) == 0 && removed.insert(query.before_id).second) {
      must_commit(trial, *backend, {Mutation::remove_token(query.before_id, 1)});
    }
  }
  HOLDS(trial, std::is_sorted(seen.rbegin(), seen.rend()));
  HOLDS(trial, std::adjacent_find(seen.begin(), seen.end()) == seen.end());
  const std::set<std::string> seen_set(seen.begin(), seen.end());
  for (std::uint64_t number = 1'000; number <= 1'200; ++number) {
    HOLDS(trial, seen_set.contains(id_of(number)) || removed.contains(id_of(number)));
  }
}

void lists_hold_whole_records(Trial& trial) {
  const auto backend = trial.open();
  fill(trial, *backend, 1, 20);
  TokenRecord revoked = next_of(token_of(4));
  revoked.revoked_at = 77;
  revoked.revoked_by = "administrator:root";
  revoked.revoke_reason = "lost";
  must_commit(trial, *backend, {replace(revoked)});
  for (const TokenRecord& token : list_all(trial, *backend, {})) {
    const auto loaded = VALUE(trial, backend->load_token(home, token.id));
    HOLDS(trial, loaded && same(*loaded, token));
    if (token.id == revoked.id) HOLDS(trial, same(token, revoked));
  }
}

std::vector<std::string> octet_order_names() {
  std::vector<std::string> names = {"a",
                                    "A",
                                    "aa",
                                    "ab",
                                    "a ",
                                    "a-",
                                    "B",
                                    "b",
                                    "Z",
                                    "\x7f",
                                    "\x80",
                                    "\xff",
                                    "\xff\xff",
                                    "\xc3",
                                    "%",
                                    "_",
                                    "'",
                                    "\"",
                                    "\\",
                                    "e\xcc\x81",
                                    "\xc3\xa9",
                                    "0",
                                    "00",
                                    "10",
                                    "9",
                                    "a\x01",
                                    std::string("a\0", 2),
                                    std::string("a\0b", 3),
                                    "\xc3\x89",
                                    "~",
                                    std::string(255, 'a'),
                                    std::string(254, 'a')};
  std::sort(names.begin(), names.end());
  return names;
}

void owners_in_order(Trial& trial) {
  const auto backend = trial.open();
  const std::vector<std::string> names = octet_order_names();
  std::vector<std::string> shuffled = names;
  std::shuffle(shuffled.begin(), shuffled.end(), trial.random);
  for (const std::string& name : shuffled) must_commit(trial, *backend, {put_new(owner_of(name))});
  for (const std::size_t limit : {std::size_t{1}, std::size_t{5}, names.size() - 1, names.size(), names.size() + 1,
                                  std::numeric_limits<std::size_t>::max()}) {
    std::vector<std::string> seen;
    std::string after;
    for (;;) {
      const OwnerList list = VALUE(trial, backend->list_owners(home, after, limit));
      HOLDS(trial, list.owners.size() <= limit);
      for (const OwnerRecord& owner : list.owners) {
        HOLDS(trial, same(owner, owner_of(owner.owner)));
        seen.push_back(owner.owner);
      }
      EQUAL(trial, list.more, seen.size() < names.size());
      if (!list.more || !HOLDS(trial, !list.owners.empty()) || seen.size() > names.size()) break;
      after = seen.back();
    }
    EQUAL(trial, seen, names);
  }
  EQUAL(trial, VALUE(trial, backend->list_owners(home, "aaa", 1)).owners.at(0).owner, std::string(254, 'a'));
  HOLDS(trial, VALUE(trial, backend->list_owners(home, "\xff\xff\xff", 5)).owners.empty());
  HOLDS(trial, VALUE(trial, backend->list_owners(home, "", 0)).owners.empty());
}

void workspaces_in_order(Trial& trial) {
  const auto backend = trial.open_bare();
  const std::vector<std::string> names = octet_order_names();
  std::vector<std::string> shuffled = names;
  std::shuffle(shuffled.begin(), shuffled.end(), trial.random);
  for (const std::string& name : shuffled) must_commit(trial, *backend, {put_new(workspace_of(name))}, name);
  for (const std::size_t limit : {std::size_t{1}, std::size_t{5}, names.size(), names.size() + 1}) {
    std::vector<std::string> seen;
    for (;;) {
      const auto list = VALUE(trial, backend->list_workspaces(seen.empty() ? "" : seen.back(), limit));
      EQUAL(trial, list.size(), std::min(limit, names.size() - seen.size()));
      if (list.empty() || seen.size() > names.size()) break;
      for (const WorkspaceRecord& workspace : list) {
        HOLDS(trial, same(workspace, workspace_of(workspace.workspace)));
        seen.push_back(workspace.workspace);
      }
    }
    EQUAL(trial, seen, names);
  }
}

}  // namespace

void add_list_cases(std::vector<Case>& cases) {
  cases.push_back({"tokens are listed from the highest id to the lowest in pages of any size", newest_first});
  cases.push_back({"a page holds at most its limit and says whether there is more", limits});
  cases.push_back({"a list begins strictly below before_id whether or not that id exists", before_edges});
  cases.push_back({"paging misses and repeats nothing while tokens come and go", pages_under_change});
  cases.push_back({"lists hold whole records", lists_hold_whole_records});
  cases.push_back({"owners are listed in the order of their octets", owners_in_order});
  cases.push_back({"workspaces are listed in the order of their octets", workspaces_in_order});
}

}  // namespace tokenstore::conformance
