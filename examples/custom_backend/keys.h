/* The keys of the databases in environment.h. LMDB sorts them octet by octet, and holds at most 511 of them in one:
 * that is why a workspace is a number there. */
#ifndef KEYS_H
#define KEYS_H

#include <lmdb.h>
#include <stdint.h>
#include <tokenstore_backend.h>

#define LONGEST_KEY 300

typedef struct key {
  size_t size;
  uint8_t bytes[LONGEST_KEY];
} key;

/* Every key of a workspace begins with this. What is too long for a key is cut off: callers check before. */
key key_space(uint32_t space);
/* Appends. */
void key_add(key* to, const void* bytes, size_t size);
void key_add_number(key* to, uint64_t number, size_t size);
void key_add_time(key* to, int64_t time);
/* With its length before it, so that no name is the beginning of another's key. */
void key_add_owner(key* to, const char* owner, size_t size);

/* space, bytes: of owners, tokens and uses. */
key key_in(uint32_t space, const void* bytes, size_t size);

/* Points into `from`. */
MDB_val key_value(key* from);
int key_begins(const MDB_val* it, const key* prefix);
/* What follows a prefix, if it is an id; else NULL. */
const char* key_id_after(const MDB_val* it, const key* prefix);

/* Moves the cursor to the first key that begins with `prefix` and is not below `from`, or, backwards, to the last that
 * is below `from`. MDB_NOTFOUND if there is none. `from` begins with `prefix`. */
int key_first_from(MDB_cursor* cursor, const key* prefix, key* from, MDB_val* out_key, MDB_val* out_value);
int key_last_below(MDB_cursor* cursor, const key* prefix, key* from, MDB_val* out_key, MDB_val* out_value);
/* On to the next (MDB_NEXT) or the one before (MDB_PREV) with that prefix. */
int key_step(MDB_cursor* cursor, const key* prefix, MDB_cursor_op direction, MDB_val* out_key, MDB_val* out_value);

#endif
