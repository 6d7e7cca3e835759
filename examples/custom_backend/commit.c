/* Committing a batch: one write transaction of LMDB, which is the only one at a time, in any process. */
#include <errno.h>
#include <string.h>

#include "entries.h"
#include "keys.h"
#include "tokens.h"

/* A precondition does not hold. No code of LMDB. */
#define CONFLICT (-1)

typedef struct change {
  MDB_txn* txn;
  const environment* in;
  space space;
  int written; /* something was */
} change;

/* The revision that a record is at; 0: there is none. */
static int stored_revision(const change* it, const tokenstore_mutation* step, uint64_t* out_revision) {
  tokenstore_token_record token;
  tokenstore_owner_record owner;
  tokenstore_workspace_record workspace;
  tokenstore_store_record store;
  int problem = MDB_NOTFOUND;
  *out_revision = 0;
  if (step->kind == TOKENSTORE_RECORD_WORKSPACE) {
    problem = space_record(&it->space, &workspace);
    if (problem == 0) *out_revision = workspace.revision;
  } else if (step->kind == TOKENSTORE_RECORD_STORE) {
    problem = store_record(it->txn, it->in, &store);
    if (problem == 0) *out_revision = store.revision;
  } else if (step->kind == TOKENSTORE_RECORD_TOKEN) {
    problem = token_load(it->txn, it->in, it->space.number, step->key, step->key_size, &token);
    if (problem == 0) *out_revision = token.revision;
  } else if (step->key_size <= TOKENSTORE_OWNER_MAX) {
    key name = key_in(it->space.number, step->key, step->key_size);
    MDB_val place = key_value(&name);
    MDB_val value;
    problem = mdb_get(it->txn, it->in->owners, &place, &value);
    if (problem == 0) problem = owner_from_bytes(&value, &owner);
    if (problem == 0) *out_revision = owner.revision;
  }
  return problem == MDB_NOTFOUND ? 0 : problem;
}

static int put_owner(const change* it, const tokenstore_owner_record* owner) {
  uint8_t bytes[LONGEST_RECORD];
  const size_t size = owner_to_bytes(owner, bytes, sizeof bytes);
  if (size == 0 || owner->owner_size > TOKENSTORE_OWNER_MAX) return MDB_BAD_VALSIZE;
  key name = key_in(it->space.number, owner->owner, owner->owner_size);
  MDB_val place = key_value(&name);
  MDB_val value = {.mv_size = size, .mv_data = bytes};
  return mdb_put(it->txn, it->in->owners, &place, &value, 0);
}

/* Into the space, which is written last. */
static int put_workspace(change* it, const tokenstore_workspace_record* workspace) {
  it->space.record_size = workspace_to_bytes(workspace, it->space.record, sizeof it->space.record);
  return it->space.record_size != 0 ? 0 : MDB_BAD_VALSIZE;
}

static int put_store(const change* it, const tokenstore_store_record* store) {
  uint8_t bytes[LONGEST_STORE_RECORD];
  const size_t size = store_to_bytes(store, bytes, sizeof bytes);
  if (size == 0) return MDB_BAD_VALSIZE;
  MDB_val place = {.mv_size = strlen(STORE_KEY), .mv_data = STORE_KEY};
  MDB_val value = {.mv_size = size, .mv_data = bytes};
  return mdb_put(it->txn, it->in->about, &place, &value, 0);
}

static int put_record(change* it, const tokenstore_mutation* step) {
  if (step->token != NULL) return token_put(it->txn, it->in, it->space.number, step->token);
  if (step->owner != NULL) return put_owner(it, step->owner);
  if (step->store != NULL) return put_store(it, step->store);
  return put_workspace(it, step->workspace);
}

static int do_step(change* it, const tokenstore_mutation* step) {
  uint64_t revision;
  int problem = stored_revision(it, step, &revision);
  if (problem != 0) return problem;
  if (revision != step->expected) return CONFLICT;
  if (step->step == TOKENSTORE_STEP_CHECK) return 0;
  it->written = 1;
  if (step->step == TOKENSTORE_STEP_PUT) return put_record(it, step);
  return revision != 0 ? token_remove(it->txn, it->in, it->space.number, step->key) : 0;
}

static int do_batch(change* it, const char* workspace, size_t workspace_size, const tokenstore_mutation* const* batch,
                    size_t count, const tokenstore_announcement* announcement) {
  int problem = space_find_or_number(it->txn, it->in, workspace, workspace_size, &it->space);
  for (size_t i = 0; problem == 0 && i < count; ++i) problem = do_step(it, batch[i]);
  if (problem == 0 && announcement != NULL) {
    problem = feed_append(it->txn, it->in, &it->space, announcement);
    it->written = 1;
  }
  if (problem != 0 || !it->written) return problem;
  return space_put(it->txn, it->in, workspace, workspace_size, &it->space);
}

/* LMDB could not finish. If it was for want of room, nothing happened: that it did not is seen by the newest
 * transaction, which is one before this. Of anything else nobody knows what a crash would make of it. */
static int32_t could_not_finish(const environment* in, size_t id, int problem, tokenstore_answer* answer) {
  MDB_txn* newest;
  if (mdb_txn_begin(in->lmdb, NULL, MDB_RDONLY, &newest) != 0) return TOKENSTORE_UNKNOWN;
  const int unchanged = mdb_txn_id(newest) < id;
  mdb_txn_abort(newest);
  if (unchanged && (problem == ENOSPC || problem == EDQUOT || problem == MDB_MAP_FULL)) {
    return fail_with(answer, problem);
  }
  return TOKENSTORE_UNKNOWN;
}

int32_t lmdb_commit(void* context, const char* workspace, size_t workspace_size,
                    const tokenstore_mutation* const* batch, size_t count, const tokenstore_announcement* announcement,
                    tokenstore_answer* answer) {
  environment* in = ((backend*)context)->environment;
  change it = {.in = in};
  int problem = mdb_txn_begin(in->lmdb, NULL, 0, &it.txn);
  if (problem != 0) return fail_with(answer, problem);
  problem = do_batch(&it, workspace, workspace_size, batch, count, announcement);
  if (problem != 0 || !it.written) {
    mdb_txn_abort(it.txn);
    if (problem == CONFLICT) return TOKENSTORE_CONFLICT;
    if (problem != 0) return fail_with(answer, problem);
    answer->emit_number(answer, it.space.revision);
    return TOKENSTORE_OK;
  }
  const size_t id = mdb_txn_id(it.txn);
  /* Odd as long as nobody can say whether the batch is there. Even and new before this returns. What is not announced
   * changes nothing that anybody remembers, and nobody needs to hear of it. */
  if (announcement != NULL) pulse_begin(&in->pulse);
  problem = mdb_txn_commit(it.txn);
  if (announcement != NULL) pulse_end(&in->pulse);
  if (problem != 0) return could_not_finish(in, id, problem, answer);
  answer->emit_number(answer, it.space.revision);
  return TOKENSTORE_OK;
}
