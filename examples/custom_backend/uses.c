/* Last uses: written in batches, no change of a record, and not worth a conflict. */
#include "entries.h"
#include "tokens.h"

int32_t lmdb_record_uses(void* context, const char* workspace, size_t workspace_size, const tokenstore_use* const* uses,
                         size_t count, tokenstore_answer* answer) {
  const environment* in = ((const backend*)context)->environment;
  MDB_txn* txn;
  space at;
  size_t written = 0;
  int problem = mdb_txn_begin(in->lmdb, NULL, 0, &txn);
  if (problem != 0) return fail_with(answer, problem);
  problem = space_find(txn, in, workspace, workspace_size, &at);
  if (problem == MDB_NOTFOUND) {
    mdb_txn_abort(txn);
    return TOKENSTORE_OK;
  }
  for (size_t i = 0; problem == 0 && i < count; ++i) {
    problem = token_note_use(txn, in, at.number, uses[i]);
    if (problem == 0) ++written;
    if (problem == MDB_NOTFOUND) problem = 0;
  }
  if (problem != 0 || written == 0) {
    mdb_txn_abort(txn);
  } else {
    problem = mdb_txn_commit(txn);
  }
  return problem == 0 ? TOKENSTORE_OK : fail_with(answer, problem);
}
