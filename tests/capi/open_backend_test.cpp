// What tokenstore_open_backend accepts, whom it closes, and what it does for backends that are not thread-safe or have
// no pulse.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <limits>
#include <string>
#include <thread>

#include "hostile_host.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

/// The status of opening on `entries`, and what the error says.
std::pair<std::int32_t, std::string> open_on(const tokenstore_backend* entries,
                                             tokenstore_open_options options = HostileHost::options_with(-1)) {
  auto* store = reinterpret_cast<tokenstore_store*>(&options);  // must be replaced
  tokenstore_error* error = nullptr;
  const std::int32_t status = tokenstore_open_backend(&options, entries, &store, &error);
  std::string message = tokenstore_error_message(error, nullptr);
  tokenstore_error_free(error);
  CHECK((store != nullptr) == (status == TOKENSTORE_OK));
  tokenstore_free(store);
  return {status, message};
}

}  // namespace

TEST_CASE("open: each required entry that is NULL is refused by its name, and the context is closed") {
  using Clear = void (*)(tokenstore_backend&);
  const std::vector<std::pair<std::string, Clear>> required = {
      {"load_token", [](auto& entries) { entries.load_token = nullptr; }},
      {"load_owner", [](auto& entries) { entries.load_owner = nullptr; }},
      {"load_workspace", [](auto& entries) { entries.load_workspace = nullptr; }},
      {"load_store", [](auto& entries) { entries.load_store = nullptr; }},
      {"list_tokens", [](auto& entries) { entries.list_tokens = nullptr; }},
      {"list_owners", [](auto& entries) { entries.list_owners = nullptr; }},
      {"list_workspaces", [](auto& entries) { entries.list_workspaces = nullptr; }},
      {"count_tokens", [](auto& entries) { entries.count_tokens = nullptr; }},
      {"count_live", [](auto& entries) { entries.count_live = nullptr; }},
      {"list_ended", [](auto& entries) { entries.list_ended = nullptr; }},
      {"commit", [](auto& entries) { entries.commit = nullptr; }},
      {"changes", [](auto& entries) { entries.changes = nullptr; }},
      {"record_uses", [](auto& entries) { entries.record_uses = nullptr; }},
  };
  for (const auto& [name, clear] : required) {
    HostileBackend backend;
    tokenstore_backend entries = backend.entries();
    clear(entries);
    const auto [status, message] = open_on(&entries);
    INFO(message);
    CHECK(status == TOKENSTORE_INVALID_ARGUMENT);
    CHECK(message.find(name) != std::string::npos);
    CHECK(backend.closed.load() == 1);
    CHECK(backend.called(Entry::open) == 0);
  }
}

TEST_CASE("open: each optional entry may be NULL") {
  HostileBackend backend;
  tokenstore_backend entries = backend.entries();
  entries.pulse = nullptr;
  entries.maintain = nullptr;
  entries.check_integrity = nullptr;
  CHECK(open_on(&entries).first == TOKENSTORE_OK);
  CHECK(backend.closed.load() == 1);

  HostileBackend unclosed;
  entries = unclosed.entries();
  entries.close = nullptr;
  CHECK(open_on(&entries).first == TOKENSTORE_OK);
  CHECK(unclosed.closed.load() == 0);
  unclosed.behind.close(unclosed.behind.context);
}

TEST_CASE("open: a struct_size that cannot be one is refused, and nothing in the struct is called") {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{8}, TOKENSTORE_BACKEND_SIZE_1_0 - sizeof(void*), std::size_t{1} << 20, SIZE_MAX}) {
    HostileBackend backend;
    tokenstore_backend entries = backend.entries();
    entries.struct_size = size;
    CHECK(open_on(&entries).first == TOKENSTORE_INVALID_ARGUMENT);
    CHECK(backend.closed.load() == 0);
    backend.behind.close(backend.behind.context);
  }
  CHECK(open_on(nullptr).first == TOKENSTORE_INVALID_ARGUMENT);
}

