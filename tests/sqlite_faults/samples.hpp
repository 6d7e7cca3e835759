/// Small records and a backend to put them in, for every test in this folder.
#pragma once

#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "support/count_from.hpp"
#include "support/plain_announcement.hpp"
#include "tokenstore/backend.hpp"
#include "tokenstore/backends/sqlite.hpp"

namespace tokenstore::test {

inline constexpr const char* workspace = "default";

inline std::string token_id(std::uint64_t number) {
  std::string digits = std::to_string(number);
  return std::string(16 - digits.size(), '0') + digits;
}

inline TokenRecord sample_token(std::uint64_t number, RecordRevision revision = 1) {
  TokenRecord token;
  token.id = token_id(number);
  token.key_id = "0A";
  token.verifier.fill(static_cast<std::uint8_t>(number));
  token.owner = "owner-" + std::to_string(number % 10);
  token.description = "token " + std::to_string(number);
  token.scopes = "read write";
  token.created_by = "host";
  token.created_at = static_cast<UnixMillis>(number);
  token.expires_at = 1'000'000 + static_cast<UnixMillis>(number);
  token.revision = revision;
  token.seal_key_id = "0A";
  token.seal.fill(static_cast<std::uint8_t>(number + revision));
  return token;
}

inline TokenRecord revoked_token(std::uint64_t number, RecordRevision revision) {
  TokenRecord token = sample_token(number, revision);
  token.revoked_at = 5000;
  token.revoked_by = "host";
  return token;
}

inline SqliteOptions options_for(const std::string& path) {
  SqliteOptions options;
  options.path = path;
  return options;
}

/// Opens, or fails the test with the reason.
inline std::shared_ptr<Backend> open_or_fail(const SqliteOptions& options) {
  Result<std::shared_ptr<Backend>> backend = sqlite_backend(options);
  if (!backend) FAIL("the store does not open: " << backend.error().message());
  return *backend;
}

inline CommitResult commit_one(Backend& backend, const Mutation& mutation) {
  return commit_plainly(backend, workspace, std::span(&mutation, 1));
}
inline CommitResult issue(Backend& backend, std::uint64_t number) {
  return commit_one(backend, Mutation::put(sample_token(number), 0));
}
inline CommitResult revoke(Backend& backend, std::uint64_t number) {
  return commit_one(backend, Mutation::put(revoked_token(number, 2), 1));
}
inline bool is_revoked(const TokenRecord& token) {
  return token.revoked_at != std::numeric_limits<UnixMillis>::max();
}

}  // namespace tokenstore::test
