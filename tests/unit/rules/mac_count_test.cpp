// How many MACs a refusal takes: as many for what is not there as for a wrong secret, so that neither time nor power
// tells the two apart. Counted where the library calls libsodium, so the program stands alone.
#include <dlfcn.h>
#include <sodium.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "world.hpp"

namespace {

std::atomic<int> macs{0};

}  // namespace

// Found before libsodium's own, which it passes the call on to.
extern "C" int crypto_auth_hmacsha256_final(crypto_auth_hmacsha256_state* state, unsigned char* out) {
  using Final = int (*)(crypto_auth_hmacsha256_state*, unsigned char*);
  static const auto real = reinterpret_cast<Final>(dlsym(RTLD_NEXT, "crypto_auth_hmacsha256_final"));
  macs.fetch_add(1);
  return real(state, out);
}

using namespace tokenstore;
using tokenstore::test::Kept;
using tokenstore::test::World;

namespace {

/// MACs of one validation, the tag's among them.
int macs_of(World& world, const std::string& text, Reason expected) {
  macs = 0;
  const Verdict verdict = world.store->validate(text, Demand("read"));
  const int counted = macs;
  CHECK(verdict.reason() == expected);
  return counted;
}

}  // namespace

TEST_CASE("a record that is missing and a wrong secret take the same two MACs after the tag's") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    const Kept token = world.issue("alice");
    // The control: the counter sees what is computed.
    CHECK(macs_of(world, "not a token", Reason::malformed) == 0);

    World twin;
    const Kept nobodys = twin.issue("mallory");
    CHECK(macs_of(world, nobodys.text, Reason::unknown) == 3);
    const Kept others = twin.issue("mallory");
    TokenRecord record = world.stored(token.id);
    record.id = others.id;
    world.smuggle(record, 0);
    CHECK(macs_of(world, others.text, Reason::wrong_secret) == 3);
  }
}
