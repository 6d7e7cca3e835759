#include <utility>

#include "tokenstore/backend.hpp"

namespace tokenstore {
namespace {

RecordKind kind_of(const Record& record) noexcept {
  return static_cast<RecordKind>(record.index() + 1);
}

std::string key_of(const Record& record) {
  if (const auto* token = std::get_if<TokenRecord>(&record)) return token->id;
  if (const auto* owner = std::get_if<OwnerRecord>(&record)) return owner->owner;
  return std::get<WorkspaceRecord>(record).workspace;
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

}  // namespace tokenstore
