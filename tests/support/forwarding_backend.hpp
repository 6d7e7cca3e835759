/// A backend that passes every call on to another one. Tests derive from it and override what they alter.
#pragma once

#include <memory>
#include <utility>

#include "tokenstore/backend.hpp"

namespace tokenstore::test {

class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(std::shared_ptr<Backend> inner) : inner_(std::move(inner)) {}

  std::string_view name() const noexcept override { return inner_->name(); }
  bool read_only() const noexcept override { return inner_->read_only(); }
  Result<std::optional<TokenRecord>> load_token(std::string_view workspace, std::string_view id) override {
    return inner_->load_token(workspace, id);
  }
  Result<std::optional<OwnerRecord>> load_owner(std::string_view workspace, std::string_view owner) override {
    return inner_->load_owner(workspace, owner);
  }
  Result<std::optional<WorkspaceRecord>> load_workspace(std::string_view workspace) override {
    return inner_->load_workspace(workspace);
  }
  Result<std::optional<StoreRecord>> load_store() override { return inner_->load_store(); }
  Result<TokenList> list_tokens(std::string_view workspace, const TokenQuery& query) override {
    return inner_->list_tokens(workspace, query);
  }
  Result<OwnerList> list_owners(std::string_view workspace, std::string_view after, std::size_t limit) override {
    return inner_->list_owners(workspace, after, limit);
  }
  Result<std::vector<WorkspaceRecord>> list_workspaces(std::string_view after, std::size_t limit) override {
    return inner_->list_workspaces(after, limit);
  }
  Result<TokenCounts> count_tokens(std::string_view workspace, std::string_view owner, UnixMillis now) override {
    return inner_->count_tokens(workspace, owner, now);
  }
  Result<std::uint64_t> count_live(std::string_view workspace, std::string_view owner, UnixMillis now,
                                   std::uint64_t at_most) override {
    return inner_->count_live(workspace, owner, now, at_most);
  }
  Result<std::vector<EndedToken>> list_ended(std::string_view workspace, UnixMillis ended_before,
                                             std::size_t limit) override {
    return inner_->list_ended(workspace, ended_before, limit);
  }
  CommitResult commit(std::string_view workspace, std::span<const Mutation> batch,
                      const Announcement* announcement) override {
    return inner_->commit(workspace, batch, announcement);
  }
  Result<Changes> changes(std::string_view workspace, std::uint64_t after_revision) override {
    return inner_->changes(workspace, after_revision);
  }
  Pulse pulse() noexcept override { return inner_->pulse(); }
  Result<void> record_uses(std::string_view workspace, std::span<const Use> uses) override {
    return inner_->record_uses(workspace, uses);
  }
  Result<bool> maintain(std::chrono::milliseconds budget) override { return inner_->maintain(budget); }
  Result<std::vector<std::string>> check_integrity(std::size_t most, const Progress& progress) override {
    return inner_->check_integrity(most, progress);
  }

 protected:
  std::shared_ptr<Backend> inner_;
};

}  // namespace tokenstore::test
