/* The change feed: an entry for each revision, each with its link. It reaches back over the last LMDB_FEED_KEPT of
 * them. */
#include <string.h>
#include <time.h>

#include "bytes.h"
#include "entries.h"
#include "keys.h"
#include "lmdb_backend.h"

#define SLICE 500 /* entries that are dropped in one transaction: writers wait as long */

int feed_append(MDB_txn* txn, const environment* in, space* it, const tokenstore_announcement* announcement) {
  uint8_t link[TOKENSTORE_SEAL_SIZE];
  ++it->revision;
  announcement->link(announcement, it->revision, it->link, link);
  memcpy(it->link, link, sizeof link);
  key at = key_space(it->number);
  key_add_number(&at, it->revision, 8);
  MDB_val place = key_value(&at);
  /* An entry may be of any size: it goes straight into LMDB's memory. */
  MDB_val value = {.mv_size = sizeof link + announcement->entry_size};
  const int problem = mdb_put(txn, in->feed, &place, &value, MDB_RESERVE);
  if (problem != 0) return problem;
  writer to = {value.mv_data, (uint8_t*)value.mv_data + value.mv_size, 0};
  write_bytes(&to, link, sizeof link);
  write_bytes(&to, announcement->entry, announcement->entry_size);
  return 0;
}

static uint64_t revision_of(const MDB_val* place, const key* prefix) {
  const uint8_t* bytes = place->mv_data;
  reader from = {bytes + prefix->size, bytes + place->mv_size, 0};
  return read_number(&from, 8);
}

/* Those that are there. One that is missing is noticed above, by the links. */
static int emit_entries(const look* at, MDB_cursor* cursor, uint64_t after, tokenstore_answer* answer) {
  key prefix = key_space(at->space.number);
  key from = prefix;
  key_add_number(&from, after + 1, 8);
  MDB_val found;
  MDB_val value;
  int problem = key_first_from(cursor, &prefix, &from, &found, &value);
  for (; problem == 0; problem = key_step(cursor, &prefix, MDB_NEXT, &found, &value)) {
    const uint8_t* bytes = value.mv_data;
    reader kept = {bytes, bytes + value.mv_size, 0};
    const uint8_t* link = read_bytes(&kept, TOKENSTORE_SEAL_SIZE);
    if (link == NULL) return MDB_CORRUPTED;
    const size_t size = (size_t)(kept.end - kept.at);
    if (!answer->emit_entry(answer, revision_of(&found, &prefix), (const char*)kept.at, size, link)) return 0;
  }
  return problem;
}

int32_t lmdb_changes(void* context, const char* workspace, size_t workspace_size, uint64_t after,
                     tokenstore_answer* answer) {
  const space nothing = {.number = 0};
  look at;
  MDB_cursor* cursor;
  int problem = look_begin(context, workspace, workspace_size, &at);
  if (problem != 0 && problem != MDB_NOTFOUND) return look_end(&at, problem, answer);
  if (problem == MDB_NOTFOUND) at.space = nothing;
  answer->emit_head(answer, at.space.revision, at.space.link, at.space.feed_from);
  if (after < at.space.feed_from || after > at.space.revision) {
    answer->emit_everything(answer);
  } else if (after < at.space.revision) {
    problem = mdb_cursor_open(at.txn, ((const backend*)context)->environment->feed, &cursor);
    if (problem == 0) {
      problem = emit_entries(&at, cursor, after, answer);
      mdb_cursor_close(cursor);
    }
  }
  return look_end(&at, problem, answer);
}

static int is_too_long(const space* it) {
  return it->revision - it->feed_from > LMDB_FEED_KEPT;
}

/* Drops the oldest entries as long as there are too many, a slice at most. */
static int drop_oldest(MDB_txn* txn, const environment* in, space* from) {
  key prefix = key_space(from->number);
  MDB_cursor* cursor;
  MDB_val found;
  MDB_val value;
  int problem = mdb_cursor_open(txn, in->feed, &cursor);
  if (problem != 0) return problem;
  for (int dropped = 0; problem == 0 && dropped < SLICE && is_too_long(from); ++dropped) {
    problem = key_first_from(cursor, &prefix, &prefix, &found, &value);
    if (problem == 0) from->feed_from = revision_of(&found, &prefix);
    if (problem == 0) problem = mdb_cursor_del(cursor, 0);
  }
  mdb_cursor_close(cursor);
  if (problem != MDB_NOTFOUND) return problem;
  /* Somebody has removed entries: the feed knows nothing, and says so. */
  from->feed_from = from->revision;
  return 0;
}

/* One slice, of the first workspace whose feed is too long. */
static int trim(const environment* in, int* out_more) {
  MDB_txn* txn;
  MDB_cursor* cursor;
  MDB_val name;
  MDB_val value;
  *out_more = 0;
  int problem = mdb_txn_begin(in->lmdb, NULL, 0, &txn);
  if (problem != 0) return problem;
  problem = mdb_cursor_open(txn, in->spaces, &cursor);
  if (problem == 0) problem = mdb_cursor_get(cursor, &name, &value, MDB_FIRST);
  while (problem == 0 && !*out_more) {
    space one;
    problem = space_from_bytes(&value, &one);
    if (problem == 0 && is_too_long(&one)) {
      char kept[TOKENSTORE_OWNER_MAX];
      const size_t size = name.mv_size;
      memcpy(kept, name.mv_data, size);
      problem = drop_oldest(txn, in, &one);
      if (problem == 0) problem = space_put(txn, in, kept, size, &one);
      *out_more = 1;
    } else if (problem == 0) {
      problem = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
    }
  }
  if (problem == 0 && *out_more) return mdb_txn_commit(txn);
  mdb_txn_abort(txn);
  return problem == MDB_NOTFOUND ? 0 : problem;
}

static int64_t milliseconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int32_t lmdb_maintain(void* context, int64_t budget_ms, tokenstore_answer* answer) {
  const environment* in = ((const backend*)context)->environment;
  const int64_t begun = milliseconds_now();
  int more = 0;
  /* Gives back the places of readers that were killed. */
  int problem = mdb_reader_check(in->lmdb, NULL);
  if (problem == 0) {
    do {
      problem = trim(in, &more);
    } while (problem == 0 && more && milliseconds_now() - begun < budget_ms);
  }
  if (problem != 0) return fail_with(answer, problem);
  answer->emit_number(answer, (uint64_t)more);
  return TOKENSTORE_OK;
}
