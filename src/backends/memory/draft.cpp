#include "backends/memory/draft.hpp"

#include <utility>

namespace tokenstore::memory {

RecordRevision Draft::revision_of(RecordKind kind, const std::string& key) const {
  if (kind == RecordKind::token) {
    const TokenRecord* token = tables_.tokens.find(key);
    return token != nullptr ? token->revision : 0;
  }
  if (kind == RecordKind::owner) {
    const auto owner = tables_.owners.find(key);
    return owner != tables_.owners.end() ? owner->second.revision : 0;
  }
  if (kind == RecordKind::store) return store_ ? store_->revision : 0;
  return tables_.settings ? tables_.settings->revision : 0;
}

bool Draft::apply(const Mutation& mutation) {
  if (revision_of(mutation.kind, mutation.key) != mutation.expected) return false;
  if (mutation.action == Mutation::Action::check) return true;

  changes_anything_ = true;
  if (mutation.action == Mutation::Action::remove) {
    tokens_.insert_or_assign(mutation.key, std::nullopt);
  } else if (const auto* token = std::get_if<TokenRecord>(&mutation.record)) {
    TokenRecord record = *token;
    if (mutation.expected != 0) {
      const TokenRecord* before = tables_.tokens.find(mutation.key);
      record.last_used_at = before->last_used_at;
      record.last_used_from = before->last_used_from;
    }
    tokens_.insert_or_assign(mutation.key, std::move(record));
  } else if (const auto* owner = std::get_if<OwnerRecord>(&mutation.record)) {
    owners_.insert_or_assign(mutation.key, *owner);
  } else if (const auto* settings = std::get_if<WorkspaceRecord>(&mutation.record)) {
    settings_ = *settings;
  } else {
    new_store_ = std::get<StoreRecord>(mutation.record);
  }
  return true;
}

void Draft::prepare() {
  for (const auto& [id, token] : tokens_) {
    if (token) new_tokens_.add(*token);
  }
}

void Draft::publish(Tables& tables, std::optional<StoreRecord>& store) noexcept {
  for (const auto& [id, token] : tokens_) {
    if (!token) tables.tokens.remove(id);
  }
  tables.tokens.absorb(new_tokens_);
  for (const auto& [name, owner] : owners_) {
    if (const auto old = tables.owners.find(name); old != tables.owners.end()) tables.owners.erase(old);
  }
  tables.owners.merge(owners_);
  if (settings_) tables.settings = std::move(settings_);
  if (new_store_) store = std::move(new_store_);
}

}  // namespace tokenstore::memory
