#include "small_backend.h"

#include <stdlib.h>
#include <string.h>

typedef struct small {
  int present;
  tokenstore_workspace_record record; /* its texts are the arrays below */
  char workspace[TOKENSTORE_OWNER_MAX];
  char seal_key_id[TOKENSTORE_KEY_ID_SIZE];
  int store_present;
  tokenstore_store_record store; /* its text is the array below */
  char store_seal_key_id[TOKENSTORE_KEY_ID_SIZE];
  uint64_t revision; /* of the feed, which is not kept */
  uint8_t link[TOKENSTORE_SEAL_SIZE];
} small;

int small_backends_closed = 0;
void* small_backend_last = NULL;

static int is_here(const small* s, const char* workspace, size_t size) {
  return s->present && s->record.workspace_size == size && memcmp(s->workspace, workspace, size) == 0;
}

static void close_it(void* context) {
  ++small_backends_closed;
  free(context);
}

static int32_t load_token(void* context, const char* workspace, size_t workspace_size, const char* id, size_t id_size,
                          tokenstore_answer* answer) {
  (void)context, (void)workspace, (void)workspace_size, (void)id, (void)id_size, (void)answer;
  return TOKENSTORE_OK;
}

static int32_t load_owner(void* context, const char* workspace, size_t workspace_size, const char* owner,
                          size_t owner_size, tokenstore_answer* answer) {
  return load_token(context, workspace, workspace_size, owner, owner_size, answer);
}

static int32_t load_workspace(void* context, const char* workspace, size_t workspace_size, tokenstore_answer* answer) {
  small* s = context;
  if (is_here(s, workspace, workspace_size)) answer->emit_workspace(answer, &s->record);
  return TOKENSTORE_OK;
}

static int32_t load_store(void* context, tokenstore_answer* answer) {
  small* s = context;
  if (s->store_present) answer->emit_store(answer, &s->store);
  return TOKENSTORE_OK;
}

static int32_t list_tokens(void* context, const char* workspace, size_t workspace_size,
                           const tokenstore_token_query* query, tokenstore_answer* answer) {
  (void)context, (void)workspace, (void)workspace_size, (void)query, (void)answer;
  return TOKENSTORE_OK;
}

static int32_t list_owners(void* context, const char* workspace, size_t workspace_size, const char* after,
                           size_t after_size, uint64_t limit, tokenstore_answer* answer) {
  (void)limit;
  return load_token(context, workspace, workspace_size, after, after_size, answer);
}

static int32_t list_workspaces(void* context, const char* after, size_t after_size, uint64_t limit,
                               tokenstore_answer* answer) {
  small* s = context;
  (void)after;
  if (s->present && limit > 0 && after_size == 0) answer->emit_workspace(answer, &s->record);
  return TOKENSTORE_OK;
}

static int32_t count_tokens(void* context, const char* workspace, size_t workspace_size, const char* owner,
                            size_t owner_size, int64_t now, tokenstore_answer* answer) {
  (void)context, (void)workspace, (void)workspace_size, (void)owner, (void)owner_size, (void)now;
  answer->emit_counts(answer, 0, 0, 0, 0);
  return TOKENSTORE_OK;
}

static int32_t count_live(void* context, const char* workspace, size_t workspace_size, const char* owner,
                          size_t owner_size, int64_t now, uint64_t at_most, tokenstore_answer* answer) {
  (void)context, (void)workspace, (void)workspace_size, (void)owner, (void)owner_size, (void)now, (void)at_most;
  answer->emit_number(answer, 0);
  return TOKENSTORE_OK;
}

static int32_t list_ended(void* context, const char* workspace, size_t workspace_size, int64_t ended_before,
                          uint64_t limit, tokenstore_answer* answer) {
  (void)context, (void)workspace, (void)workspace_size, (void)ended_before, (void)limit, (void)answer;
  return TOKENSTORE_OK;
}

