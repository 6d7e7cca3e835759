/*
 * One good call of every exported function, in a small world of its own: for tests that are about all of them.
 * every_call.c is the table; symbols.py checks that it is complete.
 */
#ifndef TOKENSTORE_TESTS_EVERY_CALL_H
#define TOKENSTORE_TESTS_EVERY_CALL_H

#include <tokenstore.h>

/* What the calls work on and leave behind. */
typedef struct world {
  tokenstore_store* store;
  tokenstore_store* second_store;
  tokenstore_store* opened_store; /* by the call */
  tokenstore_keyring* keyring;
  tokenstore_keyring* second_keyring;
  tokenstore_error* error;
  tokenstore_token* token;
  tokenstore_token* second_token;
  tokenstore_page* page;
  tokenstore_page* second_page;
  tokenstore_owner* owner;
  tokenstore_owner* second_owner;
  tokenstore_owner_page* owner_page;
  tokenstore_owner_page* second_owner_page;
  tokenstore_check_report* report;
  tokenstore_check_report* second_report;
  tokenstore_key_report* key_report;
  tokenstore_key_report* second_key_report;
  char text[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  size_t text_size;
  char id[TOKENSTORE_ID_SIZE];
  int64_t now;        /* later than the end of a token that has ended */
  char key_file[256]; /* exists; written by world_make */
  char new_file[256]; /* does not exist */
  char backup[256];   /* made by the calls that read one */
  char place[256];    /* what a call makes there is removed before the next */
  char journal[256];
  char key_text[4096];
  size_t key_text_size;
  tokenstore_error* last_error; /* of the call */
} world;

typedef enum call_kind {
  CALL_STATUS,  /* answers a status */
  CALL_VALUE,   /* answers something else; `run` answers OK */
  CALL_RELEASE, /* frees a handle; `run` answers OK */
} call_kind;

typedef struct every_call {
  const char* name;
  call_kind kind;
  int32_t (*run)(world* w);
} every_call;

extern const every_call every_calls[];
extern const size_t every_calls_count;

/* What a call may change, read back. */
typedef struct world_state {
  tokenstore_counts counts;
  tokenstore_policy policy;
  int32_t owner_suspended;
  int32_t owner_may_not_issue;
  size_t keys;
  int32_t token_state;
  int64_t token_expires_at;
} world_state;

/* `path` is a database file to create, or NULL for a store in memory; `folder` is where the world's files go.
 * 0 if the world could not be made. */
int world_make(world* w, const char* folder, const char* path);
/* Zero, and then filled, so that two can be compared byte by byte. 0 if it could not be read. */
int world_read(world* w, world_state* state);
void world_free(world* w);

#endif
