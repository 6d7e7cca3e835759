#include "small_backend.h"

#include <stdlib.h>
#include <string.h>

/* A record is there if its revision is not 0. The texts of both are the arrays behind them. */
typedef struct small {
  tokenstore_workspace_record workspace;
  char name[TOKENSTORE_OWNER_MAX];
  char workspace_key[TOKENSTORE_KEY_ID_SIZE];
  tokenstore_store_record store;
  char store_key[TOKENSTORE_KEY_ID_SIZE];
  uint64_t revision; /* of the workspace's feed, which keeps no entries */
  uint8_t link[TOKENSTORE_SEAL_SIZE];
} small;

int small_backends_closed = 0;
void* small_backend_last = NULL;

static int is_here(const small* s, const char* workspace, size_t size) {
  return s->workspace.revision != 0 && s->workspace.workspace_size == size && memcmp(s->name, workspace, size) == 0;
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
  if (is_here(s, workspace, workspace_size)) answer->emit_workspace(answer, &s->workspace);
  return TOKENSTORE_OK;
}

static int32_t load_store(void* context, tokenstore_answer* answer) {
  small* s = context;
  if (s->store.revision != 0) answer->emit_store(answer, &s->store);
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
  if (s->workspace.revision != 0 && limit > 0 && after_size == 0) answer->emit_workspace(answer, &s->workspace);
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

static int32_t no_room(tokenstore_answer* answer) {
  return answer->fail(answer, TOKENSTORE_STORAGE_FULL, TOKENSTORE_LITERAL("it holds one workspace and nothing else"));
}

/* TOKENSTORE_OK: the step can be done. */
static int32_t check_step(const small* s, const tokenstore_mutation* step, tokenstore_answer* answer) {
  const int about_store = step->kind == TOKENSTORE_RECORD_STORE;
  if (!about_store && step->kind != TOKENSTORE_RECORD_WORKSPACE) return no_room(answer);
  if (!about_store && s->workspace.revision != 0 && !is_here(s, step->key, step->key_size)) return no_room(answer);
  const uint64_t stored = about_store ? s->store.revision : s->workspace.revision;
  return stored == step->expected ? TOKENSTORE_OK : TOKENSTORE_CONFLICT;
}

static void do_step(small* s, const tokenstore_mutation* step) {
  if (step->step != TOKENSTORE_STEP_PUT) return;
  if (step->store != NULL) {
    s->store = *step->store;
    memcpy(s->store_key, step->store->seal_key_id, step->store->seal_key_id_size);
    s->store.struct_size = sizeof s->store;
    s->store.seal_key_id = s->store_key;
  } else {
    s->workspace = *step->workspace;
    memcpy(s->name, step->workspace->workspace, step->workspace->workspace_size);
    memcpy(s->workspace_key, step->workspace->seal_key_id, step->workspace->seal_key_id_size);
    s->workspace.struct_size = sizeof s->workspace;
    s->workspace.workspace = s->name;
    s->workspace.seal_key_id = s->workspace_key;
  }
}

static int32_t commit(void* context, const char* workspace, size_t workspace_size,
                      const tokenstore_mutation* const* batch, size_t count,
                      const tokenstore_announcement* announcement, tokenstore_answer* answer) {
  small* s = context;
  (void)workspace, (void)workspace_size;
  for (size_t i = 0; i < count; ++i) {
    const int32_t status = check_step(s, batch[i], answer);
    if (status != TOKENSTORE_OK) return status;
  }
  for (size_t i = 0; i < count; ++i) do_step(s, batch[i]);
  if (announcement != NULL) {
    uint8_t link[TOKENSTORE_SEAL_SIZE];
    announcement->link(announcement, ++s->revision, s->link, link);
    memcpy(s->link, link, sizeof link);
  }
  answer->emit_number(answer, s->revision);
  return TOKENSTORE_OK;
}

static int32_t changes(void* context, const char* workspace, size_t workspace_size, uint64_t after,
                       tokenstore_answer* answer) {
  static const uint8_t none[TOKENSTORE_SEAL_SIZE];
  small* s = context;
  const int here = is_here(s, workspace, workspace_size);
  const uint64_t revision = here ? s->revision : 0;
  answer->emit_head(answer, revision, here ? s->link : none, revision);
  if (after != revision) answer->emit_everything(answer);
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
