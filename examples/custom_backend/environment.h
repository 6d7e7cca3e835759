/* LMDB on a directory: one environment for each directory in a process, however many backends are on it.
 *
 * LMDB forbids a second one: closing it would drop the locks of the first. */
#ifndef ENVIRONMENT_H
#define ENVIRONMENT_H

#include <lmdb.h>

#include "pulse.h"

typedef struct environment {
  MDB_env* lmdb;
  pulse pulse;

  /* "space" stands for the 4 bytes of a workspace's number, and "owner" for a length and a name: see keys.h. */
  MDB_dbi about;        /* "schema" -> version; "spaces" -> how many workspaces have a number; "store" -> record */
  MDB_dbi spaces;       /* name of a workspace -> its number, its revision and link, its record: spaces.h */
  MDB_dbi owners;       /* space, name -> record */
  MDB_dbi tokens;       /* space, id -> record */
  MDB_dbi uses;         /* space, id -> last use. Not in the record: it changes without it */
  MDB_dbi by_owner;     /* space, owner, id -> times, for lists and counts */
  MDB_dbi by_end;       /* space, end, id -> revision, for list_ended */
  MDB_dbi by_owner_end; /* space, owner, end, id -> nothing, for count_live */
  MDB_dbi feed;         /* space, revision -> link and entry of what was announced with it */

  /* Of environment.c alone. */
  struct environment* next;
  uint64_t device;
  uint64_t inode;
  int64_t process;
  unsigned users;
} environment;

/* The environment of `directory`, shared with whoever has it already. TOKENSTORE_OK, or what `answer` failed with. */
int32_t environment_open(const char* directory, int read_only, environment** out_environment,
                         tokenstore_answer* answer);
void environment_close(environment* it);

/* Fails for `problem`, a code of LMDB or an errno, with a line that says what to do. */
int32_t fail_with(tokenstore_answer* answer, int problem);

#endif
