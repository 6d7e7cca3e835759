// How a call of a backend behind the C functions may end: an exception, a status that makes no sense, a lie.
#include <algorithm>
#include <functional>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>

#include "hostile_host.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

TEST_CASE("hostile: exceptions that leave an entry are unavailable, and unknown in commit") {
  const std::vector<std::function<void()>> throws = {[] { throw std::runtime_error("thrown by a backend"); },
                                                     [] { throw std::bad_alloc(); }, [] { throw 7; }};
  for (const auto& raise : throws) {
    HostileHost host;
    const auto token = host.issue();
    const auto raise_in = [&](std::initializer_list<Entry> entries) {
      host.backend.before = [&raise, where = std::vector(entries)](Entry entry,
                                                                   tokenstore_answer*) -> std::optional<std::int32_t> {
        if (std::find(where.begin(), where.end(), entry) != where.end()) raise();
        return std::nullopt;
      };
    };
    for (const Entry where : {Entry::load_token, Entry::load_owner, Entry::load_workspace}) {
      raise_in({where});
      CHECK(host.validate(token.text) == unavailable);
    }
    raise_in({Entry::pulse});  // then nothing is remembered, and storage is asked
    CHECK(host.validate(token.text) == valid);
    raise_in({Entry::list_tokens, Entry::commit});
    CHECK(host.list().first == TOKENSTORE_UNAVAILABLE);
    CHECK(host.revoke(token.id) == TOKENSTORE_UNKNOWN);
    host.backend.before = nullptr;
    // Asked to end, and nobody knows whether it did: denied here, though storage still has it.
    CHECK(host.validate(token.text).outcome != TOKENSTORE_OUTCOME_VALID);
    const auto stored = host.backend.memory->load_token("default", token.id);
    REQUIRE((stored.ok() && *stored));
    CHECK((*stored)->revision == 1);
  }
}

TEST_CASE("hostile: failing without a word, with a wrong one, or with a status that is not a backend's") {
  HostileHost host;
  const auto token = host.issue();
  for (const std::int32_t status : std::initializer_list<std::int32_t>{
           TOKENSTORE_UNAVAILABLE, TOKENSTORE_NOT_FOUND, TOKENSTORE_CONFLICT, TOKENSTORE_TAMPERED, TOKENSTORE_UNKNOWN,
           TOKENSTORE_WRONG_KEY, TOKENSTORE_PERMISSION_DENIED, 999, -1, std::numeric_limits<std::int32_t>::min()}) {
    host.backend.before = [&](Entry entry, tokenstore_answer*) -> std::optional<std::int32_t> {
      return entry == Entry::load_token || entry == Entry::list_tokens ? std::optional(status) : std::nullopt;
    };
    CHECK(host.validate(token.text) == unavailable);
    CHECK(host.list().first == TOKENSTORE_UNAVAILABLE);
  }
  host.backend.before = [](Entry entry, tokenstore_answer* answer) -> std::optional<std::int32_t> {
    if (entry != Entry::load_token && entry != Entry::list_tokens) return std::nullopt;
    answer->fail(answer, TOKENSTORE_STORAGE_FULL, "no room", 7);
    return TOKENSTORE_OK;
  };
  CHECK(host.validate(token.text) == unavailable);
  CHECK(host.list().first == TOKENSTORE_UNAVAILABLE);
}

TEST_CASE("hostile: a commit that ends in no known way may have happened") {
  for (const std::int32_t status : std::initializer_list<std::int32_t>{
           TOKENSTORE_OK, TOKENSTORE_NOT_FOUND, TOKENSTORE_TAMPERED, TOKENSTORE_REFUSED, TOKENSTORE_UNKNOWN, 999, -1}) {
    HostileHost host;
    const auto token = host.issue();
    host.backend.before = [&](Entry entry, tokenstore_answer*) -> std::optional<std::int32_t> {
      return entry == Entry::commit ? std::optional(status) : std::nullopt;  // OK, too, but without a revision
    };
    CHECK(host.revoke(token.id) == TOKENSTORE_UNKNOWN);
    CHECK(host.validate(token.text).outcome != TOKENSTORE_OUTCOME_VALID);
  }
}

TEST_CASE("hostile: a commit that happened and says that it failed still ends the token here") {
  HostileHost host;
  const auto token = host.issue();
  host.backend.after = [](Entry entry, tokenstore_answer*) -> std::optional<std::int32_t> {
    return entry == Entry::commit ? std::optional<std::int32_t>(TOKENSTORE_STORAGE_FULL) : std::nullopt;
  };
  CHECK(host.revoke(token.id) == TOKENSTORE_STORAGE_FULL);
  CHECK(host.validate(token.text).outcome != TOKENSTORE_OUTCOME_VALID);
}

TEST_CASE("hostile: a message is one line of plain text, whatever it was") {
  HostileHost host;
  host.issue();
  const auto actor = host_actor();
  const std::vector<std::string> messages = {"", std::string("\xff\x00'; DROP \n\x7f", 12),
                                             std::string(std::size_t{1} << 20, 'x'), "two\nlines"};
  for (const std::string& message : messages) {
    host.backend.before = [&](Entry entry, tokenstore_answer* answer) -> std::optional<std::int32_t> {
      if (entry != Entry::list_tokens) return std::nullopt;
      return answer->fail(answer, TOKENSTORE_STORAGE_FULL, message.data(), message.size());
    };
    tokenstore_page* page = nullptr;
    tokenstore_error* error = nullptr;
    CHECK(tokenstore_list(host.store, &actor, nullptr, &page, &error) == TOKENSTORE_STORAGE_FULL);
    size_t size = 0;
    const std::string shown = tokenstore_error_message(error, &size);
    CHECK(size == shown.size());
    CHECK((!shown.empty() && shown.size() <= 500));
    CHECK(std::all_of(shown.begin(), shown.end(), [](char c) { return c >= 0x20 && c < 0x7f; }));
    tokenstore_error_free(error);
  }
}
