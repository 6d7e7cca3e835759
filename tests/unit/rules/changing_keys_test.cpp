/// Keys that change while stores are open: no genuine token is refused on the way, and none of a key that has ended is
/// accepted by anybody who has looked at storage since.
#include <future>
#include <thread>

#include "support/held_keys.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::HeldKeys;
using test::Kept;
using test::World;

namespace {

const Actor host = Actor::host();

Keyring keys_of(std::initializer_list<std::pair<const char*, KeyUse>> keys) {
  Keyring keyring;
  std::uint8_t seed = 0;
  for (const auto& [id, use] : keys) REQUIRE(keyring.add(id, use, test::master_key(++seed)).ok());
  return keyring;
}

/// Two hosts with the same storage and the same source of keys, as two processes with one key file are.
struct Hosts {
  explicit Hosts(std::size_t cache, bool marked = true)
      : world(cache), keys(std::make_shared<HeldKeys>(test::one_key(), marked)), one(open()), other(open()) {}

  std::unique_ptr<TokenStore> open(const std::string& workspace = "default") const {
    auto opened = TokenStore::open(world.backend, keys, world.options(workspace));
    if (!opened.ok()) FAIL("the store did not open: " << opened.error().message());
    return std::move(*opened);
  }
  static Kept issue(TokenStore& store, const std::string& owner = "alice") {
    return World::issue(store, {.owner = owner, .scopes = {"read"}});
  }

  World world;
  std::shared_ptr<HeldKeys> keys;
  std::unique_ptr<TokenStore> one;
  std::unique_ptr<TokenStore> other;
};

std::string status_in(TokenStore& store) {
  std::string told;
  const auto keys = store.key_status(host);
  REQUIRE(keys.ok());
  for (const KeyStatus& key : *keys) {
    const char use = !key.use ? '-' : *key.use == KeyUse::active ? 'a' : *key.use == KeyUse::verify_only ? 'v' : 'r';
    told += (told.empty() ? "" : ", ") + key.id + use + ' ' + std::to_string(key.seals) + ' ' +
            std::to_string(key.living_tokens);
  }
  return told;
}

}  // namespace

TEST_CASE("a key goes its whole way while two hosts work, and each step shows at once") {
  for (const std::size_t cache : test::cache_sizes()) {
    Hosts hosts(cache);
    TokenStore& one = *hosts.one;
    TokenStore& other = *hosts.other;
    const Kept old = Hosts::issue(one);
    CHECK(World::ask(other, old) == Reason::none);
    CHECK(World::ask(other, old) == Reason::none);
    // The store's, the workspace's, the owner's and the token's.
    CHECK(status_in(one) == "0Aa 4 1");

    REQUIRE(one.add_key(host).value() == "0B");
    CHECK(status_in(one) == "0Aa 4 1, 0Bv 0 0");
    CHECK(Hosts::issue(one).text.substr(0, 7) == "pat_10A");
    REQUIRE(one.activate_key(host, "0B").ok());
    const Kept fresh = Hosts::issue(one);
    CHECK(fresh.text.substr(0, 7) == "pat_10B");
    CHECK(World::ask(other, fresh) == Reason::none);
    CHECK(World::ask(other, old) == Reason::none);
    CHECK(Hosts::issue(other, "bob").text.substr(0, 7) == "pat_10B");
    CHECK(hosts.world.stored_owner("bob").seal_key_id == "0B");

    // What outlives the old key is still under it.
    CHECK(one.retire_key(host, "0A").status() == Status::refused);
    CHECK(one.remove_key(host, "0A").status() == Status::refused);
    CHECK(one.retire_key(host, "0B").status() == Status::refused);
    REQUIRE(other.reseal(host)->refused == 0);
    CHECK(status_in(one) == "0Av 0 2, 0Ba 8 2");
    CHECK(one.remove_key(host, "0A").status() == Status::refused);
    CHECK(World::ask(one, old) == Reason::none);

    REQUIRE(one.retire_key(host, "0A").ok());
    CHECK(World::ask(one, old) == Reason::retired_key);
    CHECK(World::ask(other, old) == Reason::retired_key);
    CHECK(World::ask(other, fresh) == Reason::none);
    CHECK(status_in(other) == "0Ar 0 0, 0Ba 8 2");
    REQUIRE(one.remove_key(host, "0A").ok());
    CHECK(World::ask(one, old) == Reason::forged);
    CHECK(World::ask(other, old) == Reason::forged);
    CHECK(World::ask(other, fresh) == Reason::none);
    CHECK(other.check(host)->problem_count == 0);
    CHECK(one.statistics().keys_taken == 4);
    CHECK(other.statistics().keys_taken >= 3);
    CHECK(other.statistics().feed_mismatches == 0);
  }
}

