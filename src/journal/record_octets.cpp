/// Sealed records as octets. The fields stand in the order of include/tokenstore/backend.hpp; what is not sealed is
/// left out.
#include <utility>

#include "journal/entry.hpp"
#include "journal/octets.hpp"

namespace tokenstore::journal {

namespace {

/// Writes what it is given.
class RecordWriter {
 public:
  explicit RecordWriter(std::string& out) : writer_(out) {}
  void number(std::uint64_t value) { writer_.count(value); }
  void time(UnixMillis value) { writer_.time(value); }
  void flag(bool value) { writer_.octet(value ? 1 : 0); }
  void text(const std::string& value) { writer_.text(value); }
  template <std::size_t Size>
  void octets(const std::array<std::uint8_t, Size>& value) {
    writer_.octets(value);
  }

 private:
  OctetWriter writer_;
};

/// Fills what it is given.
class RecordReader {
 public:
  explicit RecordReader(std::string_view in) : reader_(in) {}
  template <typename Number>
  void number(Number& value) {
    value = static_cast<Number>(reader_.count());
  }
  void time(UnixMillis& value) { value = reader_.time(); }
  void flag(bool& value) { value = reader_.octet() != 0; }
  void text(std::string& value) { value = reader_.text(); }
  template <std::size_t Size>
  void octets(std::array<std::uint8_t, Size>& value) {
    reader_.octets(value);
  }
  bool finished() const noexcept { return reader_.finished(); }

 private:
  OctetReader reader_;
};

// One list of fields for both ways, so that they cannot differ.

template <typename Fields, typename Token>
void pass_token(Fields& fields, Token& record) {
  fields.text(record.id);
  fields.text(record.key_id);
  fields.octets(record.verifier);
  fields.text(record.owner);
  fields.octets(record.owner_birth);
  fields.number(record.revoke_all_count);
  fields.text(record.description);
  fields.text(record.scopes);
  fields.text(record.metadata);
  fields.time(record.created_at);
  fields.text(record.created_by);
  fields.time(record.not_before);
  fields.time(record.expires_at);
  fields.time(record.expired_at);
  fields.time(record.revoked_at);
  fields.text(record.revoked_by);
  fields.text(record.revoke_reason);
  fields.number(record.revision);
  fields.text(record.seal_key_id);
  fields.octets(record.seal);
}

template <typename Fields, typename Owner>
void pass_owner(Fields& fields, Owner& record) {
  fields.text(record.owner);
  fields.octets(record.birth);
  fields.flag(record.may_issue);
  fields.flag(record.may_use);
  fields.time(record.suspended_at);
  fields.text(record.suspended_by);
  fields.text(record.suspend_reason);
  fields.number(record.revoke_all_count);
  fields.number(record.revision);
  fields.text(record.seal_key_id);
  fields.octets(record.seal);
}

template <typename Fields, typename Workspace>
void pass_workspace(Fields& fields, Workspace& record) {
  fields.text(record.workspace);
  fields.octets(record.birth);
  fields.flag(record.tokens_enabled);
  fields.flag(record.users_may_issue);
  fields.flag(record.never_allowed);
  fields.time(record.longest_lifetime);
  fields.time(record.default_lifetime);
  fields.number(record.most_active_per_owner);
  fields.time(record.created_at);
  fields.number(record.revision);
  fields.text(record.seal_key_id);
  fields.octets(record.seal);
}

template <typename Fields, typename Store>
void pass_store(Fields& fields, Store& record) {
  fields.octets(record.id);
  fields.time(record.created_at);
  fields.number(record.revision);
  fields.text(record.seal_key_id);
  fields.octets(record.seal);
}

template <typename Fields>
struct Pass {
  Fields& fields;
  template <typename Each>
  void operator()(Each& record) const {
    using Plain = std::remove_const_t<Each>;
    if constexpr (std::is_same_v<Plain, TokenRecord>) pass_token(fields, record);
    if constexpr (std::is_same_v<Plain, OwnerRecord>) pass_owner(fields, record);
    if constexpr (std::is_same_v<Plain, WorkspaceRecord>) pass_workspace(fields, record);
    if constexpr (std::is_same_v<Plain, StoreRecord>) pass_store(fields, record);
  }
};

RecordKind kind_of_record(const Record& record) noexcept {
  return static_cast<RecordKind>(record.index() + 1);
}

Record empty_record(RecordKind kind) {
  switch (kind) {
    case RecordKind::token:
      break;
    case RecordKind::owner:
      return OwnerRecord{};
    case RecordKind::workspace:
      return WorkspaceRecord{};
    case RecordKind::store:
      return StoreRecord{};
  }
  return TokenRecord{};
}

}  // namespace

std::string encode_record(const Record& record) {
  std::string octets;
  octets.push_back(static_cast<char>(kind_of_record(record)));
  RecordWriter writer(octets);
  std::visit(Pass<RecordWriter>{writer}, record);
  return octets;
}

std::optional<Record> decode_record(std::string_view octets) {
  if (octets.empty() || octets[0] < 1 || octets[0] > 4) return std::nullopt;
  Record record = empty_record(static_cast<RecordKind>(octets[0]));
  RecordReader reader(octets.substr(1));
  std::visit(Pass<RecordReader>{reader}, record);
  if (!reader.finished()) return std::nullopt;
  return record;
}

}  // namespace tokenstore::journal