static uint64_t revision_of(const small* s, int32_t kind) {
  if (kind == TOKENSTORE_RECORD_WORKSPACE) return s->present ? s->record.revision : 0;
  return kind == TOKENSTORE_RECORD_STORE && s->store_present ? s->store.revision : 0;
}

static void put_workspace(small* s, const tokenstore_workspace_record* given) {
  s->record = *given;
  memcpy(s->workspace, given->workspace, given->workspace_size);
  memcpy(s->seal_key_id, given->seal_key_id, given->seal_key_id_size);
  s->record.struct_size = sizeof s->record;
  s->record.workspace = s->workspace;
  s->record.seal_key_id = s->seal_key_id;
  s->present = 1;
}

static void put_store(small* s, const tokenstore_store_record* given) {
  s->store = *given;
  memcpy(s->store_seal_key_id, given->seal_key_id, given->seal_key_id_size);
  s->store.struct_size = sizeof s->store;
  s->store.seal_key_id = s->store_seal_key_id;
  s->store_present = 1;
}

static int32_t commit(void* context, const char* workspace, size_t workspace_size,
                      const tokenstore_mutation* const* batch, size_t count,
                      const tokenstore_announcement* announcement, tokenstore_answer* answer) {
  small* s = context;
  size_t at = 0;
  (void)workspace, (void)workspace_size;
  for (at = 0; at < count; ++at) {
    if (batch[at]->kind != TOKENSTORE_RECORD_WORKSPACE && batch[at]->kind != TOKENSTORE_RECORD_STORE) {
      return answer->fail(answer, TOKENSTORE_STORAGE_FULL,
                          TOKENSTORE_LITERAL("it holds one workspace and nothing else"));
    }
    if (batch[at]->expected != revision_of(s, batch[at]->kind)) return TOKENSTORE_CONFLICT;
  }
  for (at = 0; at < count; ++at) {
    if (batch[at]->step != TOKENSTORE_STEP_PUT) continue;
    if (batch[at]->workspace != NULL) put_workspace(s, batch[at]->workspace);
    if (batch[at]->store != NULL) put_store(s, batch[at]->store);
  }
  if (announcement != NULL) {
    uint8_t next[TOKENSTORE_SEAL_SIZE];
    announcement->link(announcement, ++s->revision, s->link, next);
    memcpy(s->link, next, sizeof next);
  }
  answer->emit_number(answer, s->revision);
  return TOKENSTORE_OK;
}

static int32_t changes(void* context, const char* workspace, size_t workspace_size, uint64_t after,
                       tokenstore_answer* answer) {
  small* s = context;
  (void)workspace, (void)workspace_size, (void)after;
  answer->emit_head(answer, s->revision, s->link, s->revision);
  answer->emit_everything(answer);
  return TOKENSTORE_OK;
}

static int32_t record_uses(void* context, const char* workspace, size_t workspace_size,
                           const tokenstore_use* const* uses, size_t count, tokenstore_answer* answer) {
  (void)context, (void)workspace, (void)workspace_size, (void)uses, (void)count, (void)answer;
  return TOKENSTORE_OK;
}

int small_backend_make(tokenstore_backend* out_backend) {
  small* s = calloc(1, sizeof *s);
  const tokenstore_backend backend = {.struct_size = sizeof backend,
                                      .context = s,
                                      .name = "small",
                                      .name_size = 5,
                                      .contract = TOKENSTORE_BACKEND_CONTRACT,
                                      .close = close_it,
                                      .load_token = load_token,
                                      .load_owner = load_owner,
                                      .load_workspace = load_workspace,
                                      .load_store = load_store,
                                      .list_tokens = list_tokens,
                                      .list_owners = list_owners,
                                      .list_workspaces = list_workspaces,
                                      .count_tokens = count_tokens,
                                      .count_live = count_live,
                                      .list_ended = list_ended,
                                      .commit = commit,
                                      .changes = changes,
                                      .record_uses = record_uses};
  *out_backend = backend;
  small_backend_last = s;
  return s != NULL;
}
