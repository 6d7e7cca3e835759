/* The backend itself: its context, and the table of its entries. */
#include <stdlib.h>
#include <string.h>

#include "entries.h"
#include "lmdb_backend.h"

static int32_t open_it(void* context, tokenstore_signal* signal, tokenstore_answer* answer) {
  backend* self = context;
  (void)signal; /* for backends without a pulse */
  return environment_open(self->directory, self->read_only, &self->environment, answer);
}

static void close_it(void* context) {
  backend* self = context;
  if (self->environment != NULL) environment_close(self->environment);
  free(self->directory);
  free(self);
}

static tokenstore_pulse read_pulse(void* context) {
  const backend* self = context;
  return pulse_read(&self->environment->pulse);
}

int32_t lmdb_backend(const char* directory, int read_only, tokenstore_backend* out_backend) {
  backend* self = calloc(1, sizeof *self);
  if (self != NULL) self->directory = strdup(directory);
  if (self == NULL || self->directory == NULL) {
    free(self);
    return TOKENSTORE_OUT_OF_MEMORY;
  }
  self->read_only = read_only;
  const tokenstore_backend filled = {
      .struct_size = sizeof filled,
      .context = self,
      .name = "lmdb",
      .name_size = 4,
      .contract = TOKENSTORE_BACKEND_CONTRACT,
      /* Not FORK_SAFE: LMDB is not. A child has to open a store of its own. */
      .capabilities = TOKENSTORE_BACKEND_THREAD_SAFE | (read_only ? TOKENSTORE_BACKEND_READ_ONLY : 0),
      .open = open_it,
      .close = close_it,
      .load_token = lmdb_load_token,
      .load_owner = lmdb_load_owner,
      .load_workspace = lmdb_load_workspace,
      .load_store = lmdb_load_store,
      .list_tokens = lmdb_list_tokens,
      .list_owners = lmdb_list_owners,
      .list_workspaces = lmdb_list_workspaces,
      .count_tokens = lmdb_count_tokens,
      .count_live = lmdb_count_live,
      .list_ended = lmdb_list_ended,
      .commit = read_only ? NULL : lmdb_commit,
      .changes = lmdb_changes,
      .pulse = read_pulse,
      .record_uses = read_only ? NULL : lmdb_record_uses,
      .maintain = read_only ? NULL : lmdb_maintain,
  };
  *out_backend = filled;
  return TOKENSTORE_OK;
}
