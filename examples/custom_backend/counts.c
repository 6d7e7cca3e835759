/* Counting, and finding what has ended: each in an index that holds no more than it needs. */
#include "bytes.h"
#include "entries.h"
#include "keys.h"
#include "tokens.h"

static int count_states(const look* at, MDB_cursor* cursor, const char* owner, size_t owner_size, int64_t now,
                        uint64_t counts[5]) {
  key prefix = key_space(at->space.number);
  if (owner_size != 0) key_add_owner(&prefix, owner, owner_size);
  MDB_val found;
  MDB_val value;
  int problem = key_first_from(cursor, &prefix, &prefix, &found, &value);
  for (; problem == 0; problem = key_step(cursor, &prefix, MDB_NEXT, &found, &value)) {
    int32_t state;
    problem = token_state_from_index(&value, now, &state);
    if (problem != 0) return problem;
    ++counts[state];
  }
  return problem;
}

int32_t lmdb_count_tokens(void* context, const char* workspace, size_t workspace_size, const char* owner,
                          size_t owner_size, int64_t now, tokenstore_answer* answer) {
  uint64_t counts[5] = {0}; /* by TOKENSTORE_STATE_... */
  look at;
  MDB_cursor* cursor;
  int problem = look_begin(context, workspace, workspace_size, &at);
  if (problem == 0) problem = mdb_cursor_open(at.txn, ((const backend*)context)->environment->by_owner, &cursor);
  if (problem == 0) {
    problem = count_states(&at, cursor, owner, owner_size, now, counts);
    mdb_cursor_close(cursor);
  }
  if (problem == 0 || problem == MDB_NOTFOUND) {
    answer->emit_counts(answer, counts[TOKENSTORE_STATE_ACTIVE], counts[TOKENSTORE_STATE_PENDING],
                        counts[TOKENSTORE_STATE_EXPIRED], counts[TOKENSTORE_STATE_REVOKED]);
  }
  return look_end(&at, problem, answer);
}

static int count_live(const look* at, MDB_cursor* cursor, const char* owner, size_t owner_size, int64_t now,
                      uint64_t at_most, uint64_t* out_count) {
  if (now == INT64_MAX) return 0; /* nothing ends after it */
  key prefix = key_space(at->space.number);
  key_add_owner(&prefix, owner, owner_size);
  key from = prefix;
  key_add_time(&from, now + 1);
  MDB_val found;
  MDB_val value;
  int problem = key_first_from(cursor, &prefix, &from, &found, &value);
  while (problem == 0 && *out_count < at_most) {
    ++*out_count;
    problem = key_step(cursor, &prefix, MDB_NEXT, &found, &value);
  }
  return problem;
}

int32_t lmdb_count_live(void* context, const char* workspace, size_t workspace_size, const char* owner,
                        size_t owner_size, int64_t now, uint64_t at_most, tokenstore_answer* answer) {
  uint64_t count = 0;
  look at;
  MDB_cursor* cursor;
  int problem = look_begin(context, workspace, workspace_size, &at);
  if (problem == 0) problem = mdb_cursor_open(at.txn, ((const backend*)context)->environment->by_owner_end, &cursor);
  if (problem == 0) {
    problem = count_live(&at, cursor, owner, owner_size, now, at_most, &count);
    mdb_cursor_close(cursor);
  }
  if (problem == 0 || problem == MDB_NOTFOUND) answer->emit_number(answer, count);
  return look_end(&at, problem, answer);
}

static int list_ended(const look* at, MDB_cursor* cursor, int64_t ended_before, uint64_t limit,
                      tokenstore_answer* answer) {
  key prefix = key_space(at->space.number);
  MDB_val found;
  MDB_val value;
  int problem = key_first_from(cursor, &prefix, &prefix, &found, &value);
  for (uint64_t emitted = 0; problem == 0 && emitted < limit; ++emitted) {
    const uint8_t* bytes = found.mv_data;
    reader place = {bytes + prefix.size, bytes + found.mv_size, 0};
    const int64_t end = read_time(&place);
    const char* id = read_bytes(&place, TOKENSTORE_ID_SIZE);
    const uint8_t* revision_bytes = value.mv_data;
    reader kept = {revision_bytes, revision_bytes + value.mv_size, 0};
    const uint64_t revision = read_number(&kept, 8);
    if (place.damaged || kept.damaged) return MDB_CORRUPTED;
    if (end >= ended_before) return 0;
    if (!answer->emit_ended(answer, id, TOKENSTORE_ID_SIZE, revision)) return 0;
    problem = key_step(cursor, &prefix, MDB_NEXT, &found, &value);
  }
  return problem;
}

int32_t lmdb_list_ended(void* context, const char* workspace, size_t workspace_size, int64_t ended_before,
                        uint64_t limit, tokenstore_answer* answer) {
  look at;
  MDB_cursor* cursor;
  int problem = look_begin(context, workspace, workspace_size, &at);
  if (problem == 0) problem = mdb_cursor_open(at.txn, ((const backend*)context)->environment->by_end, &cursor);
  if (problem == 0) {
    problem = list_ended(&at, cursor, ended_before, limit, answer);
    mdb_cursor_close(cursor);
  }
  return look_end(&at, problem, answer);
}
