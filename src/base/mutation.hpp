/// What every backend asks of a step of a batch before anything else. Pure functions.
#pragma once

#include <string_view>

#include "tokenstore/backend.hpp"

namespace tokenstore::base {

/// Does the step fit the workspace that it is committed to, and its record? A batch with one that does not
/// answers `failed` with `misfit()`.
bool is_well_formed(std::string_view workspace, const Mutation& mutation) noexcept;
Error misfit();

}  // namespace tokenstore::base
