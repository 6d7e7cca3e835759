#include "tokens.h"

#include "bytes.h"
#include "keys.h"

/* Where a token stands in the indexes. */
typedef struct places {
  key by_owner;
  key by_end;
  key by_owner_end;
} places;

static places places_of(uint32_t space, const tokenstore_token_record* token) {
  places at = {key_space(space), key_space(space), key_space(space)};
  const int64_t end = token_end(token);
  key_add_owner(&at.by_owner, token->owner, token->owner_size);
  key_add(&at.by_owner, token->id, token->id_size);
  key_add_time(&at.by_end, end);
  key_add(&at.by_end, token->id, token->id_size);
  key_add_owner(&at.by_owner_end, token->owner, token->owner_size);
  key_add_time(&at.by_owner_end, end);
  key_add(&at.by_owner_end, token->id, token->id_size);
  return at;
}

static int put(MDB_txn* txn, MDB_dbi database, key* at, const void* bytes, size_t size) {
  MDB_val place = key_value(at);
  MDB_val value = {.mv_size = size, .mv_data = (void*)bytes};
  return mdb_put(txn, database, &place, &value, 0);
}

static int drop(MDB_txn* txn, MDB_dbi database, key* at) {
  MDB_val place = key_value(at);
  return mdb_del(txn, database, &place, NULL);
}

static int drop_places(MDB_txn* txn, const environment* in, places* at) {
  int problem = drop(txn, in->by_owner, &at->by_owner);
  if (problem == 0) problem = drop(txn, in->by_end, &at->by_end);
  if (problem == 0) problem = drop(txn, in->by_owner_end, &at->by_owner_end);
  /* An index that lacks what the record says is not the caller's "there is no such token". */
  return problem == MDB_NOTFOUND ? MDB_CORRUPTED : problem;
}

static int put_places(MDB_txn* txn, const environment* in, uint32_t space, const tokenstore_token_record* token) {
  places at = places_of(space, token);
  uint8_t bytes[4 * 8];
  writer times = {bytes, bytes + sizeof bytes, 0};
  write_time(&times, token->not_before);
  write_time(&times, token->expires_at);
  write_time(&times, token->expired_at);
  write_time(&times, token->revoked_at);
  int problem = put(txn, in->by_owner, &at.by_owner, bytes, sizeof bytes);
  writer revision = {bytes, bytes + sizeof bytes, 0};
  write_number(&revision, token->revision, 8);
  if (problem == 0) problem = put(txn, in->by_end, &at.by_end, bytes, 8);
  if (problem == 0) problem = put(txn, in->by_owner_end, &at.by_owner_end, NULL, 0);
  return problem;
}

static int load_record(MDB_txn* txn, const environment* in, uint32_t space, const char* id, size_t id_size,
                       tokenstore_token_record* out_record) {
  if (id_size != TOKENSTORE_ID_SIZE) return MDB_NOTFOUND;
  key at = key_in(space, id, id_size);
  MDB_val place = key_value(&at);
  MDB_val value;
  const int problem = mdb_get(txn, in->tokens, &place, &value);
  return problem == 0 ? token_from_bytes(&value, out_record) : problem;
}

int token_add_use(MDB_txn* txn, const environment* in, uint32_t space, tokenstore_token_record* record) {
  key at = key_in(space, record->id, record->id_size);
  MDB_val place = key_value(&at);
  MDB_val value;
  const int problem = mdb_get(txn, in->uses, &place, &value);
  if (problem != 0) return problem == MDB_NOTFOUND ? 0 : problem;
  const uint8_t* bytes = value.mv_data;
  reader from = {bytes, bytes + value.mv_size, 0};
  record->last_used_at = read_time(&from);
  record->last_used_from_size = (size_t)(from.end - from.at);
  record->last_used_from = read_bytes(&from, record->last_used_from_size);
  return from.damaged ? MDB_CORRUPTED : 0;
}

int token_load(MDB_txn* txn, const environment* in, uint32_t space, const char* id, size_t id_size,
               tokenstore_token_record* out_record) {
  const int problem = load_record(txn, in, space, id, id_size, out_record);
  return problem == 0 ? token_add_use(txn, in, space, out_record) : problem;
}

int token_put(MDB_txn* txn, const environment* in, uint32_t space, const tokenstore_token_record* record) {
  uint8_t bytes[LONGEST_RECORD];
  const size_t size = token_to_bytes(record, bytes, sizeof bytes);
  if (size == 0) return MDB_BAD_VALSIZE;
  tokenstore_token_record old;
  int problem = load_record(txn, in, space, record->id, record->id_size, &old);
  if (problem == 0) {
    /* Worked out before anything is written: what was read may move then. */
    places at = places_of(space, &old);
    problem = drop_places(txn, in, &at);
  } else if (problem == MDB_NOTFOUND) {
    problem = 0;
  }
  key at = key_in(space, record->id, record->id_size);
  if (problem == 0) problem = put(txn, in->tokens, &at, bytes, size);
  return problem == 0 ? put_places(txn, in, space, record) : problem;
}

int token_remove(MDB_txn* txn, const environment* in, uint32_t space, const char* id) {
  tokenstore_token_record old;
  int problem = load_record(txn, in, space, id, TOKENSTORE_ID_SIZE, &old);
  if (problem != 0) return problem;
  places indexed = places_of(space, &old);
  key at = key_in(space, id, TOKENSTORE_ID_SIZE);
  problem = drop_places(txn, in, &indexed);
  if (problem == 0) problem = drop(txn, in->tokens, &at);
  if (problem != 0) return problem;
  problem = drop(txn, in->uses, &at);
  return problem == MDB_NOTFOUND ? 0 : problem;
}

int token_note_use(MDB_txn* txn, const environment* in, uint32_t space, const tokenstore_use* use) {
  tokenstore_token_record token;
  const int problem = token_load(txn, in, space, use->id, use->id_size, &token);
  if (problem != 0) return problem;
  if (use->used_at <= token.last_used_at) return MDB_NOTFOUND;
  uint8_t bytes[8 + TOKENSTORE_USED_FROM_MAX];
  writer to = {bytes, bytes + sizeof bytes, 0};
  write_time(&to, use->used_at);
  write_bytes(&to, use->used_from, use->used_from_size);
  if (to.overflow) return MDB_BAD_VALSIZE;
  key at = key_in(space, use->id, use->id_size);
  return put(txn, in->uses, &at, bytes, (size_t)(to.at - bytes));
}

int token_state_from_index(const MDB_val* value, int64_t now, int32_t* out_state) {
  const uint8_t* bytes = value->mv_data;
  reader from = {bytes, bytes + value->mv_size, 0};
  token_times times;
  times.not_before = read_time(&from);
  times.expires_at = read_time(&from);
  times.expired_at = read_time(&from);
  times.revoked_at = read_time(&from);
  *out_state = token_state(&times, now);
  return from.damaged ? MDB_CORRUPTED : 0;
}
