/// What every backend asks of a batch before anything else. Pure functions.
#pragma once

#include <span>
#include <string_view>

#include "tokenstore/backend.hpp"

namespace tokenstore::base {

/// Does the step fit the workspace that it is committed to, and its record?
bool is_well_formed(std::string_view workspace, const Mutation& mutation) noexcept;
/// Does every step, and does no two name the same record? A batch that is not so answers `failed` with
/// `misfit()`. Throws std::bad_alloc for a large batch.
bool is_well_formed(std::string_view workspace, std::span<const Mutation> batch);
Error misfit();

}  // namespace tokenstore::base
