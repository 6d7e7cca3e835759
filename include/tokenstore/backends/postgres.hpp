/// PostgreSQL, for a store that several machines share. Link tokenstore::postgres; docs/postgres.md.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "tokenstore/backend.hpp"

namespace tokenstore {

struct PostgresOptions {
  /// As libpq takes it: "host=db1,db2 dbname=app user=app sslmode=verify-full", or a postgresql:// URI.
  /// target_session_attrs=read-write is added if it says nothing about it.
  std::string conninfo{};
  /// The schema that holds the tables: [a-z_][a-z0-9_]*, at most 40 octets. Several stores can share a
  /// database in schemas of their own.
  std::string schema = "tokenstore";
  bool create = true;      ///< create or migrate the tables if need be; false: they must be there
  bool read_only = false;  ///< every write answers `read_only`. Still reads from the primary.

  /// How long after another host's change this one may still answer from its cache. 0 asks the server
  /// on every call.
  std::chrono::milliseconds max_staleness{1000};
  /// Listen for changes in a thread of the backend's own: making such a backend is asking for one
  /// thread. Without it, maintain() asks the server instead, and between two calls that are further
  /// apart than max_staleness every validation reads through. Not started if max_staleness is 0.
  bool listener_thread = true;

  /// Every call returns within this, whatever the server and the network do.
  std::chrono::milliseconds deadline{5000};
  /// The most connections besides the listener's, which are opened as they are needed.
  std::size_t pool_size = 8;

  std::shared_ptr<Clock> clock{};  ///< of the leases; the same as the store's. Null: the system's.
};

/// Connects, and creates or migrates the tables if need be. `cannot_open`: not to be reached, no rights,
/// or settings that do not fit. `not_a_store`: the schema is damaged or somebody else's.
Result<std::shared_ptr<Backend>> postgres_backend(const PostgresOptions& options);

}  // namespace tokenstore
