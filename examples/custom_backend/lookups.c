/* Looking up one record. What is emitted points into LMDB's memory: the library copies it before emit returns. */
#include <string.h>

#include "entries.h"
#include "keys.h"
#include "tokens.h"

int look_begin(const backend* self, const char* workspace, size_t workspace_size, look* out_look) {
  const int problem = mdb_txn_begin(self->environment->lmdb, NULL, MDB_RDONLY, &out_look->txn);
  if (problem != 0) {
    out_look->txn = NULL;
    return problem;
  }
  return space_find(out_look->txn, self->environment, workspace, workspace_size, &out_look->space);
}

int32_t look_end(look* it, int problem, tokenstore_answer* answer) {
  if (it->txn != NULL) mdb_txn_abort(it->txn);
  return problem == 0 || problem == MDB_NOTFOUND ? TOKENSTORE_OK : fail_with(answer, problem);
}

int32_t lmdb_load_token(void* context, const char* workspace, size_t workspace_size, const char* id, size_t id_size,
                        tokenstore_answer* answer) {
  const backend* self = context;
  tokenstore_token_record token;
  look at;
  int problem = look_begin(self, workspace, workspace_size, &at);
  if (problem == 0) problem = token_load(at.txn, self->environment, at.space.number, id, id_size, &token);
  if (problem == 0) answer->emit_token(answer, &token);
  return look_end(&at, problem, answer);
}

int32_t lmdb_load_owner(void* context, const char* workspace, size_t workspace_size, const char* owner,
                        size_t owner_size, tokenstore_answer* answer) {
  const backend* self = context;
  tokenstore_owner_record record;
  look at;
  int problem = look_begin(self, workspace, workspace_size, &at);
  if (problem == 0 && owner_size > TOKENSTORE_OWNER_MAX) problem = MDB_NOTFOUND;
  if (problem == 0) {
    key name = key_in(at.space.number, owner, owner_size);
    MDB_val place = key_value(&name);
    MDB_val value;
    problem = mdb_get(at.txn, self->environment->owners, &place, &value);
    if (problem == 0) problem = owner_from_bytes(&value, &record);
  }
  if (problem == 0) answer->emit_owner(answer, &record);
  return look_end(&at, problem, answer);
}

int32_t lmdb_load_workspace(void* context, const char* workspace, size_t workspace_size, tokenstore_answer* answer) {
  const backend* self = context;
  tokenstore_workspace_record record;
  look at;
  int problem = look_begin(self, workspace, workspace_size, &at);
  if (problem == 0) problem = space_record(&at.space, &record);
  if (problem == 0) answer->emit_workspace(answer, &record);
  return look_end(&at, problem, answer);
}

int store_record(MDB_txn* txn, const environment* in, tokenstore_store_record* out_record) {
  MDB_val place = {.mv_size = strlen(STORE_KEY), .mv_data = STORE_KEY};
  MDB_val value;
  const int problem = mdb_get(txn, in->about, &place, &value);
  return problem == 0 ? store_from_bytes(&value, out_record) : problem;
}

int32_t lmdb_load_store(void* context, tokenstore_answer* answer) {
  const environment* in = ((const backend*)context)->environment;
  tokenstore_store_record record;
  look at;
  int problem = mdb_txn_begin(in->lmdb, NULL, MDB_RDONLY, &at.txn);
  if (problem != 0) return fail_with(answer, problem);
  problem = store_record(at.txn, in, &record);
  if (problem == 0) answer->emit_store(answer, &record);
  return look_end(&at, problem, answer);
}
