/// The Backend over a PostgreSQL database.
///
/// Every method goes through enter(), which notices a fork: a child leaves the inherited connections alone
/// and makes its own.
#pragma once

#include <atomic>
#include <memory>

#include "backends/postgres/engine.hpp"
#include "base/fork_guard.hpp"

namespace tokenstore::postgres {

class PostgresBackend final : public Backend {
 public:
  PostgresBackend(PostgresOptions options, std::unique_ptr<Engine> engine);
  ~PostgresBackend() override;

  std::string_view name() const noexcept override { return "postgres"; }
  bool read_only() const noexcept override { return options_.read_only; }

  Result<std::optional<TokenRecord>> load_token(std::string_view workspace, std::string_view id) override;
  Result<std::optional<OwnerRecord>> load_owner(std::string_view workspace, std::string_view owner) override;
  Result<std::optional<WorkspaceRecord>> load_workspace(std::string_view workspace) override;
  Result<std::optional<StoreRecord>> load_store() override;
  Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) override;
  Result<OwnerList> list_owners(std::string_view workspace, std::string_view after, std::size_t limit) override;
  Result<std::vector<WorkspaceRecord>> list_workspaces(std::string_view after, std::size_t limit) override;
  Result<TokenCounts> count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) override;
  Result<std::uint64_t> count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                   std::uint64_t at_most) override;
  Result<std::vector<EndedToken>> list_ended(std::string_view workspace, UnixMillis ended_before,
                                             std::size_t limit) override;
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override;
  Result<Changes> changes(std::string_view workspace, std::uint64_t after_revision) override;
  Pulse pulse() noexcept override;
  Result<void> record_uses(std::string_view workspace, std::span<const Use> uses) override;
  Result<bool> maintain(std::chrono::milliseconds budget) override;
  Result<std::vector<std::string>> check_integrity(std::size_t most, const Progress& progress) override;

 private:
  /// The engine of this process. An error: a child could not make one.
  Result<Engine*> enter();
  Result<Engine*> adopt();
  /// Runs a query on the workspace, after settling any doubt about it.
  Result<Answer> ask(std::string_view workspace, Sql which, const Params& params, std::string_view doing);
  Result<Answer> ask_about(std::string_view workspace, RecordKind kind, std::string_view key, Sql which,
                           const Params& params, std::string_view doing);
  Result<Answer> ask(Engine& engine, std::string_view workspace, std::uint64_t doubt, Sql which, const Params& params,
                     std::string_view doing, Deadline deadline);

  const PostgresOptions options_;
  base::ForkGuard guard_;
  std::atomic<Engine*> engine_;
};

}  // namespace tokenstore::postgres
