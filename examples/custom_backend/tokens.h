/* A token with all that is kept about it: record, last use, and its places in the indexes. Each function answers 0, a
 * code of LMDB, or MDB_NOTFOUND. */
#ifndef TOKENS_H
#define TOKENS_H

#include "environment.h"
#include "records.h"

/* With its last use. The texts of `out_record` point into LMDB's memory. */
int token_load(MDB_txn* txn, const environment* in, uint32_t space, const char* id, size_t id_size,
               tokenstore_token_record* out_record);
/* Inserts or replaces. A last use that is stored stays. */
int token_put(MDB_txn* txn, const environment* in, uint32_t space, const tokenstore_token_record* record);
int token_remove(MDB_txn* txn, const environment* in, uint32_t space, const char* id);

/* Adds the last use to a record that was read from the database of tokens. */
int token_add_use(MDB_txn* txn, const environment* in, uint32_t space, tokenstore_token_record* record);
/* Unless a later one is stored. MDB_NOTFOUND: there is no such token, or it was not later. */
int token_note_use(MDB_txn* txn, const environment* in, uint32_t space, const tokenstore_use* use);

/* From a value of the index by_owner. 0, or MDB_CORRUPTED. */
int token_state_from_index(const MDB_val* value, int64_t now, int32_t* out_state);

#endif