TEST_CASE("a token of a key that a host has not heard of makes it look before it says forged") {
  for (const std::size_t cache : test::cache_sizes()) {
    Hosts hosts(cache);
    const Kept old = Hosts::issue(*hosts.one);
    CHECK(World::ask(*hosts.other, old) == Reason::none);
    // Nobody announces anything: somebody has put a file there.
    hosts.keys->set(keys_of({{"0A", KeyUse::verify_only}, {"0B", KeyUse::active}}));
    REQUIRE(hosts.one->reload_keys().value());
    CHECK_FALSE(hosts.one->reload_keys().value());
    const Kept fresh = Hosts::issue(*hosts.one);
    REQUIRE(fresh.text.substr(0, 7) == "pat_10B");
    Verdict verdict;
    CHECK_FALSE(hosts.other->try_validate(fresh.text, Demand("read"), verdict));
    CHECK(verdict.outcome() == Outcome::unavailable);
    CHECK(World::ask(*hosts.other, fresh) == Reason::none);
    // A store that does not look refuses it: the control.
    const auto stubborn = hosts.world.open(test::one_key());
    CHECK(World::ask(*stubborn, fresh) == Reason::forged);
    CHECK(stubborn->reload_keys().status() == Status::unsupported);
    CHECK(stubborn->add_key(host).status() == Status::unsupported);
  }
}

TEST_CASE("whoever cannot be told by a mark is asked once in a while, and outright when it is said") {
  Hosts hosts(StoreOptions{}.cache_bytes, false);
  const Kept genuine = Hosts::issue(*hosts.one);
  std::string unknown = genuine.text;
  unknown.replace(5, 2, "zz");
  const Kept made = Hosts::issue(*hosts.world.open(keys_of({{"0A", KeyUse::verify_only}, {"0B", KeyUse::active}})));
  const int asked = hosts.keys->asked();
  for (int i = 0; i < 1000; ++i) CHECK(World::ask(*hosts.one, made) == Reason::forged);
  // The pause begins when the store is opened.
  CHECK(hosts.keys->asked() - asked <= 1);
  hosts.keys->set(keys_of({{"0A", KeyUse::verify_only}, {"0B", KeyUse::active}}));
  REQUIRE(hosts.one->reload_keys().value());
  CHECK(World::ask(*hosts.one, made) == Reason::none);
  CHECK(hosts.one->maintain().ok());
  CHECK(hosts.keys->asked() - asked <= 3);
}

TEST_CASE("retired keys are noticed in upkeep, in a catch-up and when storage is asked, and by no hit alone") {
  Hosts hosts(StoreOptions{}.cache_bytes);
  const Kept old = Hosts::issue(*hosts.one);
  REQUIRE(hosts.one->add_key(host).ok());
  REQUIRE(hosts.one->activate_key(host, "0B").ok());
  REQUIRE(hosts.one->reseal(host).ok());
  // Before the other host catches up: from then on nothing moves the pulse.
  const Kept never_asked = Hosts::issue(*hosts.one);
  CHECK(World::ask(*hosts.one, old) == Reason::none);
  CHECK(World::ask(*hosts.other, old) == Reason::none);
  CHECK(World::ask(*hosts.other, old) == Reason::none);
  const int marks = hosts.keys->marks();
  REQUIRE(hosts.keys->replace([](Keyring& keys) { return keys.retire("0A"); }).ok());
  // Nobody has told it, and a hit asks nobody.
  CHECK(World::ask(*hosts.other, old) == Reason::none);
  CHECK(hosts.keys->marks() == marks);
  SECTION("upkeep") {
    REQUIRE(hosts.other->maintain().ok());
  }
  SECTION("a catch-up") {
    REQUIRE(hosts.one->suspend(host, "carol").ok());
  }
  SECTION("a miss of another token, some time later") {
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    CHECK(World::ask(*hosts.other, never_asked) == Reason::none);
  }
  CHECK(World::ask(*hosts.other, old) == Reason::retired_key);
}

