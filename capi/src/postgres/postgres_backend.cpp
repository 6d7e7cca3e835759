// The PostgreSQL backend as C functions: all that libtokenstore-postgres exports.
#include <new>
#include <utility>

#include "backend/export.hpp"
#include "guard.hpp"
#include "structs.hpp"
#include "tokenstore/backends/postgres.hpp"
#include "tokenstore_postgres.h"
#include "values.hpp"

using namespace tokenstore;
using namespace tokenstore::capi;

namespace {

constexpr std::int64_t longest_milliseconds = std::int64_t{1} << 40;

std::chrono::milliseconds milliseconds_of(std::int64_t given, std::chrono::milliseconds otherwise,
                                          std::string_view what) {
  if (given == 0) return otherwise;
  if (given < 0 || given > longest_milliseconds) refuse(std::string(what) + " is not a number of milliseconds");
  return std::chrono::milliseconds(given);
}

/// Throws a Failure.
PostgresOptions options_of(const tokenstore_postgres_options& given) {
  PostgresOptions options;
  options.conninfo = text(given.conninfo, given.conninfo_size, "conninfo");
  const std::string_view schema = text(given.schema, given.schema_size, "the schema");
  if (!schema.empty()) options.schema = schema;
  if (given.max_staleness_ms == -1) {
    options.max_staleness = std::chrono::milliseconds(0);
  } else {
    options.max_staleness = milliseconds_of(given.max_staleness_ms, options.max_staleness, "max_staleness_ms");
  }
  options.deadline = milliseconds_of(given.deadline_ms, options.deadline, "deadline_ms");
  if (given.pool_size != 0) options.pool_size = static_cast<std::size_t>(given.pool_size);
  options.create = given.must_exist == 0;
  options.read_only = given.read_only != 0;
  options.listener_thread = given.no_listener_thread == 0;
  return options;
}

/// What `open` will do: connect, or say what is wrong with the options.
std::function<Result<std::shared_ptr<Backend>>()> opener_of(const tokenstore_postgres_options* given) {
  try {
    const auto known = TOKENSTORE_READ(tokenstore_postgres_options, POSTGRES_OPTIONS, given, "the options");
    return [options = options_of(known)] { return postgres_backend(options); };
  } catch (const Failure& failure) {
    return [error = Error(static_cast<Status>(failure.status()),
                          failure.message())]() -> Result<std::shared_ptr<Backend>> { return error; };
  }
}

}  // namespace

int32_t tokenstore_postgres_backend(const tokenstore_postgres_options* options, tokenstore_backend* out_backend) {
  if (options == nullptr || out_backend == nullptr) return TOKENSTORE_INVALID_ARGUMENT;
  try {
    const bool reads = options->struct_size >= TOKENSTORE_POSTGRES_OPTIONS_SIZE_1_0 && options->read_only != 0;
    *out_backend = export_backend(
        "postgres", TOKENSTORE_BACKEND_FORK_SAFE | (reads ? TOKENSTORE_BACKEND_READ_ONLY : 0U), opener_of(options));
    return TOKENSTORE_OK;
  } catch (const std::bad_alloc&) {
    return TOKENSTORE_OUT_OF_MEMORY;
  } catch (...) {
    return TOKENSTORE_INTERNAL;
  }
}
