/// Records to and from rows, in the order of the columns in sql.cpp.
///
/// A stored value of the wrong size or kind is not an error here: it reads as something that the seal
/// above does not cover, so that the record is found to be tampered with.
#pragma once

#include "backends/sqlite/connection.hpp"
#include "tokenstore/backend.hpp"

namespace tokenstore::sqlite {

TokenRecord read_token(const Query& row);
OwnerRecord read_owner(const Query& row);
WorkspaceRecord read_workspace(const Query& row);
StoreRecord read_store(const Query& row);
Bytes32 read_link(const Query& row, int column) noexcept;

/// Only what list_tokens needs to decide whether it wants the row.
TokenQuery::State read_state(const Query& row, UnixMillis now) noexcept;
std::string_view read_id(const Query& row) noexcept;
std::string_view read_description(const Query& row) noexcept;

/// For insert_token and update_token.
void bind_token(Query& query, std::string_view workspace, const TokenRecord& token) noexcept;
/// For insert_token besides: the last use that comes with a copied record.
void bind_new_uses(Query& query, const TokenRecord& token) noexcept;
void bind_owner(Query& query, std::string_view workspace, const OwnerRecord& owner) noexcept;
void bind_workspace(Query& query, const WorkspaceRecord& workspace) noexcept;
void bind_store(Query& query, const StoreRecord& store) noexcept;

}  // namespace tokenstore::sqlite
