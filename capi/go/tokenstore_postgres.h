/*
 * tokenstore: PostgreSQL, for a store that several machines share. A library of its own, libtokenstore-postgres, so
 * that nobody links libpq who does not use it.
 *
 *     tokenstore_postgres_options postgres = {.struct_size = sizeof postgres, .conninfo = ..., .conninfo_size = ...};
 *     tokenstore_backend backend;
 *     if (tokenstore_postgres_backend(&postgres, &backend) != TOKENSTORE_OK) ...
 *     if (tokenstore_open_backend(&options, &backend, &store, &error) != TOKENSTORE_OK) ...
 */
#ifndef TOKENSTORE_POSTGRES_H
#define TOKENSTORE_POSTGRES_H

#include "tokenstore_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tokenstore_postgres_options {
  size_t struct_size;
  /* As libpq takes it: "host=db1,db2 dbname=app user=app sslmode=verify-full", or a postgresql:// URI.
   * target_session_attrs=read-write is added if it says nothing about it. */
  const char* conninfo;
  size_t conninfo_size;
  /* The schema that holds the tables: [a-z_][a-z0-9_]*, at most 40 octets. Empty: tokenstore. */
  const char* schema;
  size_t schema_size;
  /* For how many milliseconds after another host's change this one may still answer from its cache. 0: 1,000.
   * -1: for none; the server is asked on every call. */
  int64_t max_staleness_ms;
  int64_t deadline_ms;        /* every call returns within so many milliseconds. 0: 5,000 */
  uint64_t pool_size;         /* the most connections besides the listener's. 0: 8 */
  int32_t must_exist;         /* flag: the tables must be there; else they are made, or migrated */
  int32_t read_only;          /* flag: nothing is written. Still reads from the primary */
  int32_t no_listener_thread; /* flag: tokenstore_maintain asks the server for changes, instead of a thread */
  int32_t reserved;
} tokenstore_postgres_options;
#define TOKENSTORE_POSTGRES_OPTIONS_SIZE_1_0 (offsetof(tokenstore_postgres_options, reserved) + sizeof(int32_t))

/* Fills in a backend for tokenstore_open_backend, which connects. Nothing is kept of `options`. What is wrong with
 * them, and everything that goes wrong with the server, is an error of tokenstore_open_backend: INVALID_ARGUMENT,
 * CANNOT_OPEN (not to be reached, no rights, settings that do not fit), NOT_A_STORE, NEWER_SCHEMA. The store's clock
 * has to be the system's: leases of the server go by that. The backend is THREAD_SAFE and FORK_SAFE. If it is not
 * handed to tokenstore_open_backend, call backend.close(backend.context). Errors: INVALID_ARGUMENT (a pointer is NULL),
 * OUT_OF_MEMORY. Any thread. Since 0.1. */
TOKENSTORE_API TOKENSTORE_MUST_USE int32_t tokenstore_postgres_backend(const tokenstore_postgres_options* options,
                                                                       tokenstore_backend* out_backend);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TOKENSTORE_POSTGRES_H */
