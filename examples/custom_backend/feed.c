/* The change feed: an entry for each revision of a workspace, as the library announced it, and its link. It reaches
 * back over the last FEED_KEPT revisions. */
#include <string.h>
#include <time.h>

#include "entries.h"
#include "keys.h"

#define FEED_KEPT 1000
#define SLICE 1000 /* entries that are dropped in one transaction: writers wait as long */

static key place_of(uint32_t number, uint64_t revision) {
  key at = key_space(number);
  key_add_number(&at, revision, 8);
  return at;
}

int feed_add(MDB_txn* txn, const environment* in, space* to, const tokenstore_announcement* announcement) {
  uint8_t link[TOKENSTORE_SEAL_SIZE];
  announcement->link(announcement, to->revision + 1, to->link, link);
  key at = place_of(to->number, to->revision + 1);
  MDB_val place = key_value(&at);
  MDB_val value = {.mv_size = sizeof link + announcement->entry_size};
  const int problem = mdb_put(txn, in->feed, &place, &value, MDB_RESERVE);
  if (problem != 0) return problem;
  uint8_t* bytes = value.mv_data;
  memcpy(bytes, link, sizeof link);
  if (announcement->entry_size != 0) memcpy(bytes + sizeof link, announcement->entry, announcement->entry_size);
  memcpy(to->link, link, sizeof link);
  ++to->revision;
  return 0;
}

static int emit_entries(const look* at, MDB_dbi feed, uint64_t after, tokenstore_answer* answer) {
  for (uint64_t revision = after + 1; revision <= at->space.revision; ++revision) {
    key wanted = place_of(at->space.number, revision);
    MDB_val place = key_value(&wanted);
    MDB_val value;
    const int problem = mdb_get(at->txn, feed, &place, &value);
    if (problem != 0) return problem == MDB_NOTFOUND ? MDB_CORRUPTED : problem;
    if (value.mv_size < TOKENSTORE_SEAL_SIZE) return MDB_CORRUPTED;
    const uint8_t* link = value.mv_data;
    const char* entry = (const char*)link + TOKENSTORE_SEAL_SIZE;
    if (!answer->emit_entry(answer, revision, entry, value.mv_size - TOKENSTORE_SEAL_SIZE, link)) return 0;
  }
  return 0;
}

int32_t lmdb_changes(void* context, const char* workspace, size_t workspace_size, uint64_t after,
                     tokenstore_answer* answer) {
  const environment* in = ((const backend*)context)->environment;
  look at;
  int problem = look_begin(context, workspace, workspace_size, &at);
  if (problem == MDB_NOTFOUND) {
    const space nothing = {.number = 0};
    at.space = nothing;
    problem = 0;
  }
  if (problem == 0) {
    answer->emit_head(answer, at.space.revision, at.space.link, at.space.feed_from);
    if (after >= at.space.feed_from && after <= at.space.revision) {
      problem = emit_entries(&at, in->feed, after, answer);
    } else {
      answer->emit_everything(answer);
    }
  }
  return look_end(&at, problem, answer);
}

/* Drops the oldest entries, as long as there are too many. */
static int drop_oldest(MDB_txn* txn, const environment* in, space* from) {
  int problem = 0;
  for (int dropped = 0; problem == 0 && dropped < SLICE && from->revision - from->feed_from > FEED_KEPT; ++dropped) {
    key oldest = place_of(from->number, ++from->feed_from);
    MDB_val place = key_value(&oldest);
    problem = mdb_del(txn, in->feed, &place, NULL);
    if (problem == MDB_NOTFOUND) problem = 0; /* somebody else dropped it, which is what was wanted */
  }
  return problem;
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
    if (problem == 0 && one.revision - one.feed_from > FEED_KEPT) {
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
