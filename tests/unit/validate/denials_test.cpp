/// Endings that storage could not be told of.
#include <catch2/catch.hpp>
#include <string>
#include <thread>

#include "support/seeded_random.hpp"
#include "validate/denials.hpp"

using namespace tokenstore;
using validate::Denials;
using validate::OwnerStop;

namespace {

struct World {
  test::SeededRandom random{7};
  validate::Fingerprinter fingerprinter{random};
  Denials denials{fingerprinter};

  /// As a hit asks: first what costs nothing, then exactly.
  bool denied(const std::string& id, const std::string& owner) const { return denied_by(denials, id, owner); }
  bool denied_by(const Denials& by, const std::string& id, const std::string& owner) const {
    const auto place = fingerprinter.place(validate::IdWords::of(id.data()));
    const bool exactly = by.denies(id, owner);
    const bool quickly = by.any() && by.may_deny(place, fingerprinter.group(owner));
    CHECK((quickly || !exactly));
    return quickly && exactly;
  }
};

std::string id_of(int number) {
  std::string id = std::to_string(number);
  return std::string(16 - id.size(), '0') + id;
}

}  // namespace

TEST_CASE("a denied token is denied until storage knows, and no other is") {
  World world;
  CHECK_FALSE(world.denials.any());
  for (int i = 0; i < 1000; i += 2) world.denials.deny_token(id_of(i));
  for (int i = 0; i < 1000; ++i) CHECK(world.denied(id_of(i), "alice") == (i % 2 == 0));
  for (int i = 0; i < 1000; i += 4) world.denials.allow_token(id_of(i));
  for (int i = 0; i < 1000; ++i) CHECK(world.denied(id_of(i), "alice") == (i % 4 == 2));
  for (int i = 2; i < 1000; i += 4) world.denials.allow_token(id_of(i));
  CHECK_FALSE(world.denials.any());
  world.denials.deny_token(id_of(4));
  world.denials.deny_token(id_of(4));
  CHECK(world.denied(id_of(4), "alice"));
  world.denials.allow_token(id_of(4));
  CHECK_FALSE(world.denials.any());
}

TEST_CASE("who could not be shown a token's record ends it only if it is theirs") {
  World world;
  world.denials.deny_token_of(id_of(1), "alice");
  CHECK(world.denied(id_of(1), "alice"));
  CHECK_FALSE(world.denied(id_of(1), "bob"));
  CHECK_FALSE(world.denied(id_of(2), "alice"));
  world.denials.deny_token(id_of(1));
  CHECK(world.denied(id_of(1), "bob"));
  world.denials.allow_token(id_of(1));
  CHECK_FALSE(world.denied(id_of(1), "alice"));
  CHECK_FALSE(world.denials.any());
}

TEST_CASE("what stops an owner is remembered for each reason by itself") {
  World world;
  world.denials.deny_owner("alice", OwnerStop::suspension);
  world.denials.deny_owner("alice", OwnerStop::revoke_all);
  CHECK(world.denied(id_of(1), "alice"));
  CHECK_FALSE(world.denied(id_of(1), "bob"));
  world.denials.allow_owner("alice", OwnerStop::suspension);
  CHECK(world.denied(id_of(1), "alice"));
  world.denials.allow_owner("alice", OwnerStop::may_not_use);
  CHECK(world.denied(id_of(1), "alice"));
  world.denials.allow_owner("alice", OwnerStop::revoke_all);
  CHECK_FALSE(world.denied(id_of(1), "alice"));
  CHECK_FALSE(world.denials.any());
  world.denials.deny_everything();
  world.denials.deny_everything();
  CHECK(world.denied(id_of(1), "bob"));
  world.denials.allow_everything();
  CHECK_FALSE(world.denials.any());
}

TEST_CASE("what is no id is never denied as a token, and denies nobody") {
  World world;
  world.denials.deny_token("too short");
  world.denials.deny_token("000000000000000_");
  CHECK_FALSE(world.denials.any());
  world.denials.deny_token(id_of(1));
  world.denials.allow_token("too short");
  CHECK(world.denials.denies(id_of(1), "alice"));
  CHECK_FALSE(world.denials.denies("too short", "alice"));
  world.denials.deny_owner("alice", OwnerStop::suspension);
  CHECK(world.denials.denies("too short", "alice"));
}

