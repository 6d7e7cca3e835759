/* PostgreSQL for the conformance kit: a schema for each storage, on the server that TOKENSTORE_KIT_CONNINFO names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tokenstore_conformance.h>
#include <tokenstore_postgres.h>

static int32_t make(const tokenstore_conformance_place* place, tokenstore_backend* out_backend) {
  const char* conninfo = getenv("TOKENSTORE_KIT_CONNINFO");
  /* FNV-1a of the directory: no two are the same. */
  unsigned long long hash = 14695981039346656037ULL;
  for (size_t i = 0; i < place->directory_size; ++i) {
    hash = (hash ^ (unsigned char)place->directory[i]) * 1099511628211ULL;
  }
  char schema[32];
  snprintf(schema, sizeof schema, "kit_%llx", hash);
  const tokenstore_postgres_options options = {.struct_size = sizeof options,
                                               .conninfo = conninfo,
                                               .conninfo_size = conninfo != NULL ? strlen(conninfo) : 0,
                                               .schema = schema,
                                               .schema_size = strlen(schema),
                                               .max_staleness_ms = -1,
                                               .deadline_ms = 20000,
                                               .pool_size = 4,
                                               .read_only = place->how == TOKENSTORE_CONFORMANCE_READ_ONLY};
  return tokenstore_postgres_backend(&options, out_backend);
}

const tokenstore_conformance_subject tokenstore_conformance = {.struct_size = sizeof tokenstore_conformance,
                                                               .make = make,
                                                               .feed_bound = 4500,
                                                               .contract = TOKENSTORE_BACKEND_CONTRACT,
                                                               .exemptions = TOKENSTORE_CONFORMANCE_RESTLESS_PULSE};
