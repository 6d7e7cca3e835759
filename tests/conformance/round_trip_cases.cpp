// What is put comes back octet by octet.
#include <algorithm>

#include "trial.hpp"

namespace tokenstore::conformance {
namespace {

std::string all_octets(std::size_t size) {
  std::string octets;
  for (std::size_t at = 0; at < size; ++at) octets += static_cast<char>(static_cast<unsigned char>(at % 256));
  return octets;
}

void comes_back(Trial& trial, Backend& backend, const TokenRecord& token) {
  must_commit(trial, backend, {put_new(token)});
  const auto loaded = VALUE(trial, backend.load_token(home, token.id));
  HOLDS(trial, loaded && same(*loaded, token));
  TokenQuery query;
  query.owner = token.owner;
  const auto listed = list_all(trial, backend, query);
  HOLDS(trial, std::any_of(listed.begin(), listed.end(), [&](const auto& one) { return same(one, token); }));
}

void comes_back(Trial& trial, Backend& backend, const OwnerRecord& owner) {
  must_commit(trial, backend, {put_new(owner)});
  const auto loaded = VALUE(trial, backend.load_owner(home, owner.owner));
  HOLDS(trial, loaded && same(*loaded, owner));
}

void largest_fields(Trial& trial) {
  const auto backend = trial.open();
  TokenRecord token = token_of(1, std::string(255, '\xc3'));
  token.description = std::string(1024, 'd');
  token.scopes.clear();
  for (int count = 0; count < 64; ++count) {
    token.scopes += (count > 0 ? " " : "") + std::string(126, 's') + static_cast<char>('0' + count / 10) +
                    static_cast<char>('0' + count % 10);
  }
  token.metadata = all_octets(4096);
  token.created_by = "administrator:" + std::string(255, 'c');
  token.revoked_at = 5;
  token.revoked_by = "administrator:" + std::string(255, 'r');
  token.revoke_reason = std::string(1024, '!');
  token.verifier.fill(0xff);
  token.seal.fill(0);
  token.owner_birth.fill(0xff);
  comes_back(trial, *backend, token);

  OwnerRecord owner = owner_of(std::string(255, 'o'));
  owner.suspended_by = std::string(270, 'b');
  owner.suspend_reason = std::string(1024, 'r');
  owner.seal.fill(0xff);
  owner.birth.fill(0xfe);
  comes_back(trial, *backend, owner);

  const std::string name(255, 'w');
  must_commit(trial, *backend, {put_new(workspace_of(name))}, name);
  const auto workspace = VALUE(trial, backend->load_workspace(name));
  HOLDS(trial, workspace && same(*workspace, workspace_of(name)));
}

void every_octet(Trial& trial) {
  const auto backend = trial.open();
  TokenRecord token = token_of(1);
  for (std::string* field : {&token.owner, &token.description, &token.scopes, &token.metadata, &token.created_by,
                             &token.revoked_by, &token.revoke_reason}) {
    std::string octets = all_octets(255).substr(1);  // 255 with the NUL: an owner's name holds no more
    std::shuffle(octets.begin(), octets.end(), trial.random);
    *field = octets + '\0';
  }
  token.key_id = std::string("\0'", 2);
  token.seal_key_id = "\xff\"";
  token.id = std::string("\0\x01'\"%_\\\xff\x80\n\r\t;- \x7f", 16);
  comes_back(trial, *backend, token);
  token.id = std::string(16, '\0');
  comes_back(trial, *backend, token);
  token.id = std::string(16, '\xff');
  comes_back(trial, *backend, token);
  EQUAL(trial, list_all(trial, *backend, {}).size(), std::size_t{3});

  OwnerRecord owner = owner_of(all_octets(255));
  owner.suspended_by = all_octets(255) + '\0';
  owner.suspend_reason = '\0' + all_octets(255);
  comes_back(trial, *backend, owner);
}

void empty_fields(Trial& trial) {
  const auto backend = trial.open();
  TokenRecord token = token_of(1, "a");
  token.description.clear();
  token.scopes.clear();
  token.metadata.clear();
  token.created_by.clear();
  comes_back(trial, *backend, token);
  comes_back(trial, *backend, owner_of("a"));
}

void integer_extremes(Trial& trial) {
  const auto backend = trial.open();
  std::uint64_t number = 0;
  for (const std::int64_t value :
       {time_min, time_min + 1, std::int64_t{-1}, std::int64_t{0}, std::int64_t{1}, (std::int64_t{1} << 31) - 1,
        std::int64_t{1} << 31, std::int64_t{1} << 32, (std::int64_t{1} << 53) + 1, time_max - 1, time_max}) {
    TokenRecord token = token_of(++number);
    token.created_at = token.not_before = token.expires_at = token.expired_at = token.revoked_at = value;
    token.revoke_all_count = static_cast<std::uint64_t>(value);
    comes_back(trial, *backend, token);
    OwnerRecord owner = owner_of("owner " + std::to_string(number));
    owner.suspended_at = value;
    owner.revoke_all_count = static_cast<std::uint64_t>(value);
    owner.may_issue = number % 2 == 0;
    owner.may_use = number % 4 < 2;
    comes_back(trial, *backend, owner);
    const std::string name = "workspace " + std::to_string(number);
    WorkspaceRecord workspace = workspace_of(name);
    workspace.longest_lifetime = workspace.default_lifetime = workspace.created_at = value;
    workspace.most_active_per_owner = static_cast<std::uint32_t>(value);
    workspace.tokens_enabled = number % 2 == 0;
    workspace.users_may_issue = number % 4 < 2;
    workspace.never_allowed = number % 8 < 4;
    must_commit(trial, *backend, {put_new(workspace)}, name);
    const auto loaded = VALUE(trial, backend->load_workspace(name));
    HOLDS(trial, loaded && same(*loaded, workspace));
  }
}

void store_comes_back(Trial& trial) {
  const auto backend = trial.open();
  StoreRecord store = store_of(1);
  store.revision = 0;
  for (const std::int64_t value : {time_min, std::int64_t{-1}, std::int64_t{0}, time_max}) {
    ++store.revision;
    store.created_at = value;
    store.id.fill(static_cast<std::uint8_t>(value));
    store.seal.fill(static_cast<std::uint8_t>(value + 1));
    store.seal_key_id = std::string("\0\xff", 2);
    must_commit(trial, *backend, {Mutation::put(store, store.revision - 1)});
    const auto loaded = VALUE(trial, backend->load_store());
    HOLDS(trial, loaded && same(*loaded, store));
  }
}

void births_come_back(Trial& trial) {
  const auto backend = trial.open();
  for (std::uint64_t number = 0; number < 50; ++number) {
    TokenRecord token = token_of(number);
    OwnerRecord owner = owner_of("owner " + std::to_string(number));
    for (auto* birth : {&token.owner_birth, &owner.birth}) {
      for (std::uint8_t& octet : *birth) octet = static_cast<std::uint8_t>(trial.random());
    }
    token.revoke_all_count = trial.random();
    token.expired_at = static_cast<UnixMillis>(trial.random());
    comes_back(trial, *backend, token);
    comes_back(trial, *backend, owner);
  }
}

void octets_tell_apart(Trial& trial) {
  const auto backend = trial.open();
  const std::vector<std::string> ids = {"abcdefghijklmnop",
                                        "Abcdefghijklmnop",
                                        "ABCDEFGHIJKLMNOP",
                                        "abcdefghijklmnoP",
                                        "abcdefghijklmno ",
                                        " abcdefghijklmno",
                                        std::string("abcdefghijklmno\0", 16)};
  const std::vector<std::string> owners = {
      "alice",    "Alice",     "ALICE",    "alice ", " alice",  std::string("alice\0", 6),
      "\xc3\xa9", "e\xcc\x81", "\xc3\x89", "ss",     "\xc3\x9f"};
  for (std::size_t at = 0; at < ids.size(); ++at) {
    TokenRecord token = token_of(at);
    token.id = ids[at];
    must_commit(trial, *backend, {put_new(token)});
  }
  for (std::size_t at = 0; at < owners.size(); ++at) {
    OwnerRecord owner = owner_of(owners[at]);
    owner.revoke_all_count = at;
    must_commit(trial, *backend, {put_new(owner)});
  }
  for (std::size_t at = 0; at < ids.size(); ++at) {
    const auto token = VALUE(trial, backend->load_token(home, ids[at]));
    HOLDS(trial, token && token->id == ids[at] && token->description == token_of(at).description);
  }
  for (std::size_t at = 0; at < owners.size(); ++at) {
    const auto owner = VALUE(trial, backend->load_owner(home, owners[at]));
    HOLDS(trial, owner && owner->owner == owners[at] && owner->revoke_all_count == at);
  }
  for (const std::string& id : {std::string("abcdefghijklmnoq"), std::string("abcdefghijklmno"),
                                std::string("abcdefghijklmnop\0", 17), std::string("aBcdefghijklmnop")}) {
    HOLDS(trial, !VALUE(trial, backend->load_token(home, id)));
  }
  must_commit(trial, *backend, {Mutation::remove_token(ids[1], 1)});
  HOLDS(trial, VALUE(trial, backend->load_token(home, ids[0])));
  HOLDS(trial, !VALUE(trial, backend->load_token(home, ids[1])));
}

void ids_in_octet_order(Trial& trial) {
  const auto backend = trial.open();
  std::vector<std::string> ids;
  for (const char* lead : {"0", "9", "A", "Z", "a", "z", "\x7f", "\x80", "\xc3", "\xff", "a", "A"}) {
    std::string id = lead + std::string(15, static_cast<char>('a' + ids.size()));
    ids.push_back(id);
    TokenRecord token = token_of(ids.size());
    token.id = id;
    must_commit(trial, *backend, {put_new(token)});
  }
  std::sort(ids.rbegin(), ids.rend());
  for (const std::string owner : {"", "alice"}) {
    TokenQuery query;
    query.limit = 5;
    query.owner = owner;
    EQUAL(trial, ids_of(list_all(trial, *backend, query)), ids);
  }
}

}  // namespace

void add_round_trip_cases(std::vector<Case>& cases) {
  cases.push_back({"the largest fields come back as they were put", largest_fields});
  cases.push_back({"every octet comes back in every field", every_octet});
  cases.push_back({"empty fields come back empty", empty_fields});
  cases.push_back({"numbers come back at the ends of their ranges", integer_extremes});
  cases.push_back({"the store's own record comes back as it was put", store_comes_back});
  cases.push_back({"births and what ends a token come back as they were put", births_come_back});
  cases.push_back({"ids and owners that differ in case or by a space or NUL are different", octets_tell_apart});
  cases.push_back({"ids are ordered by their octets", ids_in_octet_order});
}

}  // namespace tokenstore::conformance
