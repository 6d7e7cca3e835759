/// A canary: no piece of a secret in anything that the library returns or stores, and the verifier in
/// the database alone.
#include <filesystem>

#include "support/canary.hpp"
#include "support/temp_directory.hpp"
#include "tokenstore/backends/sqlite.hpp"
#include "unit/rules/world.hpp"

using namespace tokenstore;
using test::World;

namespace {

/// All that the library has said.
class Ears {
 public:
  template <typename T>
  void hear(const Result<T>& result) {
    if (!result.ok()) {
      said_ += result.error().message() + '\n';
    } else if constexpr (!std::is_void_v<T>) {
      hear(*result);
    }
  }
  void hear(const TokenInfo& info) {
    for (const std::string* text : {&info.id, &info.owner, &info.description, &info.metadata, &info.created_by,
                                    &info.revoked_by, &info.revoke_reason, &info.last_used_from}) {
      said_ += *text + '\n';
    }
    for (const std::string& scope : info.scopes) said_ += scope + '\n';
  }
  void hear(const Issued& issued) { hear(issued.info); }
  void hear(const TokenPage& page) {
    for (const TokenInfo& token : page.tokens) hear(token);
    said_ += page.next + '\n';
  }
  void hear(const OwnerInfo& info) {
    said_ += info.owner + '\n' + info.suspended_by + '\n' + info.suspend_reason + '\n';
  }
  void hear(const OwnerPage& page) {
    for (const OwnerInfo& owner : page.owners) hear(owner);
    said_ += page.next + '\n';
  }
  void hear(const CheckReport& report) {
    for (const std::string& line : report.problems) said_ += line + '\n';
  }
  void hear(const Verdict& verdict) {
    for (const std::string_view part : {verdict.id(), verdict.owner(), verdict.scopes(), verdict.metadata()}) {
      said_.append(part).append("\n");
    }
  }
  void hear(const Policy&) {}
  void hear(const PurgeResult&) {}
  void hear(const StateCounts&) {}
  void hear(bool) {}
  void hear(std::uint64_t) {}
  void hear(const std::string& text) { said_ += text + '\n'; }
  const std::string& said() const { return said_; }

 private:
  std::string said_;
};

void exercise(TokenStore& store, const test::Kept& token, Ears& ears) {
  const Actor host = Actor::host();
  ears.hear(store.validate(token.text, Demand("read", "192.0.2.1")));
  ears.hear(store.validate(token.text, Demand("admin")));
  ears.hear(store.validate(token.text.substr(0, token.text.size() - 1) + "!", Demand("read")));
  for (const std::string& id : {token.id, token.text, std::string("0000000000000000")}) {
    for (const Actor& actor : {host, Actor::user("alice"), Actor::user("bob"), Actor::administrator("root")}) {
      ears.hear(store.get(actor, id));
      ears.hear(store.expire(actor, id, store.now() + 1000));
    }
  }
  // A client that puts its token where something else belongs.
  ears.hear(store.list(host, {.cursor = token.text}));
  ears.hear(store.issue(Actor::user("alice"), {.owner = "bob", .metadata = "m"}));
  ears.hear(store.issue(host, {.owner = "alice", .scopes = {token.text + " "}}));
  ears.hear(store.issue(host, {.owner = token.text + "\n"}));
  ears.hear(store.owner(host, token.text));
  ears.hear(store.revoke_all(host, token.text));
  ears.hear(store.revoke(host, token.id, token.text + "\n"));
  ears.hear(store.list(Actor::user(token.text + "\n"), {}));
  ears.hear(store.list(host, {}));
  ears.hear(store.list_owners(host));
  ears.hear(store.count(host));
  ears.hear(store.suspend(host, "alice", "x"));
  ears.hear(store.validate(token.text, Demand("read")));
  ears.hear(store.resume(host, "alice"));
  ears.hear(store.set_policy(host, {}));
  ears.hear(store.check(host));
  ears.hear(store.revoke(host, token.id, "y"));
  ears.hear(store.validate(token.text, Demand("read")));
  ears.hear(store.maintain());
  ears.hear(store.scanner_pattern());
}

}  // namespace

TEST_CASE("no piece of a secret is in anything that is returned, nor the verifier") {
  for (const std::size_t cache : test::cache_sizes()) {
    World world(cache);
    Ears ears;
    const auto token = world.issue(IssueRequest{.owner = "alice", .scopes = {"read"}});
    const Bytes32 verifier = world.stored(token.id).verifier;
    exercise(*world.store, token, ears);
    const auto tampered = world.issue("alice");
    TokenRecord record = world.stored(tampered.id);
    record.owner = "bob";
    world.smuggle(record, record.revision);
    exercise(*world.store, tampered, ears);
    world.backend->fail = [](test::Call) { return Error(Status::unavailable, "storage failed"); };
    exercise(*world.store, token, ears);
    for (const auto& kept : {token, tampered}) CHECK_FALSE(test::leaks(ears.said(), test::secret_of(kept.text)));
    CHECK_FALSE(test::leaks(ears.said(), {reinterpret_cast<const char*>(verifier.data()), verifier.size()}));
    // The ears do hear: the public part is there, and a leak would be found.
    CHECK(ears.said().find(token.id) != std::string::npos);
    ears.hear(token.text.substr(25, 10));
    CHECK(test::leaks(ears.said(), test::secret_of(token.text)));
  }
}

TEST_CASE("no piece of a secret is in the SQLite file, its WAL or its index") {
  for (const std::size_t cache : test::cache_sizes()) {
    const test::TempDirectory directory;
    SqliteOptions options;
    options.path = directory.file("tokens.db");
    World world(cache, sqlite_backend(options).value());
    Ears ears;
    std::vector<test::Kept> tokens;
    for (int i = 0; i < 20; ++i) tokens.push_back(world.issue("alice"));
    const Bytes32 verifier = world.stored(tokens[0].id).verifier;
    exercise(*world.store, tokens[0], ears);
    const auto all_files = [&] {
      std::string content;
      for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
        content += test::file_content(entry.path().string());
      }
      return content;
    };
    for (int round = 0; round < 2; ++round) {
      const std::string content = all_files();
      for (const auto& token : tokens) {
        CHECK_FALSE(test::leaks(content, test::secret_of(token.text)));
        CHECK_FALSE(test::leaks(ears.said(), test::secret_of(token.text)));
      }
      // The search works: what is stored is found.
      CHECK(content.find(tokens[5].id) != std::string::npos);
      CHECK(content.find(std::string(verifier.begin(), verifier.end())) != std::string::npos);
      world.store.reset();
      world.backend.reset();
    }
  }
}
