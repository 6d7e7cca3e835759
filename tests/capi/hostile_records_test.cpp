// What a backend behind the C functions may emit: at worst the answer is `unavailable` or `tampered`.
#include <functional>
#include <limits>
#include <string>

#include "hostile_host.hpp"

using namespace tokenstore;
using namespace tokenstore::test;

namespace {

using Alter = std::function<void(tokenstore_token_record&)>;

const std::string longest_ever(std::size_t{1} << 20, 'x');
const std::string garbage("\xff\x00'; DROP \n\x7f", 13);

/// Every text of a token's record, as a pointer and a size.
std::vector<std::pair<const char * tokenstore_token_record::*, size_t tokenstore_token_record::*>> texts() {
  using Record = tokenstore_token_record;
  return {{&Record::id, &Record::id_size},
          {&Record::key_id, &Record::key_id_size},
          {&Record::owner, &Record::owner_size},
          {&Record::description, &Record::description_size},
          {&Record::scopes, &Record::scopes_size},
          {&Record::metadata, &Record::metadata_size},
          {&Record::created_by, &Record::created_by_size},
          {&Record::revoked_by, &Record::revoked_by_size},
          {&Record::revoke_reason, &Record::revoke_reason_size},
          {&Record::seal_key_id, &Record::seal_key_id_size}};
}

/// Neither valid nor a guess: a wrong record is tampered, or, if it is not even one, no answer at all.
bool is_safe(const HostileHost::Answer& answer) {
  return answer == tampered || answer == unavailable ||
         answer == HostileHost::Answer{TOKENSTORE_OUTCOME_INVALID, TOKENSTORE_REASON_WRONG_SECRET};
}

}  // namespace

TEST_CASE("hostile: the control is a backend that is left in peace, and its tokens are valid") {
  HostileHost host;
  const auto token = host.issue();
  CHECK(host.validate(token.text) == valid);
  CHECK(host.list() == std::pair{std::int32_t{TOKENSTORE_OK}, std::size_t{1}});
  CHECK(host.revoke(token.id) == TOKENSTORE_OK);
  CHECK(host.validate(token.text).reason == TOKENSTORE_REASON_REVOKED);
}

TEST_CASE("hostile: garbage in any text of a record is tampered, however long it is") {
  HostileHost host;
  const auto token = host.issue();
  for (const std::string* text : {&longest_ever, &garbage}) {
    for (const auto& [data, size] : texts()) {
      host.backend.alter_token = [&, data = data, size = size](tokenstore_token_record& record) {
        record.*data = text->data();
        record.*size = text->size();
      };
      CHECK(host.validate(token.text) == tampered);
      // Shown as what it is; but nobody could act on a token whose id is none, and the list goes past it.
      const bool has_id = data != &tokenstore_token_record::id || text == &longest_ever;
      CHECK(host.list() == std::pair{std::int32_t{TOKENSTORE_OK}, std::size_t{has_id ? 1U : 0U}});
    }
  }
  host.backend.alter_token = nullptr;
  CHECK(host.validate(token.text) == valid);
}

TEST_CASE("hostile: a text that is NULL but has a size is no answer") {
  HostileHost host;
  const auto token = host.issue();
  for (const auto& [data, size] : texts()) {
    host.backend.alter_token = [data = data, size = size](tokenstore_token_record& record) {
      record.*data = nullptr;
      record.*size = 5;
    };
    CHECK(host.validate(token.text) == unavailable);
    CHECK(host.list().first == TOKENSTORE_UNAVAILABLE);
  }
}

TEST_CASE("hostile: a size that no text can have is no answer") {
  HostileHost host;
  const auto token = host.issue();
  host.backend.alter_token = [](tokenstore_token_record& record) { record.owner_size = SIZE_MAX; };
  CHECK(host.validate(token.text) == unavailable);
}

TEST_CASE("hostile: garbage in any number, seal or verifier is tampered") {
  HostileHost host;
  const auto token = host.issue();
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  const std::vector<Alter> alterations = {
      [](auto& record) { record.expires_at = most; },  [](auto& record) { record.created_at = -1; },
      [](auto& record) { record.not_before = -most; }, [](auto& record) { record.revoked_at = 0; },
      [](auto& record) { record.revision += 1; },      [](auto& record) { record.revision = 0; },
      [](auto& record) { record.seal[0] ^= 1; },       [](auto& record) { record.seal[31] ^= 0x80; },
  };
  for (const Alter& alter : alterations) {
    host.backend.alter_token = alter;
    CHECK(host.validate(token.text) == tampered);
  }
  host.backend.alter_token = [](auto& record) { record.verifier[0] ^= 1; };
  CHECK(is_safe(host.validate(token.text)));
}

TEST_CASE("hostile: a wrong id, or another token's row, makes no token valid") {
  HostileHost host;
  const auto one = host.issue("alice");
  const auto two = host.issue("bob");
  const auto stored = host.backend.memory->load_token("default", two.id);
  REQUIRE((stored.ok() && *stored));
  host.backend.alter_token = [&](tokenstore_token_record& record) { record.id = two.id.data(); };
  CHECK(is_safe(host.validate(one.text)));
  // The whole row, seal and all.
  const auto& other = **stored;
  host.backend.alter_token = [&](tokenstore_token_record& record) {
    record.id = other.id.data();
    record.owner = other.owner.data();
    record.owner_size = other.owner.size();
    record.created_at = other.created_at;
    record.not_before = other.not_before;
    record.expires_at = other.expires_at;
    std::copy(other.verifier.begin(), other.verifier.end(), record.verifier);
    std::copy(other.seal.begin(), other.seal.end(), record.seal);
  };
  CHECK(is_safe(host.validate(one.text)));
  CHECK(host.validate(two.text) == valid);  // the row is genuine, for the token that it is of
}

