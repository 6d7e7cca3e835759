#include "base/mutation.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace tokenstore {
namespace {

RecordKind kind_of(const Record& record) noexcept {
  return static_cast<RecordKind>(record.index() + 1);
}

std::string key_of(const Record& record) {
  if (const auto* token = std::get_if<TokenRecord>(&record)) return token->id;
  if (const auto* owner = std::get_if<OwnerRecord>(&record)) return owner->owner;
  if (const auto* workspace = std::get_if<WorkspaceRecord>(&record)) return workspace->workspace;
  return {};
}

}  // namespace

Mutation Mutation::put(Record record, RecordRevision expected) {
  Mutation mutation;
  mutation.action = Action::put;
  mutation.kind = kind_of(record);
  mutation.key = key_of(record);
  mutation.expected = expected;
  mutation.record = std::move(record);
  return mutation;
}

Mutation Mutation::remove_token(std::string id, RecordRevision expected) {
  Mutation mutation;
  mutation.action = Action::remove;
  mutation.kind = RecordKind::token;
  mutation.key = std::move(id);
  mutation.expected = expected;
  return mutation;
}

Mutation Mutation::check(RecordKind kind, std::string key, RecordRevision expected) {
  Mutation mutation;
  mutation.action = Action::check;
  mutation.kind = kind;
  mutation.key = std::move(key);
  mutation.expected = expected;
  return mutation;
}

namespace base {

bool is_well_formed(std::string_view workspace, const Mutation& mutation) noexcept {
  if (mutation.kind == RecordKind::workspace && mutation.key != workspace) return false;
  if (mutation.kind == RecordKind::store && !mutation.key.empty()) return false;
  switch (mutation.action) {
    case Mutation::Action::check:
      return true;
    case Mutation::Action::remove:
      return mutation.kind == RecordKind::token;
    case Mutation::Action::put:
      if (const auto* token = std::get_if<TokenRecord>(&mutation.record)) {
        return mutation.kind == RecordKind::token && token->id == mutation.key;
      }
      if (const auto* owner = std::get_if<OwnerRecord>(&mutation.record)) {
        return mutation.kind == RecordKind::owner && owner->owner == mutation.key;
      }
      if (const auto* settings = std::get_if<WorkspaceRecord>(&mutation.record)) {
        return mutation.kind == RecordKind::workspace && settings->workspace == mutation.key;
      }
      return mutation.kind == RecordKind::store && std::holds_alternative<StoreRecord>(mutation.record);
  }
  return false;
}

bool is_well_formed(std::string_view workspace, std::span<const Mutation> batch) {
  for (const Mutation& mutation : batch) {
    if (!is_well_formed(workspace, mutation)) return false;
  }
  // Most batches are of a few steps; those need no memory.
  constexpr std::size_t few = 8;
  if (batch.size() <= few) {
    for (std::size_t i = 1; i < batch.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (batch[i].kind == batch[j].kind && batch[i].key == batch[j].key) return false;
      }
    }
    return true;
  }
  std::vector<const Mutation*> in_order;
  in_order.reserve(batch.size());
  for (const Mutation& mutation : batch) in_order.push_back(&mutation);
  const auto before = [](const Mutation* left, const Mutation* right) {
    return left->kind != right->kind ? left->kind < right->kind : left->key < right->key;
  };
  std::sort(in_order.begin(), in_order.end(), before);
  return std::adjacent_find(in_order.begin(), in_order.end(), [&](const Mutation* left, const Mutation* right) {
           return !before(left, right);
         }) == in_order.end();
}

Error misfit() {
  return Error(Status::invalid_argument, "a batch's step does not fit its record or workspace, or repeats another");
}

}  // namespace base

}  // namespace tokenstore