TEST_CASE("users who ask for the end of what cannot be read fill no memory, and take nobody else's room") {
  World world;
  for (std::size_t number = 0; number < Denials::most_unread; ++number) {
    world.denials.deny_token_of(id_of(static_cast<int>(number)), "mallory");
  }
  const int last = static_cast<int>(Denials::most_unread);
  CHECK(world.denied(id_of(last - 1), "mallory"));
  world.denials.deny_token_of(id_of(last), "mallory");
  CHECK_FALSE(world.denied(id_of(last), "mallory"));
  world.denials.deny_token(id_of(last));
  CHECK(world.denied(id_of(last), "mallory"));
  world.denials.deny_owner("bob", OwnerStop::suspension);
  CHECK(world.denied(id_of(last + 1), "bob"));
}

TEST_CASE("allowing what was never denied, or twice, ends no other denial") {
  World world;
  world.denials.deny_token(id_of(1));
  world.denials.deny_token_of(id_of(2), "alice");
  world.denials.deny_token_of(id_of(2), "bob");
  for (int twice = 0; twice < 2; ++twice) {
    world.denials.allow_token(id_of(1));
    world.denials.allow_token(id_of(3));
    world.denials.allow_owner("alice", OwnerStop::suspension);
  }
  CHECK_FALSE(world.denied(id_of(1), "alice"));
  CHECK(world.denied(id_of(2), "alice"));
  CHECK(world.denied(id_of(2), "bob"));
  world.denials.allow_token(id_of(2));
  CHECK_FALSE(world.denials.any());
}

TEST_CASE("an owner whose name shares a chain with a stopped one goes on") {
  World world;
  // 256 chains: of so many names some stand in each.
  for (int number = 0; number < 1'000; number += 2) {
    world.denials.deny_owner("owner" + std::to_string(number), OwnerStop::suspension);
  }
  for (int number = 0; number < 1'000; ++number) {
    CHECK(world.denials.denies(id_of(1), "owner" + std::to_string(number)) == (number % 2 == 0));
  }
  for (int number = 0; number < 1'000; number += 4) {
    world.denials.allow_owner("owner" + std::to_string(number), OwnerStop::suspension);
  }
  for (int number = 0; number < 1'000; ++number) {
    CHECK(world.denials.denies(id_of(1), "owner" + std::to_string(number)) == (number % 4 == 2));
  }
}

TEST_CASE("a child takes over that everything is denied") {
  World world;
  world.denials.deny_everything();
  Denials child(world.fingerprinter);
  child.inherit(world.denials);
  CHECK(world.denied_by(child, id_of(1), "alice"));
  child.allow_everything();
  CHECK_FALSE(child.any());
  CHECK(world.denied(id_of(1), "alice"));
}

TEST_CASE("one denial costs few of the others a second look") {
  World world;
  world.denials.deny_token(id_of(1));
  world.denials.deny_owner("alice", OwnerStop::suspension);
  int looked = 0;
  for (int i = 2; i < 10'002; ++i) {
    const std::string id = id_of(i);
    looked += world.denials.may_deny(world.fingerprinter.place(validate::IdWords::of(id.data())),
                                     world.fingerprinter.group("owner-" + id))
                  ? 1
                  : 0;
  }
  CHECK(looked < 200);
}

TEST_CASE("a child takes over what its parent denied, also while the parent is changing it") {
  World world;
  world.denials.deny_token(id_of(1));
  world.denials.deny_token_of(id_of(2), "bob");
  world.denials.deny_owner("carol", OwnerStop::revoke_all);
  world.denials.deny_token(id_of(3));
  world.denials.allow_token(id_of(3));
  std::atomic<bool> stop{false};
  std::thread changing([&] {
    for (int i = 100; !stop; i = i < 5000 ? i + 1 : 100) {
      world.denials.deny_token(id_of(i));
      world.denials.allow_token(id_of(i));
    }
  });
  for (int round = 0; round < 200; ++round) {
    Denials child(world.fingerprinter);
    child.inherit(world.denials);
    CHECK(world.denied_by(child, id_of(1), "alice"));
    CHECK(world.denied_by(child, id_of(2), "bob"));
    CHECK_FALSE(world.denied_by(child, id_of(2), "alice"));
    CHECK(world.denied_by(child, id_of(4), "carol"));
    CHECK_FALSE(world.denied_by(child, id_of(3), "alice"));
    child.allow_owner("carol", OwnerStop::revoke_all);
    CHECK_FALSE(world.denied_by(child, id_of(4), "carol"));
  }
  stop = true;
  changing.join();
  CHECK(world.denied(id_of(4), "carol"));
}
