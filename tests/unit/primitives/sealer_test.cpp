#include "seal/sealer.hpp"
#include "seal/announcement.hpp"

#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "support/seeded_random.hpp"
#include "tokenstore/model.hpp"
#include "unit/primitives/vectors.hpp"

namespace tokenstore::seal {
namespace {

Bytes16 bytes16(std::uint8_t value) {
  Bytes16 bytes;
  bytes.fill(value);
  return bytes;
}

const Place here{bytes16(0xA1), "default", bytes16(0xB2)};

TokenRecord sample_token() {
  TokenRecord record;
  record.id = "0KMwCWK70rqyqvwn";
  record.key_id = "0A";
  record.verifier.fill(7);
  record.owner = "alice";
  record.owner_birth = bytes16(0xC3);
  record.revoke_all_count = 2;
  record.description = "deploy key";
  record.scopes = "read write";
  record.metadata = std::string("a\0b", 3);
  record.created_at = 1'795'000'000'000;
  record.created_by = "user:alice";
  record.not_before = 1'795'000'000'001;
  record.expires_at = 1'795'000'000'002;
  record.expired_at = 1'795'000'000'004;
  record.revoked_at = 1'795'000'000'003;
  record.revoked_by = "administrator:root";
  record.revoke_reason = "leaked";
  record.revision = 5;
  return record;
}

OwnerRecord sample_owner() {
  OwnerRecord record;
  record.owner = "alice";
  record.birth = bytes16(0xC3);
  record.suspended_at = 1'795'000'000'003;
  record.suspended_by = "administrator:root";
  record.suspend_reason = "left";
  record.revoke_all_count = 2;
  record.revision = 3;
  return record;
}

WorkspaceRecord sample_workspace() {
  WorkspaceRecord record;
  record.workspace = here.workspace;
  record.birth = here.workspace_birth;
  record.longest_lifetime = 1'000;
  record.default_lifetime = 900;
  record.most_active_per_owner = 4;
  record.created_at = 1'795'000'000'000;
  record.revision = 3;
  return record;
}

template <typename Record>
using Change = std::function<void(Record&)>;

const std::vector<std::pair<const char*, Change<TokenRecord>>> token_changes = {
    {"id", [](TokenRecord& r) { r.id.back() = 'N'; }},
    {"key_id", [](TokenRecord& r) { r.key_id = "0B"; }},
    {"verifier", [](TokenRecord& r) { r.verifier[31] ^= 1; }},
    {"owner", [](TokenRecord& r) { r.owner = "Alice"; }},
    {"owner_birth", [](TokenRecord& r) { r.owner_birth[15] ^= 1; }},
    {"revoke_all_count", [](TokenRecord& r) { ++r.revoke_all_count; }},
    {"description", [](TokenRecord& r) { r.description += ' '; }},
    {"scopes", [](TokenRecord& r) { r.scopes = "read writf"; }},
    {"metadata", [](TokenRecord& r) { r.metadata[1] = '\1'; }},
    {"created_at", [](TokenRecord& r) { ++r.created_at; }},
    {"created_by", [](TokenRecord& r) { r.created_by = "host"; }},
    {"not_before", [](TokenRecord& r) { --r.not_before; }},
    {"expires_at", [](TokenRecord& r) { r.expires_at ^= std::int64_t{1} << 62; }},
    {"expired_at", [](TokenRecord& r) { r.expired_at = std::numeric_limits<std::int64_t>::max(); }},
    {"revoked_at", [](TokenRecord& r) { r.revoked_at = std::numeric_limits<std::int64_t>::max(); }},
    {"revoked_by", [](TokenRecord& r) { r.revoked_by.clear(); }},
    {"revoke_reason", [](TokenRecord& r) { r.revoke_reason += '\0'; }},
    {"revision", [](TokenRecord& r) { --r.revision; }},
    {"seal", [](TokenRecord& r) { r.seal[0] ^= 0x80; }},
};

const std::vector<std::pair<const char*, Change<OwnerRecord>>> owner_changes = {
    {"owner", [](OwnerRecord& r) { r.owner = "bob"; }},
    {"birth", [](OwnerRecord& r) { r.birth[0] ^= 1; }},
    {"may_issue", [](OwnerRecord& r) { r.may_issue = !r.may_issue; }},
    {"may_use", [](OwnerRecord& r) { r.may_use = !r.may_use; }},
    {"suspended_at", [](OwnerRecord& r) { r.suspended_at = std::numeric_limits<std::int64_t>::max(); }},
    {"suspended_by", [](OwnerRecord& r) { r.suspended_by.clear(); }},
    {"suspend_reason", [](OwnerRecord& r) { r.suspend_reason = "Left"; }},
    {"revoke_all_count", [](OwnerRecord& r) { --r.revoke_all_count; }},
    {"revision", [](OwnerRecord& r) { ++r.revision; }},
    {"seal", [](OwnerRecord& r) { r.seal[31] ^= 1; }},
};

const std::vector<std::pair<const char*, Change<WorkspaceRecord>>> workspace_changes = {
    {"workspace", [](WorkspaceRecord& r) { r.workspace = "other"; }},
    {"birth", [](WorkspaceRecord& r) { r.birth[7] ^= 0x80; }},
    {"tokens_enabled", [](WorkspaceRecord& r) { r.tokens_enabled = !r.tokens_enabled; }},
    {"users_may_issue", [](WorkspaceRecord& r) { r.users_may_issue = !r.users_may_issue; }},
    {"never_allowed", [](WorkspaceRecord& r) { r.never_allowed = !r.never_allowed; }},
    {"longest_lifetime", [](WorkspaceRecord& r) { ++r.longest_lifetime; }},
    {"default_lifetime", [](WorkspaceRecord& r) { ++r.default_lifetime; }},
    {"most_active_per_owner", [](WorkspaceRecord& r) { r.most_active_per_owner = 0; }},
    {"created_at", [](WorkspaceRecord& r) { ++r.created_at; }},
    {"revision", [](WorkspaceRecord& r) { ++r.revision; }},
    {"seal", [](WorkspaceRecord& r) { r.seal[16] ^= 1; }},
};

struct SealerUnderTest {
  nlohmann::json vectors = test::format_vectors();
  std::unique_ptr<Sealer> sealer = test::vector_sealer(vectors, "0A");
};

TEST_CASE("tags and verifiers are those of the vectors, under either key") {
  const nlohmann::json vectors = test::format_vectors();
  for (const auto& vector : vectors.at("valid")) {
    const std::string text = vector.at("text");
    INFO(text);
    const auto sealer = test::vector_sealer(vectors, vector.at("key_id"));
    REQUIRE(sealer->active_key_id() == vector.at("key_id").get<std::string>());
    const auto parsed = text::parse(text, vector.at("prefix").get<std::string>());
    REQUIRE(parsed.has_value());
    const auto tag = sealer->make_tag(parsed->tagged);
    REQUIRE(std::string(tag.data(), tag.size()) == vector.at("tag").get<std::string>());
    REQUIRE(sealer->tag_matches(*parsed));

    const std::string place = vector.at("workspace");
    const Bytes32 verifier = test::bytes32_from_hex(vector.at("verifier"));
    REQUIRE(sealer->make_verifier(place, parsed->handle, parsed->secret) == verifier);
    REQUIRE(sealer->verifier_matches(place, *parsed, verifier));
    REQUIRE_FALSE(sealer->verifier_matches(place + "x", *parsed, verifier));
    for (std::size_t bit = 0; bit < 256; ++bit) {
      Bytes32 wrong = verifier;
      wrong[bit / 8] = static_cast<std::uint8_t>(wrong[bit / 8] ^ (1U << (bit % 8)));
      REQUIRE_FALSE(sealer->verifier_matches(place, *parsed, wrong));
    }
  }
}

TEST_CASE("the vectors' bad texts are forged or have the wrong secret, as they say") {
  SealerUnderTest t;
  const auto& first = t.vectors.at("valid")[0];
  const Bytes32 verifier = test::bytes32_from_hex(first.at("verifier"));
  int seen = 0;
  for (const auto& vector : t.vectors.at("invalid_against_first_valid")) {
    const std::string text = vector.at("text");
    const auto parsed = text::parse(text, "pat");
    if (!parsed) continue;
    INFO(vector.at("why").get<std::string>());
    const bool genuine = t.sealer->tag_matches(*parsed);
    REQUIRE(genuine == (vector.at("reason") == "wrong_secret"));
    // Only where the tag alone was changed is it still the right secret.
    const bool right_secret = parsed->secret == first.at("secret").get<std::string>() && parsed->key_id == "0A";
    REQUIRE(t.sealer->verifier_matches("default", *parsed, verifier) == right_secret);
    ++seen;
  }
  REQUIRE(seen >= 4);
}

TEST_CASE("a sealer wants a keyring with an active key") {
  REQUIRE(Sealer::create(Keyring()).status() == Status::wrong_key);
  Keyring keyring;
  const Bytes32 master{};
  REQUIRE(keyring.add("0A", KeyUse::verify_only, master).ok());
  REQUIRE(keyring.add("0B", KeyUse::retired, master).ok());
  REQUIRE(Sealer::create(std::move(keyring)).status() == Status::wrong_key);
}

TEST_CASE("what an older key made still verifies, and the new key seals what is new") {
  const Bytes32 first = test::bytes32_from_hex(std::string(64, '1'));
  const Bytes32 second = test::bytes32_from_hex(std::string(64, '2'));
  Keyring old_keyring;
  REQUIRE(old_keyring.add("0A", KeyUse::active, first).ok());
  const auto old_sealer = std::move(Sealer::create(std::move(old_keyring))).value();
  TokenRecord record = sample_token();
  old_sealer->seal(here, record);
  OwnerRecord owner = sample_owner();
  old_sealer->seal(here, owner);
  WorkspaceRecord settings = sample_workspace();
  old_sealer->seal(here.store, settings);
  StoreRecord store;
  old_sealer->seal(store);
  const Bytes32 before{};
  const auto link = old_sealer->feed_link(here, "0A", 1, before, "0A");

  for (const KeyUse use : {KeyUse::verify_only, KeyUse::retired}) {
    Keyring keyring;
    REQUIRE(keyring.add("0A", use, first).ok());
    REQUIRE(keyring.add("0B", KeyUse::active, second).ok());
    const auto sealer = std::move(Sealer::create(std::move(keyring))).value();
    REQUIRE(sealer->key_use("0A") == use);
    REQUIRE(sealer->key_use("0B") == KeyUse::active);
    REQUIRE_FALSE(sealer->key_use("0C").has_value());
    REQUIRE_FALSE(sealer->key_use("").has_value());
    // A retired key vouches for its own tokens, which have ended, and for nothing that lives.
    const SealCheck of_settings = use == KeyUse::retired ? SealCheck::retired_key : SealCheck::genuine;
    REQUIRE(sealer->verify(here, record) == SealCheck::genuine);
    REQUIRE(sealer->verify(here, owner) == of_settings);
    REQUIRE(sealer->verify(here.store, settings) == of_settings);
    REQUIRE(sealer->verify(store) == of_settings);
    REQUIRE(sealer->feed_link(here, "0A", 1, before, "0A") == (use == KeyUse::retired ? std::nullopt : link));
    TokenRecord newer = record;
    newer.key_id = "0B";
    old_sealer->seal(here, newer);
    REQUIRE(sealer->verify(here, newer) == of_settings);
    // Nor for one of a key that nobody holds.
    newer.key_id = "0Z";
    old_sealer->seal(here, newer);
    REQUIRE(sealer->verify(here, newer) == of_settings);
    TokenRecord again = record;
    sealer->seal(here, again);
    REQUIRE(again.seal_key_id == "0B");
    REQUIRE(again.seal != record.seal);
    REQUIRE(sealer->verify(here, again) == SealCheck::genuine);
    REQUIRE(old_sealer->verify(here, again) == SealCheck::unknown_key);
  }
}

template <typename Record, typename Verify>
void check_changes(const Record& sealed, const std::vector<std::pair<const char*, Change<Record>>>& changes,
                   Verify verify) {
  REQUIRE(verify(sealed) == SealCheck::genuine);
  for (const auto& [field, change] : changes) {
    Record changed = sealed;
    change(changed);
    INFO(field);
    REQUIRE(verify(changed) == SealCheck::tampered);
  }
  for (const char* key : {"0B"}) {
    Record changed = sealed;
    changed.seal_key_id = key;
    REQUIRE(verify(changed) == SealCheck::tampered);
  }
  for (const char* key : {"", "0", "zz", "0A0"}) {
    Record changed = sealed;
    changed.seal_key_id = key;
    REQUIRE(verify(changed) == SealCheck::unknown_key);
  }
}

TEST_CASE("a change of any field but the last use breaks the seal of a token") {
  SealerUnderTest t;
  TokenRecord record = sample_token();
  t.sealer->seal(here, record);
  REQUIRE(record.seal_key_id == "0A");
  check_changes(record, token_changes, [&](const TokenRecord& r) { return t.sealer->verify(here, r); });
  record.last_used_at = 99;
  record.last_used_from = "::1";
  REQUIRE(t.sealer->verify(here, record) == SealCheck::genuine);
}

TEST_CASE("a change of any field breaks the seal of an owner") {
  SealerUnderTest t;
  OwnerRecord record = sample_owner();
  t.sealer->seal(here, record);
  check_changes(record, owner_changes, [&](const OwnerRecord& r) { return t.sealer->verify(here, r); });
}

TEST_CASE("a change of any field breaks the seal of a workspace") {
  SealerUnderTest t;
  WorkspaceRecord record = sample_workspace();
  t.sealer->seal(here.store, record);
  check_changes(record, workspace_changes, [&](const WorkspaceRecord& r) { return t.sealer->verify(here.store, r); });
}

TEST_CASE("every bit of every number of a token is sealed") {
  SealerUnderTest t;
  TokenRecord record = sample_token();
  t.sealer->seal(here, record);
  for (const auto time :
       {&TokenRecord::created_at, &TokenRecord::not_before, &TokenRecord::expires_at, &TokenRecord::revoked_at}) {
    for (unsigned bit = 0; bit < 64; ++bit) {
      TokenRecord changed = record;
      changed.*time = static_cast<std::int64_t>(static_cast<std::uint64_t>(changed.*time) ^ std::uint64_t{1} << bit);
      REQUIRE(t.sealer->verify(here, changed) == SealCheck::tampered);
    }
  }
}

TEST_CASE("a value moved into the next field breaks the seal") {
  SealerUnderTest t;
  TokenRecord record = sample_token();
  t.sealer->seal(here, record);
  const auto tampered = [&](const Change<TokenRecord>& change) {
    TokenRecord changed = record;
    change(changed);
    return t.sealer->verify(here, changed) == SealCheck::tampered;
  };
  const std::vector<std::string TokenRecord::*> texts = {
      &TokenRecord::owner,      &TokenRecord::description, &TokenRecord::scopes,       &TokenRecord::metadata,
      &TokenRecord::created_by, &TokenRecord::revoked_by,  &TokenRecord::revoke_reason};
  for (std::size_t i = 0; i + 1 < texts.size(); ++i) {
    const auto from = texts[i];
    const auto next = texts[i + 1];
    INFO("text " << i);
    CHECK(tampered([&](TokenRecord& r) { std::swap(r.*from, r.*next); }));
    CHECK(tampered([&](TokenRecord& r) {  // the last octet goes over
      (r.*next).insert((r.*next).begin(), (r.*from).back());
      (r.*from).pop_back();
    }));
    CHECK(tampered([&](TokenRecord& r) {  // all of it does
      r.*next = r.*from + r.*next;
      (r.*from).clear();
    }));
  }
  CHECK(tampered([](TokenRecord& r) { std::swap(r.created_at, r.not_before); }));
  CHECK(tampered([](TokenRecord& r) { std::swap(r.not_before, r.expires_at); }));
  CHECK(tampered([](TokenRecord& r) { std::swap(r.expires_at, r.revoked_at); }));
  CHECK(tampered([](TokenRecord& r) { std::swap(r.id, r.key_id); }));

  OwnerRecord owner = sample_owner();
  owner.may_use = false;
  t.sealer->seal(here, owner);
  std::swap(owner.may_issue, owner.may_use);
  CHECK(t.sealer->verify(here, owner) == SealCheck::tampered);
}

TEST_CASE("a record of another store, workspace, birth or kind is refused") {
  SealerUnderTest t;
  TokenRecord token = sample_token();
  t.sealer->seal(here, token);
  OwnerRecord owner = sample_owner();
  t.sealer->seal(here, owner);
  REQUIRE(t.sealer->verify(here, token) == SealCheck::genuine);
  std::vector<Place> elsewhere;
  for (const char* other : {"other", "Default", "defaul", "default ", ""}) {
    elsewhere.push_back(here);
    elsewhere.back().workspace = other;
  }
  elsewhere.push_back(here);
  elsewhere.back().store[3] ^= 1;
  elsewhere.push_back(here);
  elsewhere.back().workspace_birth[3] ^= 1;
  elsewhere.push_back({here.workspace_birth, here.workspace, here.store});
  for (const Place& place : elsewhere) {
    REQUIRE(t.sealer->verify(place, token) == SealCheck::tampered);
    REQUIRE(t.sealer->verify(place, owner) == SealCheck::tampered);
  }
  owner.may_issue = owner.may_use = false;
  t.sealer->seal(here, owner);
  CHECK(owner.seal == test::bytes32_from_hex("2558e45ec8d9f1d2b66500c7b452e5779f1b643906d8528a7d9e479842889ac9"));
  WorkspaceRecord settings = sample_workspace();
  t.sealer->seal(here.store, settings);
  REQUIRE(t.sealer->verify(here.store, settings) == SealCheck::genuine);
  REQUIRE(t.sealer->verify(here.workspace_birth, settings) == SealCheck::tampered);
  owner.seal = settings.seal;
  REQUIRE(t.sealer->verify(here, owner) == SealCheck::tampered);
}

TEST_CASE("a link of the feed binds the entry, its revision, its place and the link before") {
  SealerUnderTest t;
  Bytes32 before{};
  before.fill(1);
  const auto link = t.sealer->feed_link(here, "0A", 5, before, "0Aentry");
  REQUIRE(link.has_value());
  CHECK(t.sealer->feed_link(here, "0A", 5, before, "0Aentry") == link);
  CHECK(t.sealer->feed_link(here, "0A", 6, before, "0Aentry") != link);
  CHECK(t.sealer->feed_link(here, "0A", 5, Bytes32{}, "0Aentry") != link);
  CHECK(t.sealer->feed_link(here, "0A", 5, before, "0Aentrz") != link);
  CHECK(t.sealer->feed_link(here, "0B", 5, before, "0Aentry") != link);
  Place other = here;
  other.workspace = "other";
  CHECK(t.sealer->feed_link(other, "0A", 5, before, "0Aentry") != link);
  CHECK_FALSE(t.sealer->feed_link(here, "0C", 5, before, "0Centry").has_value());
  CHECK_FALSE(t.sealer->feed_link(here, "0A", 5, before, std::string(65'536, 'x')).has_value());

  SealedAnnouncement announcement(*t.sealer, here);
  announcement.name(RecordKind::token, "0KMwCWK70rqyqvwn");
  announcement.name(RecordKind::owner, std::string("a\0b", 3));
  const Changes::Entry entry{5, std::string(announcement.entry()), announcement.link(5, before)};
  CHECK(is_linked(*t.sealer, here, entry, before));
  CHECK_FALSE(is_linked(*t.sealer, here, entry, Bytes32{}));
  const auto named = changes_named(entry.text);
  REQUIRE(named.has_value());
  REQUIRE(named->size() == 2);
  CHECK(named->at(0).kind == RecordKind::token);
  CHECK(named->at(0).key == "0KMwCWK70rqyqvwn");
  CHECK(named->at(1).key == std::string("a\0b", 3));
  for (std::size_t cut = 0; cut < entry.text.size(); ++cut) {
    const auto part = changes_named(entry.text.substr(0, cut));
    CHECK((!part || part->size() < 2));
  }
  CHECK_FALSE(changes_named(std::string("0A\x05\0\0", 5)).has_value());
  // More than can be linked is everything.
  SealedAnnouncement large(*t.sealer, here);
  for (int number = 0; number < 5000; ++number) large.name(RecordKind::token, "0KMwCWK70rqyqvwn");
  CHECK_FALSE(changes_named(large.entry()).has_value());
  CHECK(large.entry().size() < 10);
  CHECK(is_linked(*t.sealer, here, {1, std::string(large.entry()), large.link(1, before)}, before));
}

TEST_CASE("a text too long to be said in a seal is refused, not cut") {
  SealerUnderTest t;
  TokenRecord record = sample_token();
  record.metadata.assign(65'535, 'm');
  t.sealer->seal(here, record);
  REQUIRE(t.sealer->verify(here, record) == SealCheck::genuine);
  record.metadata.assign(65'536, 'm');
  REQUIRE(t.sealer->verify(here, record) == SealCheck::tampered);
  t.sealer->seal(here, record);
  REQUIRE(t.sealer->verify(here, record) != SealCheck::genuine);
  // Not even with the very octets that its seal would have.
  REQUIRE(record.seal_key_id.empty());
  record.seal_key_id = "0A";
  REQUIRE(t.sealer->verify(here, record) == SealCheck::tampered);
}

TEST_CASE("seals are those of an independent computation of the documented encoding") {
  // HMACs of the encoding in docs/keys.md, computed in Python: stored records depend on it for ever.
  SealerUnderTest t;
  TokenRecord token = sample_token();
  t.sealer->seal(here, token);
  CHECK(token.seal == test::bytes32_from_hex("1d44782413993d3a5fec3e27a5c9a765ac7ba640f82dd4fb68deeb387b531552"));
  // A length of two octets, and more than is gathered at once.
  token.metadata.assign(300, 'm');
  t.sealer->seal(here, token);
  CHECK(token.seal == test::bytes32_from_hex("884d0ce09172596f4cbf17d6bbab82618af42676b0b29cf6a5efd905094ca109"));
  token.metadata.assign(metadata_max, 'm');
  t.sealer->seal(here, token);
  CHECK(token.seal == test::bytes32_from_hex("49f99aab1e10439fe6766417c972da0fcd70fb0f73a837a80ac3d39707c01c94"));
  OwnerRecord owner = sample_owner();
  t.sealer->seal(here, owner);
  CHECK(owner.seal == test::bytes32_from_hex("e6374f79995a9d81e5789491a853524b8fc9392dc6007a254e0a032acabfb74d"));
  WorkspaceRecord settings = sample_workspace();
  t.sealer->seal(here.store, settings);
  CHECK(settings.seal == test::bytes32_from_hex("56da3431e2ca31536b14d4b613ebb3cc00cade67d93e68e5295e9a194e422469"));
  settings.tokens_enabled = settings.users_may_issue = false;
  settings.never_allowed = true;
  t.sealer->seal(here.store, settings);
  CHECK(settings.seal == test::bytes32_from_hex("a6e3a27cf63c43b06feb62d7d43da29dd0122d1c1526fd222d3db2bba0bfad57"));
  StoreRecord store;
  store.id = here.store;
  store.created_at = 1'795'000'000'000;
  store.revision = 1;
  t.sealer->seal(store);
  CHECK(store.seal == test::bytes32_from_hex("ef185bb96a270618561c40a9ac54ac7455a2f08192957e3299e6aff90abacd70"));
  Bytes32 before;
  before.fill(1);
  CHECK(t.sealer->feed_link(here, "0A", 5, before, std::string_view("0A\x01\x00\x01\x30", 6)) ==
        test::bytes32_from_hex("6f958aa555d4f0d6acba609ea9b569269677c294fb8ee2e6fe3e1e21a52c792d"));
}

}  // namespace
}  // namespace tokenstore::seal
