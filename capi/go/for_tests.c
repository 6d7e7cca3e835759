#include "for_tests.h"

#include <stdlib.h>
#include <time.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

/* The memory's entries, behind those of this file. */
typedef struct storage {
  tokenstore_backend memory;
  tokenstore_go_controls* controls;
} storage;

static int32_t mode_of(const storage* self) {
  return __atomic_load_n(&self->controls->mode, __ATOMIC_ACQUIRE);
}

/* What every entry does first. */
static int32_t admit(const storage* self, tokenstore_answer* answer) {
  static const char message[] = "storage was told to fail by a test";
  const struct timespec moment = {.tv_sec = 0, .tv_nsec = 1000000};
  while (mode_of(self) == TOKENSTORE_GO_WAITS) nanosleep(&moment, NULL);
  if (mode_of(self) != TOKENSTORE_GO_FAILS) return TOKENSTORE_OK;
  return answer->fail(answer, TOKENSTORE_UNAVAILABLE, message, sizeof message - 1);
}

#define PASS_ON(entry, ...)                       \
  storage* self = context;                        \
  const int32_t admitted = admit(self, answer);   \
  if (admitted != TOKENSTORE_OK) return admitted; \
  return self->memory.entry(self->memory.context, __VA_ARGS__)

static int32_t open_memory(void* context, tokenstore_signal* signal, tokenstore_answer* answer) {
  storage* self = context;
  return self->memory.open(self->memory.context, signal, answer);
}
static void close_memory(void* context) {
  storage* self = context;
  self->memory.close(self->memory.context);
  free(self);
}
static int32_t load_token(void* context, const char* workspace, size_t workspace_size, const char* id, size_t id_size,
                          tokenstore_answer* answer) {
  PASS_ON(load_token, workspace, workspace_size, id, id_size, answer);
}
static int32_t load_owner(void* context, const char* workspace, size_t workspace_size, const char* owner,
                          size_t owner_size, tokenstore_answer* answer) {
  PASS_ON(load_owner, workspace, workspace_size, owner, owner_size, answer);
}
static int32_t load_workspace(void* context, const char* workspace, size_t workspace_size, tokenstore_answer* answer) {
  PASS_ON(load_workspace, workspace, workspace_size, answer);
}
static int32_t load_store(void* context, tokenstore_answer* answer) {
  PASS_ON(load_store, answer);
}
static int32_t list_tokens(void* context, const char* workspace, size_t workspace_size,
                           const tokenstore_token_query* query, tokenstore_answer* answer) {
  PASS_ON(list_tokens, workspace, workspace_size, query, answer);
}
static int32_t list_owners(void* context, const char* workspace, size_t workspace_size, const char* after,
                           size_t after_size, uint64_t limit, tokenstore_answer* answer) {
  PASS_ON(list_owners, workspace, workspace_size, after, after_size, limit, answer);
}
static int32_t list_workspaces(void* context, const char* after, size_t after_size, uint64_t limit,
                               tokenstore_answer* answer) {
  PASS_ON(list_workspaces, after, after_size, limit, answer);
}
static int32_t count_tokens(void* context, const char* workspace, size_t workspace_size, const char* owner,
                            size_t owner_size, int64_t now, tokenstore_answer* answer) {
  PASS_ON(count_tokens, workspace, workspace_size, owner, owner_size, now, answer);
}
static int32_t count_live(void* context, const char* workspace, size_t workspace_size, const char* owner,
                          size_t owner_size, int64_t now, uint64_t at_most, tokenstore_answer* answer) {
  PASS_ON(count_live, workspace, workspace_size, owner, owner_size, now, at_most, answer);
}
static int32_t list_ended(void* context, const char* workspace, size_t workspace_size, int64_t ended_before,
                          uint64_t limit, tokenstore_answer* answer) {
  PASS_ON(list_ended, workspace, workspace_size, ended_before, limit, answer);
}
static int32_t commit(void* context, const char* workspace, size_t workspace_size,
                      const tokenstore_mutation* const* batch, size_t count,
                      const tokenstore_announcement* announcement, tokenstore_answer* answer) {
  static const char message[] = "a test lost the reply of storage";
  storage* self = context;
  const int32_t admitted = admit(self, answer);
  if (admitted != TOKENSTORE_OK) return admitted;
  const int32_t status =
      self->memory.commit(self->memory.context, workspace, workspace_size, batch, count, announcement, answer);
  if (status != TOKENSTORE_OK || mode_of(self) != TOKENSTORE_GO_LOSES_REPLIES) return status;
  return answer->fail(answer, TOKENSTORE_UNKNOWN, message, sizeof message - 1);
}
static int32_t changes(void* context, const char* workspace, size_t workspace_size, uint64_t after,
                       tokenstore_answer* answer) {
  PASS_ON(changes, workspace, workspace_size, after, answer);
}
/* Asked for every validation, and never waits. */
static tokenstore_pulse pulse(void* context) {
  storage* self = context;
  return self->memory.pulse(self->memory.context);
}
static int32_t record_uses(void* context, const char* workspace, size_t workspace_size,
                           const tokenstore_use* const* uses, size_t count, tokenstore_answer* answer) {
  PASS_ON(record_uses, workspace, workspace_size, uses, count, answer);
}
static int32_t maintain(void* context, int64_t budget_ms, tokenstore_answer* answer) {
  PASS_ON(maintain, budget_ms, answer);
}
static int32_t check_integrity(void* context, uint64_t most, tokenstore_answer* answer) {
  PASS_ON(check_integrity, most, answer);
}