TEST_CASE("open: a backend of a later version is taken unless it uses what is not known here") {
  struct Later {
    tokenstore_backend known;
    void* unknown;
  };
  HostileBackend backend;
  Later later{backend.entries(), nullptr};
  later.known.struct_size = sizeof later;
  CHECK(open_on(&later.known).first == TOKENSTORE_OK);
  CHECK(backend.closed.load() == 1);
  later.known = backend.entries();
  later.known.struct_size = sizeof later;
  later.unknown = &later;
  CHECK(open_on(&later.known).first == TOKENSTORE_INVALID_ARGUMENT);

  HostileBackend other;
  for (const std::uint32_t contract : {0U, 2U, 0xffffffffU}) {
    tokenstore_backend entries = other.entries();
    entries.contract = contract;
    CHECK(open_on(&entries).first == TOKENSTORE_UNSUPPORTED);
  }
  tokenstore_backend entries = other.entries(TOKENSTORE_BACKEND_THREAD_SAFE | 1024U);
  CHECK(open_on(&entries).first == TOKENSTORE_UNSUPPORTED);
  CHECK(other.closed.load() == 4);
  backend.behind.close(backend.behind.context);
}

TEST_CASE("open: capabilities that contradict each other are refused") {
  HostileBackend backend;
  tokenstore_backend entries = backend.entries(TOKENSTORE_BACKEND_FORK_SAFE);
  CHECK(open_on(&entries).first == TOKENSTORE_INVALID_ARGUMENT);
  entries = backend.entries(TOKENSTORE_BACKEND_SOLE_WRITER);
  CHECK(open_on(&entries).first == TOKENSTORE_INVALID_ARGUMENT);
  entries.pulse = nullptr;
  CHECK(backend.closed.load() == 2);
}

TEST_CASE("open: a name has to be one") {
  HostileBackend backend;
  const std::string too_long(65, 'x');
  for (const std::string& name : {std::string(), std::string("two words"), std::string("a\nb"), too_long}) {
    tokenstore_backend entries = backend.entries();
    entries.name = name.data();
    entries.name_size = name.size();
    CHECK(open_on(&entries).first == TOKENSTORE_INVALID_ARGUMENT);
    entries = backend.entries();
    entries.name = nullptr;
    CHECK(open_on(&entries).first == TOKENSTORE_INVALID_ARGUMENT);
  }
}

TEST_CASE("open: a key is required, options of SQLite are refused, and the context is closed each time") {
  HostileBackend backend;
  tokenstore_backend entries = backend.entries();
  tokenstore_open_options options{};
  options.struct_size = sizeof options;
  const auto [status, message] = open_on(&entries, options);
  CHECK(status == TOKENSTORE_INVALID_ARGUMENT);
  CHECK(message.find("key_file") != std::string::npos);
  entries = backend.entries();
  options = HostileHost::options_with(0);
  options.path = "tokens.db";
  options.path_size = 9;
  CHECK(open_on(&entries, options).first == TOKENSTORE_INVALID_ARGUMENT);
  entries = backend.entries();
  options = HostileHost::options_with(0);
  options.key_bytes = nullptr;
  options.key_bytes_size = 0;
  options.key_file = "no-such-file.key";
  options.key_file_size = 16;
  CHECK(open_on(&entries, options).first == TOKENSTORE_WRONG_KEY);
  entries = backend.entries();
  CHECK(tokenstore_open_backend(nullptr, &entries, nullptr, nullptr) == TOKENSTORE_INVALID_ARGUMENT);
  CHECK(backend.closed.load() == 4);
  CHECK(backend.called(Entry::open) == 0);
}

TEST_CASE("open: what `open` fails with is what the host reads") {
  HostileBackend backend;
  backend.before = [](Entry entry, tokenstore_answer* answer) -> std::optional<std::int32_t> {
    if (entry != Entry::open) return std::nullopt;
    return answer->fail(answer, TOKENSTORE_CANNOT_OPEN, TOKENSTORE_LITERAL("the server is not there; start it"));
  };
  tokenstore_backend entries = backend.entries();
  const auto [status, message] = open_on(&entries);
  CHECK(status == TOKENSTORE_CANNOT_OPEN);
  CHECK(message == "the server is not there; start it");
  CHECK(backend.closed.load() == 1);
  CHECK(backend.called(Entry::load_workspace) == 0);
}