TEST_CASE("hostile: a struct_size that lies is no answer, and nothing beyond the struct is read") {
  HostileHost host;
  const auto token = host.issue();
  // Under AddressSanitizer a look beyond the record, which lies on the stack, ends the test.
  const auto lie_about = [&]<typename Record>(std::function<void(Record&)>& alter) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{8}, sizeof(Record) - 1, sizeof(Record) + 1,
                                   sizeof(Record) + 4'000, std::size_t{1} << 20, SIZE_MAX}) {
      alter = [size](Record& record) { record.struct_size = size; };
      CHECK(host.validate(token.text) == unavailable);
    }
    alter = nullptr;
  };
  lie_about(host.backend.alter_token);
  lie_about(host.backend.alter_owner);
  lie_about(host.backend.alter_workspace);
  CHECK(host.validate(token.text) == valid);
}

TEST_CASE("hostile: a flag that is neither 0 nor 1 is no answer") {
  HostileHost host;
  const auto token = host.issue();
  host.backend.alter_owner = [](auto& record) { record.may_use = 2; };
  CHECK(host.validate(token.text) == unavailable);
  host.backend.alter_owner = nullptr;
  host.backend.alter_workspace = [](auto& record) { record.tokens_enabled = -1; };
  CHECK(host.validate(token.text) == unavailable);
}

TEST_CASE("hostile: a record that is emitted twice is no answer, nor is one that is NULL") {
  HostileHost host;
  const auto token = host.issue();
  const auto stored = host.backend.memory->load_token("default", token.id);
  host.backend.before = [&](Entry entry, tokenstore_answer* answer) -> std::optional<std::int32_t> {
    if (entry != Entry::load_token) return std::nullopt;
    tokenstore_token_record record{};
    record.struct_size = sizeof record;
    CHECK(answer->emit_token(answer, &record) == 1);
    CHECK(answer->emit_token(answer, &record) == 0);
    return std::nullopt;  // and a third time, the genuine one
  };
  CHECK(host.validate(token.text) == unavailable);
  host.backend.before = [](Entry entry, tokenstore_answer* answer) -> std::optional<std::int32_t> {
    if (entry == Entry::load_token) CHECK(answer->emit_token(answer, nullptr) == 0);
    return std::nullopt;
  };
  CHECK(host.validate(token.text) == unavailable);
}

TEST_CASE("hostile: what was not asked for is no answer") {
  HostileHost host;
  const auto token = host.issue();
  const std::vector<std::function<std::int32_t(tokenstore_answer*)>> emissions = {
      [](auto* answer) {
        const tokenstore_owner_record record{};
        return answer->emit_owner(answer, &record);
      },
      [](auto* answer) {
        const tokenstore_workspace_record record{};
        return answer->emit_workspace(answer, &record);
      },
      [](auto* answer) { return answer->emit_ended(answer, "0123456789abcdef", 16, 1); },
      [](auto* answer) {
        const tokenstore_store_record record{};
        return answer->emit_store(answer, &record);
      },
      [](auto* answer) {
        const std::array<std::uint8_t, TOKENSTORE_SEAL_SIZE> link{};
        return answer->emit_head(answer, 1, link.data(), 0);
      },
      [](auto* answer) {
        const std::array<std::uint8_t, TOKENSTORE_SEAL_SIZE> link{};
        return answer->emit_entry(answer, 1, "x", 1, link.data());
      },
      [](auto* answer) { return answer->emit_everything(answer); },
      [](auto* answer) { return answer->emit_number(answer, 1); },
      [](auto* answer) { return answer->emit_counts(answer, 1, 1, 1, 1); },
      [](auto* answer) { return answer->emit_next(answer, "0123456789abcdef", 16); },
      [](auto* answer) { return answer->emit_problem(answer, "x", 1); },
  };
  for (const auto& emit : emissions) {
    host.backend.before = [&](Entry entry, tokenstore_answer* answer) -> std::optional<std::int32_t> {
      if (entry == Entry::load_token) CHECK(emit(answer) == 0);
      return std::nullopt;
    };
    CHECK(host.validate(token.text) == unavailable);
  }
  host.backend.before = nullptr;
  CHECK(host.validate(token.text) == valid);
}

TEST_CASE("hostile: a list longer than was asked for is no answer") {
  HostileHost host;
  for (int count = 0; count < 3; ++count) host.issue();
  tokenstore_list_query query{};
  query.struct_size = sizeof query;
  query.limit = 2;
  const auto actor = host_actor();
  tokenstore_page* page = nullptr;
  REQUIRE(tokenstore_list(host.store, &actor, &query, &page, nullptr) == TOKENSTORE_OK);
  tokenstore_page_free(page);
  host.backend.after = [](Entry entry, tokenstore_answer* answer) -> std::optional<std::int32_t> {
    if (entry == Entry::list_tokens) {
      tokenstore_token_record record{};
      record.struct_size = sizeof record;
      for (int more = 0; more < 1'000; ++more) CHECK(answer->emit_token(answer, &record) == 0);
    }
    return std::nullopt;
  };
  CHECK(tokenstore_list(host.store, &actor, &query, &page, nullptr) == TOKENSTORE_UNAVAILABLE);
  CHECK(page == nullptr);
}
