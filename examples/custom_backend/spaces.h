/* What is known of a workspace as a whole: its number in keys, its revision, and its feed's two ends. */
#ifndef SPACES_H
#define SPACES_H

#include "environment.h"
#include "records.h"

typedef struct space {
  uint32_t number;
  uint64_t revision;
  uint64_t feed_from;                 /* the feed has an entry for each revision after this one */
  uint8_t link[TOKENSTORE_SEAL_SIZE]; /* of the feed's newest entry; zeroes at revision 0 */
  size_t record_size;                 /* 0: nobody has put the workspace's record yet */
  uint8_t record[LONGEST_WORKSPACE_RECORD];
} space;

/* Each 0 or a code of LMDB; MDB_NOTFOUND: nothing was ever committed there. */
int space_find(MDB_txn* txn, const environment* in, const char* name, size_t name_size, space* out_space);
/* The same, but a workspace that is not there gets a number. */
int space_find_or_number(MDB_txn* txn, const environment* in, const char* name, size_t name_size, space* out_space);
int space_put(MDB_txn* txn, const environment* in, const char* name, size_t name_size, const space* it);
int space_from_bytes(const MDB_val* value, space* out_space);
/* Of the record; MDB_NOTFOUND if there is none. Its texts point into `it`. */
int space_record(const space* it, tokenstore_workspace_record* out_record);

#endif
