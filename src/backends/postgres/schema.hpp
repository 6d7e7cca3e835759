/// The tables: created and migrated in one transaction, and refused if they are not what they should be.
#pragma once

#include "backends/postgres/session.hpp"

namespace tokenstore::postgres {

inline constexpr std::int64_t schema_version = 1;
/// The feed keeps this many revisions of each workspace; whoever is further behind forgets everything.
inline constexpr std::int64_t feed_revisions = 4'000;
/// A trim is worth its while when so many more have gathered.
inline constexpr std::int64_t feed_slack = 500;
/// The most changed records that one answer names.
inline constexpr std::int64_t feed_entries_max = 5'000;

bool is_schema_name(std::string_view name) noexcept;
/// The channel on which commits to a schema are announced.
std::string channel_of(const std::string& schema);

/// Checks encoding, identity, version and tables; creates what is missing altogether if `create`.
Result<void> prepare_schema(Session& session, const Target& target, bool create, Deadline deadline);

}  // namespace tokenstore::postgres
