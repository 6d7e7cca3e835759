// Entries and records as octets, and back.
#include "unit/journal/journal_world.hpp"

namespace tokenstore::journal {
namespace {

using test::now;

TokenRecord some_token() {
  TokenRecord record;
  record.id = test::id_of(7);
  record.key_id = "0A";
  record.verifier.fill(0x31);
  record.owner = "alice";
  record.owner_birth.fill(0x32);
  record.revoke_all_count = 3;
  record.description = "a laptop";
  record.scopes = "read write";
  record.metadata = std::string("\0\1\2", 3);
  record.created_at = now;
  record.created_by = "user:alice";
  record.not_before = now + 1;
  record.expires_at = now + 2;
  record.expired_at = now + 3;
  record.revoked_at = now + 4;
  record.revoked_by = "host";
  record.revoke_reason = "lost";
  record.revision = 5;
  return record;
}

TEST_CASE("a record that was written into the journal comes back with its seal intact") {
  const auto sealer = test::sealer_of(0x11);
  const seal::Place place{test::store_of(1), "default", test::store_of(2)};
  TokenRecord token = some_token();
  sealer->now().seal(place, token);
  OwnerRecord owner;
  owner.owner = "alice";
  owner.birth.fill(0x41);
  owner.may_issue = false;
  owner.suspended_at = now;
  owner.suspended_by = "administrator:root";
  owner.suspend_reason = "left";
  owner.revoke_all_count = 9;
  owner.revision = 4;
  sealer->now().seal(place, owner);
  WorkspaceRecord workspace;
  workspace.workspace = "default";
  workspace.birth.fill(0x51);
  workspace.never_allowed = true;
  workspace.longest_lifetime = 1;
  workspace.default_lifetime = 2;
  workspace.most_active_per_owner = 3;
  workspace.created_at = now;
  workspace.revision = 6;
  sealer->now().seal(place.store, workspace);
  StoreRecord store;
  store.id = place.store;
  store.created_at = now;
  store.revision = 1;
  sealer->now().seal(store);

  // The seal covers every field, so that a genuine record is the one that was written.
  CHECK(sealer->is_genuine(place, std::get<TokenRecord>(decode_record(encode_record(token)).value())));
  CHECK(sealer->is_genuine(place, std::get<OwnerRecord>(decode_record(encode_record(owner)).value())));
  CHECK(sealer->is_genuine(place.store, std::get<WorkspaceRecord>(decode_record(encode_record(workspace)).value())));
  CHECK(sealer->verify(std::get<StoreRecord>(decode_record(encode_record(store)).value())) == seal::SealCheck::genuine);
  for (const Record& record : {Record(token), Record(owner), Record(workspace), Record(store)}) {
    const std::string octets = encode_record(record);
    for (std::size_t size = 0; size < octets.size(); ++size) CHECK_FALSE(decode_record(octets.substr(0, size)));
    CHECK_FALSE(decode_record(octets + "x"));
  }
  CHECK_FALSE(decode_record("\5"));
}

TEST_CASE("an entry comes back as it was written, and nothing else is taken for one") {
  const std::string id = test::id_of(1);
  const std::string record = encode_record(some_token());
  Entry entry = test::revocation(id);
  entry.record = record;
  std::string octets = encode_entry(entry);
  set_feed_revision(octets, 77);
  const std::string two = octets + encode_entry(test::revocation(id));
  std::string_view rest = two;
  const auto first = take_entry(rest);
  REQUIRE(first.has_value());
  CHECK(first->deed == Deed::revoked);
  CHECK(first->kind == RecordKind::token);
  CHECK(first->restricts);
  CHECK(first->at == entry.at);
  CHECK(first->revision == 2);
  CHECK(first->feed_revision == 77);
  CHECK(first->until == entry.until);
  CHECK(first->ends_at == entry.ends_at);
  CHECK(first->workspace == "default");
  CHECK(first->key == id);
  CHECK(first->actor == entry.actor);
  CHECK(first->reason == entry.reason);
  CHECK(first->record == record);
  const auto second = take_entry(rest);
  REQUIRE(second.has_value());
  CHECK(second->feed_revision == 1);
  CHECK(rest.empty());
  CHECK_FALSE(take_entry(rest));
  for (std::size_t size = 0; size < octets.size(); ++size) {
    std::string_view cut = std::string_view(octets).substr(0, size);
    CHECK_FALSE(take_entry(cut));
  }
  for (const std::size_t at : {4U, 5U, 6U}) {  // deed, kind, whether it restricts
    std::string strange = octets;
    strange[at] = '\x7F';
    std::string_view cut = strange;
    CHECK_FALSE(take_entry(cut));
  }
}

TEST_CASE("every deed has a name of its own") {
  std::map<std::string_view, int> names;
  for (int deed = static_cast<int>(Deed::issued); deed <= static_cast<int>(Deed::accepted); ++deed) {
    ++names[deed_name(static_cast<Deed>(deed))];
  }
  CHECK(names.size() == 19);
  CHECK(names.count("unrecognised") == 0);
  CHECK(deed_name(static_cast<Deed>(0)) == "unrecognised");
}

}  // namespace
}  // namespace tokenstore::journal
