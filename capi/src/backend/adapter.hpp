/// A Backend over the C functions of tokenstore_backend.h. Believes nothing: see that header's "Faults".
///
/// Thread use: as every Backend; one that is not thread-safe is called by one thread at a time. Ownership: has
/// the context from its construction on, and closes it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "backend/calls.hpp"
#include "base/fork_guard.hpp"
#include "guest.hpp"
#include "tokenstore/backend.hpp"
#include "tokenstore_backend.h"

namespace tokenstore::capi {

class AdaptedBackend final : public Backend, public Guest {
 public:
  /// Refuses (by a Failure) what is not a backend of a contract that is known here. Closes the context then, too,
  /// unless `backend` cannot be believed to be one at all.
  static std::shared_ptr<AdaptedBackend> adopt(const tokenstore_backend* backend);
  ~AdaptedBackend() override;

  /// Before any other call.
  Result<void> open();
  void close() noexcept override;
  bool inside() const noexcept override { return calls_.inside(); }

  std::string_view name() const noexcept override { return name_; }
  bool read_only() const noexcept override { return has(TOKENSTORE_BACKEND_READ_ONLY); }

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
  /// What others' changes are heard by. Handed to the backend.
  struct Signal : tokenstore_signal {
    std::atomic<std::uint64_t> counter{1};
    std::atomic<std::int64_t> trusted_until{};
  };
  enum class Ending : std::uint8_t { returned, threw, not_called };
  struct Called {
    Ending ending = Ending::not_called;
    std::int32_t status = 0;
  };

  explicit AdaptedBackend(const tokenstore_backend& entries);
  void check() const;
  bool has(std::uint32_t capability) const noexcept { return (entries_.capabilities & capability) != 0; }
  /// In a child of a process that opened a backend which does not go along.
  bool left_behind() const noexcept { return fork_.forked() && !has(TOKENSTORE_BACKEND_FORK_SAFE); }

  /// One call of an entry, `run(answer)`. An error: it could not be called at all.
  template <typename Run>
  Result<Called> call(Answered& answered, const Run& run);
  /// The same for an entry other than `commit`: whatever went wrong is an error.
  template <typename Run>
  Result<void> ask(std::string_view entry, Answered& answered, const Run& run);
  Error fault(std::string_view entry, std::string_view what) const;
  Error failure(std::string_view entry, std::int32_t status, const Answered& answered) const;

  tokenstore_backend entries_;
  std::string name_;
  base::ForkGuard fork_;
  Calls calls_;
  std::mutex one_at_a_time_;
  Signal signal_;
  bool closed_ = false;
};

}  // namespace tokenstore::capi
