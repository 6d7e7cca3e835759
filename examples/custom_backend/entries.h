/* The functions of tokenstore_backend, one file for each group; that header says what each does. */
#ifndef ENTRIES_H
#define ENTRIES_H

#include "environment.h"
#include "spaces.h"

/* The context of every entry. */
typedef struct backend {
  char* directory;
  int read_only;
  environment* environment; /* NULL until `open` */
} backend;

/* A look at a workspace, as it is at that moment. */
typedef struct look {
  MDB_txn* txn;
  space space;
} look;

/* 0, MDB_NOTFOUND if nothing was ever committed there, or another code. Whatever it is, end it. */
int look_begin(const backend* self, const char* workspace, size_t workspace_size, look* out_look);
/* What an entry returns whose look came to `problem`: what is absent is no error. */
int32_t look_end(look* it, int problem, tokenstore_answer* answer);

#define STORE_KEY "store" /* in `about` */
/* The one record that is no workspace's. 0, MDB_NOTFOUND, or another code. Its text points into LMDB's memory. */
int store_record(MDB_txn* txn, const environment* in, tokenstore_store_record* out_record);

/* The feed's next entry, under the workspace's next revision, which `it` then has; the caller writes `it`. feed.c */
int feed_append(MDB_txn* txn, const environment* in, space* it, const tokenstore_announcement* announcement);

/* lookups.c */
int32_t lmdb_load_token(void* context, const char* workspace, size_t workspace_size, const char* id, size_t id_size,
                        tokenstore_answer* answer);
int32_t lmdb_load_owner(void* context, const char* workspace, size_t workspace_size, const char* owner,
                        size_t owner_size, tokenstore_answer* answer);
int32_t lmdb_load_workspace(void* context, const char* workspace, size_t workspace_size, tokenstore_answer* answer);
int32_t lmdb_load_store(void* context, tokenstore_answer* answer);

/* lists.c */
int32_t lmdb_list_tokens(void* context, const char* workspace, size_t workspace_size,
                         const tokenstore_token_query* query, tokenstore_answer* answer);
int32_t lmdb_list_owners(void* context, const char* workspace, size_t workspace_size, const char* after,
                         size_t after_size, uint64_t limit, tokenstore_answer* answer);
int32_t lmdb_list_workspaces(void* context, const char* after, size_t after_size, uint64_t limit,
                             tokenstore_answer* answer);

/* counts.c */
int32_t lmdb_count_tokens(void* context, const char* workspace, size_t workspace_size, const char* owner,
                          size_t owner_size, int64_t now, tokenstore_answer* answer);
int32_t lmdb_count_live(void* context, const char* workspace, size_t workspace_size, const char* owner,
                        size_t owner_size, int64_t now, uint64_t at_most, tokenstore_answer* answer);
int32_t lmdb_list_ended(void* context, const char* workspace, size_t workspace_size, int64_t ended_before,
                        uint64_t limit, tokenstore_answer* answer);

/* commit.c */
int32_t lmdb_commit(void* context, const char* workspace, size_t workspace_size,
                    const tokenstore_mutation* const* batch, size_t count, const tokenstore_announcement* announcement,
                    tokenstore_answer* answer);

/* feed.c */
int32_t lmdb_changes(void* context, const char* workspace, size_t workspace_size, uint64_t after,
                     tokenstore_answer* answer);
int32_t lmdb_maintain(void* context, int64_t budget_ms, tokenstore_answer* answer);

/* uses.c */
int32_t lmdb_record_uses(void* context, const char* workspace, size_t workspace_size, const tokenstore_use* const* uses,
                         size_t count, tokenstore_answer* answer);

#endif