TEST_CASE("open: another key than the one that sealed it is refused, and the context is closed") {
  HostileBackend backend;
  tokenstore_backend entries = backend.entries();
  REQUIRE(open_on(&entries).first == TOKENSTORE_OK);
  entries = backend.entries();
  auto options = HostileHost::options_with(-1);
  const std::vector<std::uint8_t> other(TOKENSTORE_MASTER_KEY_SIZE, 8);
  options.key_bytes = other.data();
  CHECK(open_on(&entries, options).first == TOKENSTORE_WRONG_KEY);
  CHECK(backend.closed.load() == 2);
}

TEST_CASE("a backend that is not thread-safe is called by one thread at a time, unlike the control, which is") {
  for (const bool thread_safe : {false, true}) {
    HostileHost host(thread_safe ? TOKENSTORE_BACKEND_THREAD_SAFE : 0);
    const auto token = host.issue();
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    std::atomic<int> rounds{0};
    host.backend.before = [&](Entry entry, tokenstore_answer*) -> std::optional<std::int32_t> {
      if (entry == Entry::pulse || entry == Entry::close) return std::nullopt;
      const int now = ++inside;
      int seen = most.load();
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      return std::nullopt;
    };
    host.backend.after = [&](Entry entry, tokenstore_answer*) -> std::optional<std::int32_t> {
      if (entry != Entry::pulse) --inside;
      return std::nullopt;
    };
    std::vector<std::thread> threads;
    for (int number = 0; number < 4; ++number) {
      threads.emplace_back([&] {
        // The control goes on until two have met.
        while (rounds.fetch_add(1) < 200 || (thread_safe && most.load() < 2)) {
          if (host.validate(token.text) != valid) FAIL("not valid");
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (thread_safe) {
      CHECK(most.load() > 1);
    } else {
      CHECK(most.load() == 1);
    }
    host.backend.before = nullptr;
    host.backend.after = nullptr;
  }
}

TEST_CASE("a backend that is read-only is never asked to write") {
  HostileHost first;
  const auto token = first.issue();
  HostileBackend reading;
  reading.memory = first.backend.memory;
  tokenstore_backend entries = reading.entries(TOKENSTORE_BACKEND_THREAD_SAFE | TOKENSTORE_BACKEND_READ_ONLY);
  entries.commit = nullptr;
  entries.record_uses = nullptr;
  const auto options = HostileHost::options_with(0);
  tokenstore_store* store = nullptr;
  REQUIRE(tokenstore_open_backend(&options, &entries, &store, nullptr) == TOKENSTORE_OK);
  std::swap(store, first.store);
  CHECK(first.validate(token.text) == valid);
  CHECK(first.revoke(token.id) == TOKENSTORE_READ_ONLY);
  CHECK(tokenstore_maintain(first.store, 0, nullptr, nullptr) == TOKENSTORE_OK);
  std::swap(store, first.store);
  tokenstore_free(store);
}

TEST_CASE("without pulse, signal or sole writing nothing is remembered: each validation asks storage") {
  HostileHost host(TOKENSTORE_BACKEND_THREAD_SAFE, 0, without_pulse);
  const auto token = host.issue();
  for (std::uint64_t round = 1; round <= 10; ++round) {
    const std::uint64_t before = host.backend.called(Entry::load_token);
    CHECK(host.validate(token.text) == valid);
    CHECK(host.backend.called(Entry::load_token) == before + 1);
  }
}

TEST_CASE("a sole writer's tokens are answered from memory until it changes something itself") {
  HostileHost host(TOKENSTORE_BACKEND_THREAD_SAFE | TOKENSTORE_BACKEND_SOLE_WRITER, 0, without_pulse);
  const auto token = host.issue();
  CHECK(host.validate(token.text) == valid);
  CHECK(host.validate(token.text) == valid);
  const std::uint64_t loads = host.backend.called(Entry::load_token);
  for (int round = 0; round < 10; ++round) CHECK(host.validate(token.text) == valid);
  CHECK(host.backend.called(Entry::load_token) == loads);
  REQUIRE(host.revoke(token.id) == TOKENSTORE_OK);
  CHECK(host.validate(token.text).reason == TOKENSTORE_REASON_REVOKED);
}

TEST_CASE("a signal's lease lets tokens be answered from memory, its call makes the feed be read, its end ends both") {
  HostileHost host(TOKENSTORE_BACKEND_THREAD_SAFE, 0, without_pulse);
  const auto token = host.issue();
  tokenstore_signal* signal = host.backend.signal;
  REQUIRE(signal != nullptr);
  signal->trust_until(signal, std::numeric_limits<std::int64_t>::max());
  CHECK(host.validate(token.text) == valid);
  CHECK(host.validate(token.text) == valid);
  const std::uint64_t loads = host.backend.called(Entry::load_token);
  CHECK(host.validate(token.text) == valid);
  CHECK(host.backend.called(Entry::load_token) == loads);

  // Somebody else revokes it in the same storage, and the backend hears of it.
  HostileBackend other;
  other.memory = host.backend.memory;
  const tokenstore_backend entries = other.entries();
  const auto options = HostileHost::options_with(-1);
  tokenstore_store* store = nullptr;
  REQUIRE(tokenstore_open_backend(&options, &entries, &store, nullptr) == TOKENSTORE_OK);
  const auto actor = host_actor();
  REQUIRE(tokenstore_revoke(store, &actor, token.id.data(), token.id.size(), nullptr, 0, nullptr, nullptr) ==
          TOKENSTORE_OK);
  tokenstore_free(store);
  signal->changed(signal);
  CHECK(host.validate(token.text).reason == TOKENSTORE_REASON_REVOKED);

  const auto second = host.issue();
  CHECK(host.validate(second.text) == valid);
  CHECK(host.validate(second.text) == valid);
  signal->trust_until(signal, std::numeric_limits<std::int64_t>::min());
  const std::uint64_t after = host.backend.called(Entry::load_token);
  CHECK(host.validate(second.text) == valid);
  CHECK(host.backend.called(Entry::load_token) == after + 1);
}

TEST_CASE("storage in memory can be wrapped: it fails when the host's entry says so, and nothing else changes") {
  struct Wrapped {
    tokenstore_backend inner{};
    bool fails = false;
  } wrapped;
  wrapped.inner.struct_size = sizeof wrapped.inner;
  REQUIRE(tokenstore_memory_backend(&wrapped.inner, nullptr) == TOKENSTORE_OK);

  // The rest goes to the memory's entries with the memory's context; this one needs the wrapper's.
  static Wrapped* self = nullptr;
  self = &wrapped;
  tokenstore_backend entries = wrapped.inner;
  entries.load_token = [](void* context, const char* workspace, size_t workspace_size, const char* id, size_t id_size,
                          tokenstore_answer* answer) -> int32_t {
    if (self->fails) return answer->fail(answer, TOKENSTORE_UNAVAILABLE, "switched off", 12);
    return self->inner.load_token(context, workspace, workspace_size, id, id_size, answer);
  };
  auto options = HostileHost::options_with(-1);
  options.cache_bytes = -1;
  tokenstore_store* store = nullptr;
  REQUIRE(tokenstore_open_backend(&options, &entries, &store, nullptr) == TOKENSTORE_OK);
  const auto actor = host_actor();
  tokenstore_issue_request request{};
  request.struct_size = sizeof request;
  request.owner = "alice";
  request.owner_size = 5;
  request.scopes = "read";
  request.scopes_size = 4;
  char text[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  std::size_t size = 0;
  REQUIRE(tokenstore_issue(store, &actor, &request, text, sizeof text, &size, nullptr, nullptr) == TOKENSTORE_OK);
  tokenstore_demand demand{};
  demand.struct_size = sizeof demand;
  demand.scope = "read";
  demand.scope_size = 4;
  const auto outcome = [&] {
    tokenstore_verdict verdict;
    verdict.struct_size = sizeof verdict;
    tokenstore_validate(store, text, size, &demand, &verdict, nullptr);
    return verdict.outcome;
  };
  CHECK(outcome() == TOKENSTORE_OUTCOME_VALID);
  wrapped.fails = true;
  CHECK(outcome() == TOKENSTORE_OUTCOME_UNAVAILABLE);
  wrapped.fails = false;
  CHECK(outcome() == TOKENSTORE_OUTCOME_VALID);
  tokenstore_free(store);

  tokenstore_backend wrong{};
  wrong.struct_size = sizeof wrong - 1;
  CHECK(tokenstore_memory_backend(&wrong, nullptr) == TOKENSTORE_INVALID_ARGUMENT);
  CHECK(tokenstore_memory_backend(nullptr, nullptr) == TOKENSTORE_INVALID_ARGUMENT);
}
