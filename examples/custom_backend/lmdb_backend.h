/* Storage for tokenstore in LMDB: a directory that several processes of one machine may share. */
#ifndef LMDB_BACKEND_H
#define LMDB_BACKEND_H

#include <tokenstore_backend.h>

/* How many entries of a workspace's change feed `maintain` leaves. */
#define LMDB_FEED_KEPT 1000

/* Fills in a backend for tokenstore_open_backend. `directory` is copied, and must exist. With `read_only` nothing is
 * ever written, and there must be a store already. Returns TOKENSTORE_OK or TOKENSTORE_OUT_OF_MEMORY; everything else
 * that can go wrong does so when the backend is opened. */
int32_t lmdb_backend(const char* directory, int read_only, tokenstore_backend* out_backend);

/* The two steps in one: what a library that ships a backend exports. As tokenstore_open_backend. */
int32_t lmdb_tokenstore_open(const char* directory, const tokenstore_open_options* options,
                             tokenstore_store** out_store, tokenstore_error** out_error);

#endif
