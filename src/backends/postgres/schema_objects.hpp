/// Everything about our tables that could keep a write from happening, or from being found: compared with how they were
/// made, to the letter. Other tables and views in the schema are the host's own matter.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/postgres/session.hpp"

namespace tokenstore::postgres {

inline constexpr std::string_view table_names[] = {"about", "store", "workspace", "owner", "token", "feed", "change"};

struct Misfits {
  std::optional<Failure> failure;
  /// What the schema has and should not have, or lacks. None: all is as it was made.
  std::vector<std::string> lines;
};
Misfits misfitting_objects(Session& session, const Target& target, Deadline deadline);

}  // namespace tokenstore::postgres
