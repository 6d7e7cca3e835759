/// Records to and from rows, in the order of the columns in sql.cpp.
///
/// A stored value of the wrong size is not an error here: it reads as something that the seal above
/// does not cover, so that the record is found to be tampered with.
#pragma once

#include "backends/postgres/wire.hpp"
#include "tokenstore/backend.hpp"

namespace tokenstore::postgres {

TokenRecord read_token(const Answer& answer, int row);
OwnerRecord read_owner(const Answer& answer, int row);
WorkspaceRecord read_workspace(const Answer& answer, int row);
StoreRecord read_store(const Answer& answer, int row);

/// For insert_token.
Params new_token(std::string_view workspace, const TokenRecord& token);
/// For update_token: without the last use.
Params changed_token(std::string_view workspace, const TokenRecord& token);
Params owner_row(std::string_view workspace, const OwnerRecord& owner);
Params workspace_row(const WorkspaceRecord& workspace);
Params store_row(const StoreRecord& store);

}  // namespace tokenstore::postgres