static int64_t wall_of(void* context) {
  const tokenstore_go_controls* controls = context;
  return __atomic_load_n(&controls->wall, __ATOMIC_ACQUIRE);
}
static int64_t monotonic_of(void* context) {
  const tokenstore_go_controls* controls = context;
  return __atomic_load_n(&controls->monotonic, __ATOMIC_ACQUIRE);
}

tokenstore_go_controls* tokenstore_go_controls_new(int64_t wall) {
  tokenstore_go_controls* controls = calloc(1, sizeof *controls);
  if (controls == NULL) return NULL;
  controls->wall = wall;
  controls->monotonic = 1;
  return controls;
}
void tokenstore_go_controls_set_mode(tokenstore_go_controls* controls, int32_t mode) {
  __atomic_store_n(&controls->mode, mode, __ATOMIC_RELEASE);
}
void tokenstore_go_controls_advance(tokenstore_go_controls* controls, int64_t milliseconds) {
  __atomic_add_fetch(&controls->monotonic, milliseconds, __ATOMIC_ACQ_REL);
  __atomic_add_fetch(&controls->wall, milliseconds, __ATOMIC_ACQ_REL);
}
int64_t tokenstore_go_controls_now(tokenstore_go_controls* controls) {
  return wall_of(controls);
}

int32_t tokenstore_go_leak_found(void) {
#ifdef __SANITIZE_ADDRESS__
  return __lsan_do_recoverable_leak_check() != 0;
#else
  return 0;
#endif
}

int32_t tokenstore_go_open_for_tests(const tokenstore_open_options* options, tokenstore_go_controls* controls,
                                     tokenstore_store** out_store, tokenstore_error** out_error) {
  tokenstore_open_options wanted = *options;
  const tokenstore_clock clock = {
      .struct_size = sizeof clock, .wall = wall_of, .monotonic = monotonic_of, .context = controls};
  tokenstore_keyring* keyring = NULL;
  storage* self = calloc(1, sizeof *self);
  *out_store = NULL;
  if (self == NULL) return TOKENSTORE_OUT_OF_MEMORY;
  self->controls = controls;
  self->memory.struct_size = sizeof self->memory;
  wanted.clock = &clock;
  int32_t status = TOKENSTORE_OK;
  if (wanted.keyring == NULL && wanted.key_bytes == NULL && wanted.key_file == NULL && wanted.key_credential == NULL) {
    status = tokenstore_keyring_generate(&keyring, out_error);
    wanted.keyring = keyring;
  }
  if (status == TOKENSTORE_OK) status = tokenstore_memory_backend(&self->memory, out_error);
  if (status != TOKENSTORE_OK) {
    free(self);
    tokenstore_keyring_free(keyring);
    return status;
  }
  const tokenstore_backend entries = {.struct_size = sizeof entries,
                                      .context = self,
                                      .name = "memory-for-tests",
                                      .name_size = 16,
                                      .contract = TOKENSTORE_BACKEND_CONTRACT,
                                      .capabilities = self->memory.capabilities,
                                      .open = open_memory,
                                      .close = close_memory,
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
                                      .pulse = pulse,
                                      .record_uses = record_uses,
                                      .maintain = maintain,
                                      .check_integrity = check_integrity};
  status = tokenstore_open_backend(&wanted, &entries, out_store, out_error);
  tokenstore_keyring_free(keyring);
  return status;
}

int64_t tokenstore_go_validate_often(tokenstore_store* store, const char* texts, size_t text_size, size_t count,
                                     int64_t times) {
  const tokenstore_demand demand = {.struct_size = sizeof demand, .scope = "notes:read", .scope_size = 10};
  tokenstore_verdict* verdict = malloc(sizeof *verdict);
  int64_t valid = 0;
  if (verdict == NULL) return 0;
  verdict->struct_size = sizeof *verdict;
  for (int64_t i = 0; i < times; ++i) {
    const char* text = texts + (size_t)i % count * text_size;
    tokenstore_validate(store, text, text_size, &demand, verdict, NULL);
    valid += verdict->outcome == TOKENSTORE_OUTCOME_VALID;
  }
  free(verdict);
  return valid;
}
