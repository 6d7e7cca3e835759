/// A host with a store on a HostileBackend: issues, validates and revokes through the C interface.
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "hostile_backend.hpp"

namespace tokenstore::test {

inline tokenstore_actor host_actor() {
  tokenstore_actor actor{};
  actor.struct_size = sizeof actor;
  actor.kind = TOKENSTORE_ACTOR_HOST;
  return actor;
}

struct HostileHost {
  struct Token {
    std::string text;
    std::string id;
  };
  struct Answer {
    std::int32_t outcome;
    std::int32_t reason;
    bool operator==(const Answer&) const = default;
  };

  /// Without a cache, so that every validation asks the backend.
  explicit HostileHost(std::uint32_t capabilities = TOKENSTORE_BACKEND_THREAD_SAFE, std::int64_t cache_bytes = -1,
                       const std::function<void(tokenstore_backend&)>& adjust = {}) {
    tokenstore_backend entries = backend.entries(capabilities);
    if (adjust) adjust(entries);
    const auto options = options_with(cache_bytes);
    REQUIRE(tokenstore_open_backend(&options, &entries, &store, nullptr) == TOKENSTORE_OK);
  }
  ~HostileHost() { close(); }
  HostileHost(const HostileHost&) = delete;
  HostileHost& operator=(const HostileHost&) = delete;

  static tokenstore_open_options options_with(std::int64_t cache_bytes) {
    static const std::vector<std::uint8_t> key(TOKENSTORE_MASTER_KEY_SIZE, 7);
    tokenstore_open_options options{};
    options.struct_size = sizeof options;
    options.key_bytes = key.data();
    options.key_bytes_size = key.size();
    options.cache_bytes = cache_bytes;
    return options;
  }

  void close() {
    tokenstore_free(std::exchange(store, nullptr));
    backend.before = nullptr;
  }

  Token issue(const std::string& owner = "alice") {
    tokenstore_issue_request request{};
    request.struct_size = sizeof request;
    request.owner = owner.data();
    request.owner_size = owner.size();
    request.scopes = "read";
    request.scopes_size = 4;
    const auto host = host_actor();
    char text[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
    size_t size = 0;
    tokenstore_token* token = nullptr;
    REQUIRE(tokenstore_issue(store, &host, &request, text, sizeof text, &size, &token, nullptr) == TOKENSTORE_OK);
    tokenstore_token_info info{};
    info.struct_size = sizeof info;
    REQUIRE(tokenstore_token_read(token, &info, nullptr) == TOKENSTORE_OK);
    Token issued{std::string(text, size), std::string(info.id, info.id_size)};
    tokenstore_token_free(token);
    return issued;
  }

  Answer validate(const std::string& text) const {
    tokenstore_demand demand{};
    demand.struct_size = sizeof demand;
    demand.scope = "read";
    demand.scope_size = 4;
    tokenstore_verdict verdict;
    verdict.struct_size = sizeof verdict;
    static_cast<void>(tokenstore_validate(store, text.data(), text.size(), &demand, &verdict, nullptr));
    return {verdict.outcome, verdict.reason};
  }

  std::int32_t revoke(const std::string& id) const {
    const auto host = host_actor();
    return tokenstore_revoke(store, &host, id.data(), id.size(), nullptr, 0, nullptr, nullptr);
  }

  /// The status of listing everything, and how many tokens came.
  std::pair<std::int32_t, std::size_t> list() const {
    const auto host = host_actor();
    tokenstore_page* page = nullptr;
    const std::int32_t status = tokenstore_list(store, &host, nullptr, &page, nullptr);
    const std::size_t count = tokenstore_page_count(page);
    tokenstore_page_free(page);
    return {status, count};
  }

  HostileBackend backend{};
  tokenstore_store* store = nullptr;
};

inline void without_pulse(tokenstore_backend& entries) {
  entries.pulse = nullptr;
}

inline constexpr HostileHost::Answer valid{TOKENSTORE_OUTCOME_VALID, TOKENSTORE_REASON_NONE};
inline constexpr HostileHost::Answer unavailable{TOKENSTORE_OUTCOME_UNAVAILABLE, TOKENSTORE_REASON_STORAGE};
inline constexpr HostileHost::Answer tampered{TOKENSTORE_OUTCOME_INVALID, TOKENSTORE_REASON_TAMPERED};

}  // namespace tokenstore::test
