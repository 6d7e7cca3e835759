/* Records as the bytes of a value, and back. */
#ifndef RECORDS_H
#define RECORDS_H

#include <lmdb.h>
#include <tokenstore_backend.h>

/* More than any record takes. */
#define LONGEST_RECORD 20000
#define LONGEST_WORKSPACE_RECORD 400
#define LONGEST_STORE_RECORD 100

/* How many bytes of `bytes` the record takes; 0: it does not fit. The last use of a token is not among them. */
size_t token_to_bytes(const tokenstore_token_record* record, uint8_t* bytes, size_t size);
size_t owner_to_bytes(const tokenstore_owner_record* record, uint8_t* bytes, size_t size);
size_t workspace_to_bytes(const tokenstore_workspace_record* record, uint8_t* bytes, size_t size);
size_t store_to_bytes(const tokenstore_store_record* record, uint8_t* bytes, size_t size);

/* The texts of `out_record` point into `value`. 0, or MDB_CORRUPTED. */
int token_from_bytes(const MDB_val* value, tokenstore_token_record* out_record);
int owner_from_bytes(const MDB_val* value, tokenstore_owner_record* out_record);
int workspace_from_bytes(const MDB_val* value, tokenstore_workspace_record* out_record);
int store_from_bytes(const MDB_val* value, tokenstore_store_record* out_record);

/* When a token stops for good. */
int64_t token_end(const tokenstore_token_record* token);
/* What the state of a token is told by. */
typedef struct token_times {
  int64_t not_before;
  int64_t expires_at;
  int64_t expired_at;
  int64_t revoked_at;
} token_times;
token_times times_of(const tokenstore_token_record* token);
/* TOKENSTORE_STATE_ACTIVE to REVOKED, by the rule of tokenstore_token_query. */
int32_t token_state(const token_times* times, int64_t now);

#endif