TEST_CASE("records that a newer key has sealed are believed by hosts that still have to look") {
  for (const std::size_t cache : test::cache_sizes()) {
    Hosts hosts(cache);
    const Kept token = Hosts::issue(*hosts.one);
    CHECK(World::ask(*hosts.other, token) == Reason::none);
    hosts.keys->set(keys_of({{"0A", KeyUse::verify_only}, {"0B", KeyUse::active}}));
    REQUIRE(hosts.one->reseal(host)->resealed == 4);
    CHECK(World::ask(*hosts.other, token) == Reason::none);
    CHECK(hosts.other->get(host, token.id)->state == TokenState::active);
    CHECK(hosts.other->statistics().feed_mismatches == 0);
  }
}

TEST_CASE("once the records are sealed anew, no host goes back to the old key, whatever it knew") {
  Hosts hosts(0);
  // The other host knows the new key, and that it is not the active one.
  hosts.keys->set(keys_of({{"0A", KeyUse::active}, {"0B", KeyUse::verify_only}}));
  REQUIRE(hosts.other->reload_keys().value());
  const Kept token = Hosts::issue(*hosts.one);
  hosts.keys->set(keys_of({{"0A", KeyUse::verify_only}, {"0B", KeyUse::active}}));
  REQUIRE(hosts.one->reseal(host)->refused == 0);
  SECTION("a token") {
    REQUIRE(hosts.other->revoke(host, token.id).ok());
    CHECK(hosts.world.stored(token.id).seal_key_id == "0B");
  }
  SECTION("a new token and a new owner") {
    const Kept fresh = Hosts::issue(*hosts.other, "bob");
    CHECK(fresh.text.substr(0, 7) == "pat_10B");
    CHECK(hosts.world.stored(fresh.id).seal_key_id == "0B");
    CHECK(hosts.world.stored_owner("bob").seal_key_id == "0B");
  }
  SECTION("an owner who is new and has no token") {
    REQUIRE(hosts.other->suspend(host, "bob").ok());
    CHECK(hosts.world.stored_owner("bob").seal_key_id == "0B");
  }
  SECTION("the policy") {
    REQUIRE(hosts.other->set_policy(host, Policy{}).ok());
    CHECK(hosts.world.stored_workspace().seal_key_id == "0B");
  }
  SECTION("sealing anew") {
    CHECK(hosts.other->reseal(host)->refused == 0);
    CHECK(hosts.world.stored(token.id).seal_key_id == "0B");
    CHECK(hosts.world.stored_workspace().seal_key_id == "0B");
    CHECK(hosts.world.backend->inner().load_store()->value().seal_key_id == "0B");
  }
}

TEST_CASE("an activation that another one overtakes leaves what that one has sealed") {
  Hosts hosts(0);
  Hosts::issue(*hosts.one);
  hosts.keys->set(keys_of({{"0A", KeyUse::active}, {"0B", KeyUse::verify_only}, {"0C", KeyUse::verify_only}}));
  REQUIRE(hosts.other->reload_keys().ok());
  const auto overtaken_before = GENERATE(test::Call::load_store, test::Call::load_workspace);
  bool once = true;
  hosts.world.backend->before = [&](test::Call call) {
    if (call != overtaken_before || !once) return;
    once = false;
    REQUIRE(hosts.one->activate_key(host, "0C").ok());
  };
  REQUIRE(hosts.other->activate_key(host, "0B").ok());
  CHECK_FALSE(once);
  CHECK(hosts.world.stored_workspace().seal_key_id == "0C");
  CHECK(hosts.world.backend->inner().load_store()->value().seal_key_id == "0C");
}

TEST_CASE("an issue that an activation overtakes is made with the new key") {
  Hosts hosts(0);
  Hosts::issue(*hosts.one);
  REQUIRE(hosts.one->add_key(host).ok());
  REQUIRE(hosts.other->reload_keys().ok());
  bool once = true;
  hosts.world.backend->before = [&](test::Call call) {
    if (call != test::Call::commit || !once) return;
    once = false;
    REQUIRE(hosts.one->activate_key(host, "0B").ok());
  };
  const Kept token = Hosts::issue(*hosts.other);
  CHECK_FALSE(once);
  CHECK(token.text.substr(0, 7) == "pat_10B");
  CHECK(hosts.world.stored(token.id).seal_key_id == "0B");
}

