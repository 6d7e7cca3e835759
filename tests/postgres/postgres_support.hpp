/// What the tests of the PostgreSQL backend share.
#pragma once

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>

#include "support/plain_announcement.hpp"
#include "support/postgres_cluster.hpp"
#include "tokenstore/backends/postgres.hpp"
#include "tokenstore/tokenstore.hpp"

namespace tokenstore::test {

inline PostgresOptions options_for(const std::string& conninfo) {
  PostgresOptions options;
  options.conninfo = conninfo;
  return options;
}

inline std::shared_ptr<Backend> open_backend(const PostgresOptions& options) {
  auto opened = postgres_backend(options);
  if (!opened.ok()) throw std::runtime_error("cannot open the backend: " + opened.error().message());
  return std::move(opened).value();
}

/// The same key in every host of a test.
inline Keyring test_keyring() {
  std::array<std::uint8_t, master_key_size> master{};
  master.fill(7);
  auto keyring = Keyring::from_bytes(master);
  if (!keyring.ok()) throw std::runtime_error(keyring.error().message());
  return std::move(keyring).value();
}

inline std::unique_ptr<TokenStore> open_store(std::shared_ptr<Backend> backend, StoreOptions options = {}) {
  auto opened = TokenStore::open(std::move(backend), test_keyring(), std::move(options));
  if (!opened.ok()) throw std::runtime_error("cannot open the store: " + opened.error().message());
  return std::move(opened).value();
}

/// How often to try: `otherwise`, unless the environment says more (tests/README.md).
inline int rounds(const char* variable, int otherwise) {
  const char* value = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): read before any thread starts
  return value != nullptr ? std::atoi(value) : otherwise;
}

using Steady = std::chrono::steady_clock;
inline std::int64_t millis_since(Steady::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - start).count();
}

/// The error of opening, which must come within the deadline and be one line.
inline Error refused(const PostgresOptions& options) {
  const auto start = Steady::now();
  const auto opened = postgres_backend(options);
  CHECK(millis_since(start) <= options.deadline.count() + 100);
  if (opened.ok()) throw std::runtime_error("it opened");
  INFO(opened.error().message());
  CHECK(opened.error().message().find('\n') == std::string::npos);
  return opened.error();
}

inline bool mentions(const Error& error, std::string_view text) {
  return error.message().find(text) != std::string::npos;
}

inline WorkspaceRecord sample_workspace(const std::string& name = "default") {
  WorkspaceRecord workspace;
  workspace.workspace = name;
  workspace.revision = 1;
  return workspace;
}

inline TokenRecord sample_token(const std::string& id, RecordRevision revision = 1) {
  TokenRecord token;
  token.id = id;
  token.id.resize(token_id_size, '-');
  token.owner = "alice";
  token.revision = revision;
  return token;
}

inline CommitResult put(Backend& backend, Record record, RecordRevision expected = 0,
                        std::string_view workspace = "default") {
  const Mutation step = Mutation::put(std::move(record), expected);
  return test::commit_plainly(backend, workspace, {&step, 1});
}

inline Issued issue_one(TokenStore& store, const std::string& owner = "alice") {
  IssueRequest request;
  request.owner = owner;
  request.scopes = {"read"};
  auto issued = store.issue(Actor::host(), request);
  if (!issued.ok()) throw std::runtime_error("cannot issue: " + issued.error().message());
  return std::move(issued).value();
}

}  // namespace tokenstore::test
