/// The Backend over a SQLite file.
///
/// Every method goes through enter(), which notices a fork, and counts who is inside: a fork waits until
/// nobody is, and a child knows whether what it inherited was at rest.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "backends/sqlite/door.hpp"
#include "backends/sqlite/engine.hpp"
#include "base/fork_guard.hpp"

namespace tokenstore::sqlite {

class SqliteBackend final : public Backend {
 public:
  static Result<std::shared_ptr<Backend>> open(const SqliteOptions& options);
  static Result<std::shared_ptr<Backend>> open_backup(const std::string& path);
  /// Only these make one: it has no engine yet.
  explicit SqliteBackend(SqliteOptions options, bool is_backup = false)
      : options_(std::move(options)), is_backup_(is_backup) {}
  ~SqliteBackend() override;

  std::string_view name() const noexcept override { return "sqlite"; }
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
  Result<bool> write_snapshot(const std::string& path, const Progress& progress) override;

 private:
  /// While one lives, a thread is inside.
  class Visit {
   public:
    /// Of whoever has entered.
    Visit(Door& door, Engine* engine) noexcept : door_(&door), engine_(engine) {}
    explicit Visit(Error error) : error_(std::in_place, std::move(error)) {}
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    ~Visit() {
      if (door_ != nullptr) door_->leave();
    }
    Engine* operator->() const noexcept { return engine_; }
    Engine& operator*() const noexcept { return *engine_; }
    const std::optional<Error>& error() const noexcept { return error_; }

   private:
    Door* door_ = nullptr;
    Engine* engine_ = nullptr;
    std::optional<Error> error_;
  };

  Visit enter();
  /// As enter(), whatever the engine is.
  Visit come_in() noexcept;
  /// In a forked child, once: replaces the inherited engine. An error if it cannot be had.
  std::optional<Error> adopt();
  std::optional<Error> adopt_engine();
  Result<std::unique_ptr<Engine>> open_engine(const SqliteOptions& options, std::uint64_t first_counter) const {
    return is_backup_ ? Engine::open_backup(options.path, first_counter) : Engine::open(options, first_counter);
  }
  static Result<std::shared_ptr<Backend>> opened(std::shared_ptr<SqliteBackend> backend);

  /// For whoever is inside.
  template <typename T, typename Action>
  static Result<T> look_up_in(Engine& engine, bool always_check_files, std::string_view doing, Action action);
  template <typename T, typename Action>
  Result<T> look_up(bool always_check_files, std::string_view doing, Action action);

  SqliteOptions options_;
  const bool is_backup_;
  base::ForkGuard guard_;
  std::atomic<Engine*> engine_{nullptr};
  std::atomic<bool> orphaned_{false};
  std::atomic<std::uint64_t> counter_{1};  ///< where a child's pulse goes on
  Door door_;
};

}  // namespace tokenstore::sqlite