TEST_CASE("keys hang together in all workspaces of a store") {
  Hosts hosts(0);
  const auto tenant = hosts.open("tenant");
  const Kept token = Hosts::issue(*tenant);
  REQUIRE(hosts.one->add_key(host).ok());
  REQUIRE(hosts.one->activate_key(host, "0B").ok());
  REQUIRE(hosts.one->reseal(host).ok());
  const auto refused = hosts.one->retire_key(host, "0A");
  REQUIRE(refused.status() == Status::refused);
  CHECK(refused.error().message().find("'tenant'") != std::string::npos);
  REQUIRE(tenant->reseal(host).ok());
  CHECK(status_in(*hosts.one) == "0Av 0 1, 0Ba 5 0");
  REQUIRE(hosts.one->retire_key(host, "0A").ok());
  CHECK(World::ask(*tenant, token) == Reason::retired_key);
}

TEST_CASE("keys that cannot be taken leave those in use, and say why") {
  Hosts hosts(GENERATE(std::size_t{0}, StoreOptions{}.cache_bytes));
  const Kept token = Hosts::issue(*hosts.one);
  SECTION("another store's") {
    hosts.keys->set(test::one_key(9, "0Z"));
  }
  SECTION("none that is active") {
    hosts.keys->set(keys_of({{"0A", KeyUse::verify_only}}));
  }
  SECTION("a source that fails") {
    hosts.keys->fail(Error(Status::cannot_open, "no"));
  }
  REQUIRE(hosts.one->maintain().ok());
  CHECK(World::ask(*hosts.one, token) == Reason::none);
  CHECK(hosts.one->statistics().keys_refused == 1);
  CHECK(hosts.one->statistics().keys_taken == 0);
  CHECK_FALSE(hosts.one->reload_keys().ok());
  hosts.keys->set(test::one_key());
  CHECK_FALSE(hosts.one->reload_keys().value());
  CHECK(World::ask(*hosts.one, token) == Reason::none);
}

TEST_CASE("who can write storage cannot keep a store at a key that is retired") {
  Hosts hosts(GENERATE(std::size_t{0}, StoreOptions{}.cache_bytes));
  const Kept old = Hosts::issue(*hosts.one);
  hosts.keys->set(keys_of({{"0A", KeyUse::verify_only}, {"0B", KeyUse::active}}));
  REQUIRE(hosts.one->reseal(host).ok());
  CHECK(World::ask(*hosts.other, old) == Reason::none);
  SECTION("by the store's record") {
    hosts.world.backend->alter_store = [](std::optional<StoreRecord>& record) { record->seal[0] ^= 1; };
  }
  SECTION("by taking it away") {
    hosts.world.backend->alter_store = [](std::optional<StoreRecord>& record) { record.reset(); };
  }
  SECTION("by having storage fail") {
    hosts.world.backend->fail = [](test::Call call) -> std::optional<Error> {
      if (call != test::Call::load_store) return std::nullopt;
      return Error(Status::unavailable, "storage is away");
    };
  }
  hosts.keys->set(keys_of({{"0A", KeyUse::retired}, {"0B", KeyUse::active}}));
  CHECK(hosts.other->maintain().ok());
  CHECK(World::ask(*hosts.other, old) == Reason::retired_key);
}

TEST_CASE("keys of which none is in use are taken once storage tells that they are this store's") {
  Hosts hosts(0);
  const Kept token = Hosts::issue(*hosts.one);
  REQUIRE(hosts.world.open(keys_of({{"0A", KeyUse::verify_only}, {"0B", KeyUse::active}}))->reseal(host).ok());
  Keyring alone;
  REQUIRE(alone.add("0B", KeyUse::active, test::master_key(2)).ok());
  hosts.world.backend->fail = [](test::Call call) -> std::optional<Error> {
    if (call != test::Call::load_store) return std::nullopt;
    return Error(Status::unavailable, "storage is away");
  };
  hosts.keys->set(alone);
  CHECK(hosts.one->reload_keys().status() == Status::unavailable);
  CHECK(World::ask(*hosts.one, token) == Reason::tampered);
  hosts.world.backend->fail = nullptr;
  CHECK(hosts.one->reload_keys().value());
  CHECK(World::ask(*hosts.one, token) == Reason::forged);
  CHECK(World::ask(*hosts.one, Hosts::issue(*hosts.one, "bob")) == Reason::none);
}

