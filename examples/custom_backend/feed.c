/* The change feed: what was changed after a revision. It reaches back over the last FEED_KEPT changes. */
#include <string.h>
#include <time.h>

#include "bytes.h"
#include "entries.h"
#include "keys.h"

#define FEED_KEPT 10000
#define SLICE 1000 /* entries that are dropped in one transaction: writers wait as long */

static uint64_t revision_of(const MDB_val* place, const key* prefix) {
  const uint8_t* bytes = place->mv_data;
  reader from = {bytes + prefix->size, bytes + place->mv_size, 0};
  return read_number(&from, 8);
}

static int emit_changes(const look* at, MDB_cursor* cursor, uint64_t after, tokenstore_answer* answer) {
  key prefix = key_space(at->space.number);
  key from = prefix;
  key_add_number(&from, after + 1, 8);
  MDB_val found;
  MDB_val value;
  int problem = key_first_from(cursor, &prefix, &from, &found, &value);
  for (; problem == 0; problem = key_step(cursor, &prefix, MDB_NEXT, &found, &value)) {
    const char* bytes = value.mv_data;
    if (value.mv_size == 0) return MDB_CORRUPTED;
    if (!answer->emit_change(answer, bytes[0], bytes + 1, value.mv_size - 1)) return 0;
  }
  return problem;
}

int32_t lmdb_changes(void* context, const char* workspace, size_t workspace_size, uint64_t after,
                     tokenstore_answer* answer) {
  look at;
  MDB_cursor* cursor;
  int problem = look_begin(context, workspace, workspace_size, &at);
  const uint64_t revision = problem == 0 ? at.space.revision : 0;
  if (problem == 0 && after >= at.space.feed_from && after < revision) {
    problem = mdb_cursor_open(at.txn, ((const backend*)context)->environment->feed, &cursor);
    if (problem == 0) {
      problem = emit_changes(&at, cursor, after, answer);
      mdb_cursor_close(cursor);
    }
  } else if (after != revision) {
    answer->emit_everything(answer);
  }
  if (problem == 0 || problem == MDB_NOTFOUND) answer->emit_number(answer, revision);
  return look_end(&at, problem, answer);
}

/* Drops the oldest entries, a revision at a time, as long as there are too many. */
static int drop_oldest(MDB_txn* txn, const environment* in, space* from) {
  key prefix = key_space(from->number);
  MDB_cursor* cursor;
  MDB_val found;
  MDB_val value;
  int problem = mdb_cursor_open(txn, in->feed, &cursor);
  if (problem != 0) return problem;
  problem = key_first_from(cursor, &prefix, &prefix, &found, &value);
  for (int dropped = 0; problem == 0; ++dropped) {
    const uint64_t revision = revision_of(&found, &prefix);
    const int new_revision = revision != from->feed_from;
    if (new_revision && (from->feed_count <= FEED_KEPT || dropped >= SLICE)) break;
    from->feed_from = revision;
    --from->feed_count;
    problem = mdb_cursor_del(cursor, 0);
    /* The next one has moved here, if there is one. */
    if (problem == 0) problem = key_first_from(cursor, &prefix, &prefix, &found, &value);
  }
  mdb_cursor_close(cursor);
  return problem == MDB_NOTFOUND ? 0 : problem;
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
    if (problem == 0 && one.feed_count > FEED_KEPT) {
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
