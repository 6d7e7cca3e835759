/// Records of storage as the structs of tokenstore_backend.h, and back. Stateless; any thread.
///
/// `view`: a struct whose pointers are the record's own, valid as long as it is. `copy`: an owned record, its
/// texts cut to the largest size that is legal; what is malformed beyond that is a Failure.
#pragma once

#include "tokenstore/backend.hpp"
#include "tokenstore_backend.h"

namespace tokenstore::capi {

tokenstore_token_record view(const TokenRecord& record) noexcept;
tokenstore_owner_record view(const OwnerRecord& record) noexcept;
tokenstore_workspace_record view(const WorkspaceRecord& record) noexcept;
tokenstore_store_record view(const StoreRecord& record) noexcept;

TokenRecord copy(const tokenstore_token_record* record);
OwnerRecord copy(const tokenstore_owner_record* record);
WorkspaceRecord copy(const tokenstore_workspace_record* record);
StoreRecord copy(const tokenstore_store_record* record);

/// A text of `record`, no longer than `most`.
std::string cut_text(const char* data, std::size_t size, std::size_t most, std::string_view what);
RecordKind record_kind(std::int32_t kind);

/// The header's numbers and the library's; both directions go by the same table of the state filter.
std::int32_t state_filter(TokenQuery::State state) noexcept;
TokenQuery::State state_filter(std::int32_t state);

}  // namespace tokenstore::capi