TEST_CASE("a workspace that was tampered with keeps no key from being retired, and any from being taken out") {
  Hosts hosts(0);
  const auto tenant = hosts.open("tenant");
  REQUIRE(hosts.one->add_key(host).ok());
  REQUIRE(hosts.one->activate_key(host, "0B").ok());
  REQUIRE(hosts.one->reseal(host).ok());
  WorkspaceRecord changed = hosts.world.stored_workspace("tenant");
  changed.seal[3] ^= 1;
  hosts.world.smuggle(changed, changed.revision, "tenant");
  const auto status = hosts.one->key_status(host);
  REQUIRE(status.status() == Status::tampered);
  CHECK(status.error().message().find("\"tenant\"") != std::string::npos);
  const auto removed = hosts.one->remove_key(host, "0A");
  REQUIRE(removed.status() == Status::tampered);
  CHECK(removed.error().message().find("\"tenant\"") != std::string::npos);
  CHECK(hosts.one->retire_key(host, "0A").ok());
}

TEST_CASE("what a retired key linked in the change feed is compared, and not believed at the end") {
  Hosts hosts(0);
  Hosts::issue(*hosts.one);
  const auto problems = [&] { return hosts.one->check(host)->problem_count; };
  const auto changed_at = [&](std::size_t at) {
    hosts.world.backend->alter_changes = [at](Changes& changes) {
      if (changes.entries.size() > at) changes.entries[at].link[7] ^= 1;
    };
    const std::uint64_t found = problems();
    hosts.world.backend->alter_changes = nullptr;
    return found;
  };
  const std::size_t linked_by_old = hosts.world.backend->inner().changes("default", 0)->entries.size();
  REQUIRE(linked_by_old >= 2);
  hosts.keys->set(keys_of({{"0A", KeyUse::verify_only}, {"0B", KeyUse::active}}));
  REQUIRE(hosts.one->reseal(host).ok());
  hosts.keys->set(keys_of({{"0A", KeyUse::retired}, {"0B", KeyUse::active}}));
  REQUIRE(hosts.one->reload_keys().value());
  CHECK(problems() == 0);
  for (std::size_t at = 0; at < linked_by_old; ++at) {
    CAPTURE(at);
    CHECK(changed_at(at) == 1);
  }
  // Whoever has stolen the retired key may link what he likes behind the others.
  REQUIRE(
      hosts.world.open(keys_of({{"0A", KeyUse::active}, {"0B", KeyUse::verify_only}}))->suspend(host, "mallory").ok());
  const auto report = hosts.one->check(host).value();
  CHECK(report.problem_count == 2);
  CHECK(report.problems.at(0).find("owner \"mallory\"") == 0);
  CHECK(report.problems.at(1).find("feed") != std::string::npos);
}

TEST_CASE("whoever goes by the mark does not wait for a host that is asked for its keys") {
  Hosts hosts(0, false);
  const Kept token = Hosts::issue(*hosts.one);
  std::promise<void> asked;
  std::promise<void> answer;
  hosts.keys->before_answer = [&] {
    asked.set_value();
    answer.get_future().wait();
  };
  std::thread reloads([&] { static_cast<void>(hosts.one->reload_keys()); });
  asked.get_future().wait();
  // It asks storage, and so looks by the mark.
  auto verdict = std::async(std::launch::async, [&] { return World::ask(*hosts.one, token); });
  const bool in_time = verdict.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
  answer.set_value();
  reloads.join();
  CHECK(in_time);
  CHECK(verdict.get() == Reason::none);
}

TEST_CASE("keys are the business of the host, on a store that can be written: other workspaces' tokens hang on them") {
  Hosts hosts(0);
  for (const Actor& actor : {Actor::user("alice"), Actor::administrator("root")}) {
    CHECK(hosts.one->key_status(actor).status() == Status::permission_denied);
    CHECK(hosts.one->add_key(actor).status() == Status::permission_denied);
    CHECK(hosts.one->activate_key(actor, "0A").status() == Status::permission_denied);
    CHECK(hosts.one->retire_key(actor, "0A").status() == Status::permission_denied);
    CHECK(hosts.one->remove_key(actor, "0A").status() == Status::permission_denied);
  }
  CHECK(hosts.one->activate_key(host, "0C").status() == Status::not_found);
  CHECK(hosts.one->retire_key(host, "0C").status() == Status::not_found);
  CHECK(hosts.one->remove_key(host, "0C").status() == Status::not_found);
  CHECK(hosts.one->key_status(host, [](std::uint64_t, std::uint64_t) { return false; }).status() == Status::conflict);
  CHECK(TokenStore::open(hosts.world.backend, std::shared_ptr<KeySource>(), hosts.world.options()).status() ==
        Status::invalid_argument);
}
