/// A backend that passes every call on to another one, unless a test pulls a string: to count calls, to
/// pause or throw before one, to make one fail, or to alter what comes back.
///
/// Thread-safe as long as the strings are set while nobody calls.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "tokenstore/backend.hpp"

namespace tokenstore::test {

enum class Call : std::uint8_t {
  load_token,
  load_owner,
  load_workspace,
  load_store,
  list_tokens,
  list_owners,
  list_workspaces,
  count_tokens,
  count_live,
  list_ended,
  commit,
  changes,
  record_uses,
  maintain,
  check_integrity,
};
inline constexpr std::size_t call_count = 15;

/// How a commit is made to come out, and what storage says about it, if anything.
struct PuppetCommit {
  PuppetCommit(CommitOutcome how, std::optional<Error> words = std::nullopt) : outcome(how), error(std::move(words)) {}
  CommitOutcome outcome;
  std::optional<Error> error;
};

class PuppetBackend final : public Backend {
 public:
  explicit PuppetBackend(std::shared_ptr<Backend> inner) : inner_(std::move(inner)) {}

  /// Called first of all, in the caller's thread. May wait, throw std::bad_alloc, or call the inner backend.
  std::function<void(Call)> before{};
  /// An error: the call fails with it (a commit with outcome `failed`).
  std::function<std::optional<Error>(Call)> fail{};
  /// An outcome: the commit answers it. `commit_happens` says whether the inner one is done before.
  std::function<std::optional<PuppetCommit>()> commit_outcome{};
  bool commit_happens = false;
  /// What comes back can be altered.
  std::function<void(std::optional<TokenRecord>&)> alter_token{};
  std::function<void(std::optional<OwnerRecord>&)> alter_owner{};
  std::function<void(std::optional<WorkspaceRecord>&)> alter_workspace{};
  std::function<void(std::optional<StoreRecord>&)> alter_store{};
  std::function<void(Changes&)> alter_changes{};
  std::function<void(TokenList&)> alter_list{};
  std::function<void(OwnerList&)> alter_owners{};
  std::function<void(std::vector<std::string>&)> alter_integrity{};
  /// What was recorded.
  std::function<void(std::span<const Use>)> recorded{};
  std::atomic<bool> only_reads{false};
  std::atomic<bool> never_tidy{false};  ///< maintain() always leaves something

  std::uint64_t calls(Call call) const { return counts_[static_cast<std::size_t>(call)].load(); }
  std::uint64_t calls() const {
    std::uint64_t sum = 0;
    for (const auto& count : counts_) sum += count.load();
    return sum;
  }
  Backend& inner() { return *inner_; }

  std::string_view name() const noexcept override { return "puppet"; }
  bool read_only() const noexcept override { return only_reads.load() || inner_->read_only(); }

  Result<std::optional<TokenRecord>> load_token(std::string_view workspace, std::string_view id) override {
    if (auto error = begin(Call::load_token)) return *error;
    auto answer = inner_->load_token(workspace, id);
    if (alter_token && answer.ok()) alter_token(*answer);
    return answer;
  }
  Result<std::optional<OwnerRecord>> load_owner(std::string_view workspace, std::string_view owner) override {
    if (auto error = begin(Call::load_owner)) return *error;
    auto answer = inner_->load_owner(workspace, owner);
    if (alter_owner && answer.ok()) alter_owner(*answer);
    return answer;
  }
  Result<std::optional<WorkspaceRecord>> load_workspace(std::string_view workspace) override {
    if (auto error = begin(Call::load_workspace)) return *error;
    auto answer = inner_->load_workspace(workspace);
    if (alter_workspace && answer.ok()) alter_workspace(*answer);
    return answer;
  }
  Result<std::optional<StoreRecord>> load_store() override {
    if (auto error = begin(Call::load_store)) return *error;
    auto answer = inner_->load_store();
    if (alter_store && answer.ok()) alter_store(*answer);
    return answer;
  }
  Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) override {
    if (auto error = begin(Call::list_tokens)) return *error;
    auto answer = inner_->list_tokens(workspace, query);
    if (alter_list && answer.ok()) alter_list(*answer);
    return answer;
  }
  Result<OwnerList> list_owners(std::string_view workspace, std::string_view after, std::size_t limit) override {
    if (auto error = begin(Call::list_owners)) return *error;
    auto answer = inner_->list_owners(workspace, after, limit);
    if (alter_owners && answer.ok()) alter_owners(*answer);
    return answer;
  }
  Result<std::vector<WorkspaceRecord>> list_workspaces(std::string_view after, std::size_t limit) override {
    if (auto error = begin(Call::list_workspaces)) return *error;
    return inner_->list_workspaces(after, limit);
  }
  Result<TokenCounts> count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) override {
    if (auto error = begin(Call::count_tokens)) return *error;
    return inner_->count_tokens(workspace, owner, now);
  }
  Result<std::uint64_t> count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                   std::uint64_t at_most) override {
    if (auto error = begin(Call::count_live)) return *error;
    return inner_->count_live(workspace, owner, now, at_most);
  }
  Result<std::vector<EndedToken>> list_ended(std::string_view workspace, UnixMillis ended_before,
                                             std::size_t limit) override {
    if (auto error = begin(Call::list_ended)) return *error;
    return inner_->list_ended(workspace, ended_before, limit);
  }
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    if (auto error = begin(Call::commit)) return {CommitOutcome::failed, 0, std::move(error)};
    if (commit_outcome) {
      if (auto answer = commit_outcome()) {
        if (commit_happens) static_cast<void>(inner_->commit(workspace, batch, announcement));
        return {answer->outcome, 0, std::move(answer->error)};
      }
    }
    return inner_->commit(workspace, batch, announcement);
  }
  Result<Changes> changes(std::string_view workspace, std::uint64_t after_revision) override {
    if (auto error = begin(Call::changes)) return *error;
    auto answer = inner_->changes(workspace, after_revision);
    if (alter_changes && answer.ok()) alter_changes(*answer);
    return answer;
  }
  Pulse pulse() noexcept override { return inner_->pulse(); }
  Result<void> record_uses(std::string_view workspace, std::span<const Use> uses) override {
    if (auto error = begin(Call::record_uses)) return *error;
    auto answer = inner_->record_uses(workspace, uses);
    if (recorded && answer.ok()) recorded(uses);
    return answer;
  }
  Result<bool> maintain(std::chrono::milliseconds budget) override {
    if (auto error = begin(Call::maintain)) return *error;
    auto more = inner_->maintain(budget);
    if (never_tidy && more.ok()) return true;
    return more;
  }
  Result<std::vector<std::string>> check_integrity(std::size_t most, const Progress& progress) override {
    if (auto error = begin(Call::check_integrity)) return *error;
    auto answer = inner_->check_integrity(most, progress);
    if (alter_integrity && answer.ok()) alter_integrity(*answer);
    return answer;
  }

 private:
  std::optional<Error> begin(Call call) {
    counts_[static_cast<std::size_t>(call)].fetch_add(1);
    if (before) before(call);
    return fail ? fail(call) : std::nullopt;
  }

  std::shared_ptr<Backend> inner_;
  std::array<std::atomic<std::uint64_t>, call_count> counts_{};
};

}  // namespace tokenstore::test
