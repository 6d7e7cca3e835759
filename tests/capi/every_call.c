#define _XOPEN_SOURCE 700
#include "every_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "small_backend.h"

#define REQUIRED(call) \
  if ((call) != TOKENSTORE_OK) return 0

static const tokenstore_actor host = {.struct_size = sizeof host, .kind = TOKENSTORE_ACTOR_HOST};
static const tokenstore_issue_request request = {.struct_size = sizeof request,
                                                 .owner = "alice",
                                                 .owner_size = 5,
                                                 .description = "a description too long to be kept in place",
                                                 .description_size = 42,
                                                 .scopes = "write read a-scope-too-long-to-be-kept-in-place",
                                                 .scopes_size = 47,
                                                 .metadata = "metadata too long to be kept in place as well",
                                                 .metadata_size = 45};
static const uint8_t master[TOKENSTORE_MASTER_KEY_SIZE] = {7};

#define STATUS_CALL(function, ...)                             \
  static int32_t call_##function(world* w) {                   \
    return tokenstore_##function(__VA_ARGS__, &w->last_error); \
  }
#define VALUE_CALL(function, ...)             \
  static int32_t call_##function(world* w) {  \
    (void)w;                                  \
    (void)tokenstore_##function(__VA_ARGS__); \
    return TOKENSTORE_OK;                     \
  }
#define RELEASE_CALL(function, handle)       \
  static int32_t call_##function(world* w) { \
    tokenstore_##function(w->handle);        \
    w->handle = NULL;                        \
    return TOKENSTORE_OK;                    \
  }

static int32_t call_version(world* w) {
  (void)w;
  return tokenstore_version()[0] != '\0' ? TOKENSTORE_OK : TOKENSTORE_INTERNAL;
}
static int32_t call_version_number(world* w) {
  (void)w;
  (void)tokenstore_version_number();
  return TOKENSTORE_OK;
}
static int32_t call_abi_version(world* w) {
  (void)w;
  (void)tokenstore_abi_version();
  return TOKENSTORE_OK;
}
VALUE_CALL(status_name, TOKENSTORE_OK)
VALUE_CALL(outcome_name, TOKENSTORE_OUTCOME_VALID)
VALUE_CALL(reason_name, TOKENSTORE_REASON_NONE)
VALUE_CALL(state_name, TOKENSTORE_STATE_ACTIVE)
VALUE_CALL(error_message, w->error, NULL)
RELEASE_CALL(error_free, error)

static int32_t call_keyring_generate(world* w) {
  return tokenstore_keyring_generate(&w->second_keyring, &w->last_error);
}
STATUS_CALL(keyring_from_bytes, master, sizeof master, "ab", 2, &w->second_keyring)
STATUS_CALL(keyring_from_file, w->key_file, strlen(w->key_file), &w->second_keyring)
STATUS_CALL(keyring_from_file_trusting, w->key_file, strlen(w->key_file), TOKENSTORE_KEY_FILE_STRICT,
            &w->second_keyring)
STATUS_CALL(keyring_from_credential, "world.key", 9, &w->second_keyring)
STATUS_CALL(keyring_from_text, w->key_text, w->key_text_size, &w->second_keyring)
STATUS_CALL(keyring_add, w->keyring, "zz", 2, TOKENSTORE_KEY_VERIFY_ONLY, master, sizeof master)
VALUE_CALL(keyring_count, w->keyring)
static int32_t call_keyring_key(world* w) {
  tokenstore_key_info info = {.struct_size = sizeof info};
  return tokenstore_keyring_key(w->keyring, 0, &info, &w->last_error);
}
STATUS_CALL(keyring_write_new_file, w->keyring, w->new_file, strlen(w->new_file))
static int32_t call_keyring_reveal_text(world* w) {
  char text[4096];
  size_t size = 0;
  return tokenstore_keyring_reveal_text(w->keyring, text, sizeof text, &size, &w->last_error);
}
RELEASE_CALL(keyring_free, keyring)

static int32_t call_open(world* w) {
  tokenstore_open_options options = {.struct_size = sizeof options, .backend = TOKENSTORE_BACKEND_MEMORY};
  options.key_file = w->key_file;
  options.key_file_size = strlen(w->key_file);
  return tokenstore_open(&options, &w->opened_store, &w->last_error);
}
static int32_t call_open_backend(world* w) {
  const tokenstore_open_options options = {.struct_size = sizeof options, .keyring = w->keyring};
  tokenstore_backend backend;
  if (!small_backend_make(&backend)) return TOKENSTORE_OUT_OF_MEMORY;
  return tokenstore_open_backend(&options, &backend, &w->opened_store, &w->last_error);
}
static int32_t call_memory_backend(world* w) {
  tokenstore_backend backend = {.struct_size = sizeof backend};
  const int32_t status = tokenstore_memory_backend(&backend, &w->last_error);
  if (status == TOKENSTORE_OK) backend.close(backend.context);
  return status;
}
RELEASE_CALL(free, second_store)
VALUE_CALL(created_key_file, w->store, NULL)
VALUE_CALL(workspace, w->store, NULL)
VALUE_CALL(prefix, w->store, NULL)
static int32_t call_now(world* w) {
  int64_t now = 0;
  return tokenstore_now(w->store, &now, &w->last_error);
}
static int32_t call_scanner_pattern(world* w) {
  char pattern[256];
  size_t size = 0;
  return tokenstore_scanner_pattern(w->store, pattern, sizeof pattern, &size, &w->last_error);
}

static int32_t call_validate(world* w) {
  static tokenstore_verdict verdict;
  const tokenstore_demand demand = {.struct_size = sizeof demand, .scope = "read", .scope_size = 4};
  verdict.struct_size = sizeof verdict;
  verdict.outcome = TOKENSTORE_OUTCOME_VALID;
  const int32_t status = tokenstore_validate(w->store, w->text, w->text_size, &demand, &verdict, &w->last_error);
  if (status != TOKENSTORE_OK && verdict.outcome != TOKENSTORE_OUTCOME_UNAVAILABLE) return -1;
  if (status == TOKENSTORE_OK && verdict.outcome == TOKENSTORE_OUTCOME_INVALID) return -1;
  return status;
}

static int32_t call_try_validate(world* w) {
  static tokenstore_verdict verdict;
  const tokenstore_demand demand = {.struct_size = sizeof demand, .scope = "read", .scope_size = 4};
  int32_t decided = -1;
  verdict.struct_size = sizeof verdict;
  verdict.outcome = TOKENSTORE_OUTCOME_VALID;
  const int32_t status =
      tokenstore_try_validate(w->store, w->text, w->text_size, &demand, &verdict, &decided, &w->last_error);
  /* Nothing is remembered of the token yet. */
  if (decided != 0 || verdict.outcome != TOKENSTORE_OUTCOME_UNAVAILABLE) return -1;
  return status;
}

static int32_t call_why_unavailable(world* w) {
  tokenstore_error* why = NULL;
  int64_t at = -1;
  const int32_t status = tokenstore_why_unavailable(w->store, &why, &at, &w->last_error);
  if (why != NULL || (status == TOKENSTORE_OK && at != 0)) return -1; /* nothing was unavailable */
  return status;
}

static int32_t call_issue(world* w) {
  char text[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  size_t size = 0;
  return tokenstore_issue(w->store, &host, &request, text, sizeof text, &size, &w->second_token, &w->last_error);
}
static int32_t call_issue_many(world* w) {
  char texts[2][TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  tokenstore_issue_request requests[2];
  size_t size = 0;
  requests[0] = requests[1] = request;
  return tokenstore_issue_many(w->store, &host, requests, 2, texts[0], sizeof texts[0], &size, &w->second_page,
                               &w->last_error);
}
STATUS_CALL(get, w->store, &host, w->id, sizeof w->id, &w->second_token)
static int32_t call_token_read(world* w) {
  tokenstore_token_info info = {.struct_size = sizeof info};
  return tokenstore_token_read(w->token, &info, &w->last_error);
}
RELEASE_CALL(token_free, token)
STATUS_CALL(expire, w->store, &host, w->id, sizeof w->id, 0, &w->second_token)
STATUS_CALL(revoke, w->store, &host, w->id, sizeof w->id, "a reason too long to be kept in place", 37, &w->second_token)
static int32_t call_revoke_all(world* w) {
  uint64_t revoked = 0;
  return tokenstore_revoke_all(w->store, &host, "alice", 5, "gone", 4, &revoked, &w->last_error);
}
STATUS_CALL(delete, w->store, &host, w->id, sizeof w->id)

STATUS_CALL(list, w->store, &host, NULL, &w->second_page)
VALUE_CALL(page_count, w->page)
static int32_t call_page_token(world* w) {
  tokenstore_token_info info = {.struct_size = sizeof info};
  return tokenstore_page_token(w->page, 0, &info, &w->last_error);
}
VALUE_CALL(page_next, w->page, NULL)
RELEASE_CALL(page_free, page)
static int32_t call_count(world* w) {
  tokenstore_counts counts = {.struct_size = sizeof counts};
  return tokenstore_count(w->store, &host, "alice", 5, &counts, &w->last_error);
}

STATUS_CALL(owner_get, w->store, &host, "alice", 5, &w->second_owner)
static int32_t call_owner_set(world* w) {
  const tokenstore_owner_settings settings = {.struct_size = sizeof settings, .may_not_issue = 1};
  return tokenstore_owner_set(w->store, &host, "alice", 5, &settings, &w->second_owner, &w->last_error);
}
STATUS_CALL(owner_suspend, w->store, &host, "alice", 5, "a reason too long to be kept in place", 37, &w->second_owner)
STATUS_CALL(owner_resume, w->store, &host, "alice", 5, &w->second_owner)
static int32_t call_owner_read(world* w) {
  tokenstore_owner_info info = {.struct_size = sizeof info};
  return tokenstore_owner_read(w->owner, &info, &w->last_error);
}
RELEASE_CALL(owner_free, owner)
STATUS_CALL(owner_list, w->store, &host, NULL, 0, 0, &w->second_owner_page)
VALUE_CALL(owner_page_count, w->owner_page)
static int32_t call_owner_page_owner(world* w) {
  tokenstore_owner_info info = {.struct_size = sizeof info};
  return tokenstore_owner_page_owner(w->owner_page, 0, &info, &w->last_error);
}
VALUE_CALL(owner_page_next, w->owner_page, NULL)
RELEASE_CALL(owner_page_free, owner_page)

static int32_t call_policy_get(world* w) {
  tokenstore_policy policy = {.struct_size = sizeof policy};
  return tokenstore_policy_get(w->store, &host, &policy, &w->last_error);
}
static int32_t call_policy_set(world* w) {
  const tokenstore_policy policy = {.struct_size = sizeof policy, .most_active_per_owner = 9};
  return tokenstore_policy_set(w->store, &host, &policy, &w->last_error);
}

static int32_t call_purge(world* w) {
  uint64_t removed = 0;
  int32_t complete = 0;
  return tokenstore_purge(w->store, &host, w->now, 1000, &removed, &complete, &w->last_error);
}
static int32_t call_reseal(world* w) {
  tokenstore_reseal_summary summary = {.struct_size = sizeof summary};
  return tokenstore_reseal(w->store, &host, NULL, 0, 1000, &summary, &w->last_error);
}
static int32_t go_on(void* context, uint64_t done, uint64_t total) {
  (void)context;
  (void)done;
  (void)total;
  return 0;
}
static int32_t call_heal(world* w) {
  tokenstore_heal_summary summary = {.struct_size = sizeof summary};
  /* The world has no journal, so this is the answer. */
  const int32_t status = tokenstore_heal(w->store, &host, go_on, NULL, &summary, &w->last_error);
  if (status == TOKENSTORE_OK) return TOKENSTORE_INTERNAL;
  return status == TOKENSTORE_UNSUPPORTED ? TOKENSTORE_OK : status;
}
static int32_t call_maintain(world* w) {
  int32_t more = 0;
  return tokenstore_maintain(w->store, 10, &more, &w->last_error);
}
static void remove_database(const char* path) {
  char beside[300];
  remove(path);
  snprintf(beside, sizeof beside, "%s-wal", path);
  remove(beside);
  snprintf(beside, sizeof beside, "%s-shm", path);
  remove(beside);
}
static int32_t call_backup(world* w) {
  tokenstore_backup_info info = {.struct_size = sizeof info};
  remove_database(w->place);
  return tokenstore_backup(w->store, &host, w->place, strlen(w->place), 0, go_on, NULL, &info, &w->last_error);
}
/* One is enough for all that read it. */
static int32_t make_backup(world* w) {
  if (access(w->backup, F_OK) == 0) return TOKENSTORE_OK;
  return tokenstore_backup(w->store, &host, w->backup, strlen(w->backup), 0, NULL, NULL, NULL, &w->last_error);
}
static int32_t call_verify_backup(world* w) {
  const int32_t made = make_backup(w);
  tokenstore_backup_info info = {.struct_size = sizeof info};
  if (made != TOKENSTORE_OK) return made;
  return tokenstore_verify_backup(w->backup, strlen(w->backup), w->keyring, &info, &w->last_error);
}
static int32_t call_restore(world* w) {
  const int32_t made = make_backup(w);
  tokenstore_restore_summary summary = {.struct_size = sizeof summary};
  if (made != TOKENSTORE_OK) return made;
  remove_database(w->place);
  return tokenstore_restore(w->backup, strlen(w->backup), w->keyring, w->place, strlen(w->place), 0, go_on, NULL,
                            &summary, &w->last_error);
}
static int32_t call_copy(world* w) {
  tokenstore_copy_summary summary = {.struct_size = sizeof summary};
  remove_database(w->place);
  return tokenstore_copy(w->store, &host, w->place, strlen(w->place), 0, go_on, NULL, &summary, &w->last_error);
}
/* A journal of the world's keys, made once for all that read it. */
static int32_t make_journal(world* w) {
  tokenstore_open_options options = {.struct_size = sizeof options, .cache_bytes = -1};
  tokenstore_store* store = NULL;
  if (access(w->journal, F_OK) == 0) return TOKENSTORE_OK;
  options.backend = TOKENSTORE_BACKEND_MEMORY;
  options.keyring = w->keyring;
  options.journal = w->journal;
  options.journal_size = strlen(w->journal);
  const int32_t status = tokenstore_open(&options, &store, &w->last_error);
  tokenstore_free(store);
  return status;
}
static int32_t take_entry(void* context, const tokenstore_journal_entry* entry) {
  (void)context;
  return entry->struct_size == 0;
}
static void take_problem(void* context, const tokenstore_journal_problem* problem) {
  (void)context;
  (void)problem;
}
static int32_t call_journal_read(world* w) {
  tokenstore_journal_reading reading = {.struct_size = sizeof reading};
  return tokenstore_journal_read(w->journal, strlen(w->journal), w->keyring, NULL, take_entry, take_problem, NULL,
                                 &reading, &w->last_error);
}
static int32_t call_journal_verify(world* w) {
  tokenstore_journal_report report = {.struct_size = sizeof report};
  return tokenstore_journal_verify(w->journal, strlen(w->journal), w->keyring, take_problem, NULL, &report,
                                   &w->last_error);
}
/* Of a journal whose first segment is kept, and whose second is gone. */
static int32_t call_journal_accept(world* w) {
  tokenstore_journal_acceptance acceptance = {.struct_size = sizeof acceptance};
  char second[300];
  char first[320];
  snprintf(second, sizeof second, "%s.gone", w->journal);
  snprintf(first, sizeof first, "%s.000001", second);
  remove(second);
  remove(first);
  if (link(w->journal, first) != 0) return TOKENSTORE_INTERNAL;
  return tokenstore_journal_accept(second, strlen(second), w->keyring, &host, &acceptance, &w->last_error);
}
VALUE_CALL(deed_name, 1)
STATUS_CALL(check, w->store, &host, go_on, NULL, &w->second_report)
static int32_t call_check_report_read(world* w) {
  tokenstore_check_summary summary = {.struct_size = sizeof summary};
  return tokenstore_check_report_read(w->report, &summary, &w->last_error);
}
VALUE_CALL(check_report_problem, w->report, 0, NULL)
static int32_t call_check_report_key(world* w) {
  tokenstore_key_usage usage = {.struct_size = sizeof usage};
  return tokenstore_check_report_key(w->report, 0, &usage, &w->last_error);
}
RELEASE_CALL(check_report_free, report)
static int32_t call_key_add(world* w) {
  char id[3];
  size_t size = 0;
  return tokenstore_key_add(w->store, &host, id, sizeof id, &size, &w->last_error);
}
STATUS_CALL(key_activate, w->store, &host, "ab", 2)
STATUS_CALL(key_retire, w->store, &host, "ab", 2)
STATUS_CALL(key_remove, w->store, &host, "ab", 2)
static int32_t call_keys_reload(world* w) {
  int32_t changed = 0;
  return tokenstore_keys_reload(w->store, &changed, &w->last_error);
}
STATUS_CALL(key_status, w->store, &host, go_on, NULL, &w->second_key_report)
VALUE_CALL(key_report_count, w->key_report)
static int32_t call_key_report_key(world* w) {
  tokenstore_key_state state = {.struct_size = sizeof state};
  return tokenstore_key_report_key(w->key_report, 0, &state, &w->last_error);
}
RELEASE_CALL(key_report_free, key_report)
static int32_t call_read_statistics(world* w) {
  tokenstore_statistics statistics = {.struct_size = sizeof statistics};
  return tokenstore_read_statistics(w->store, &statistics, &w->last_error);
}

#define ENTRY(kind, function) \
  { "tokenstore_" #function, kind, call_##function }
const every_call every_calls[] = {
    ENTRY(CALL_VALUE, version),
    ENTRY(CALL_VALUE, version_number),
    ENTRY(CALL_VALUE, abi_version),
    ENTRY(CALL_VALUE, status_name),
    ENTRY(CALL_VALUE, outcome_name),
    ENTRY(CALL_VALUE, reason_name),
    ENTRY(CALL_VALUE, state_name),
    ENTRY(CALL_VALUE, error_message),
    ENTRY(CALL_RELEASE, error_free),
    ENTRY(CALL_STATUS, keyring_generate),
    ENTRY(CALL_STATUS, keyring_from_bytes),
    ENTRY(CALL_STATUS, keyring_from_file),
    ENTRY(CALL_STATUS, keyring_from_file_trusting),
    ENTRY(CALL_STATUS, keyring_from_credential),
    ENTRY(CALL_STATUS, keyring_from_text),
    ENTRY(CALL_STATUS, keyring_add),
    ENTRY(CALL_VALUE, keyring_count),
    ENTRY(CALL_STATUS, keyring_key),
    ENTRY(CALL_STATUS, keyring_write_new_file),
    ENTRY(CALL_STATUS, keyring_reveal_text),
    ENTRY(CALL_RELEASE, keyring_free),
    ENTRY(CALL_STATUS, open),
    ENTRY(CALL_STATUS, open_backend),
    ENTRY(CALL_STATUS, memory_backend),
    ENTRY(CALL_RELEASE, free),
    ENTRY(CALL_VALUE, created_key_file),
    ENTRY(CALL_VALUE, workspace),
    ENTRY(CALL_VALUE, prefix),
    ENTRY(CALL_STATUS, now),
    ENTRY(CALL_STATUS, scanner_pattern),
    ENTRY(CALL_STATUS, validate),
    ENTRY(CALL_STATUS, try_validate),
    ENTRY(CALL_STATUS, why_unavailable),
    ENTRY(CALL_STATUS, issue),
    ENTRY(CALL_STATUS, issue_many),
    ENTRY(CALL_STATUS, get),
    ENTRY(CALL_STATUS, token_read),
    ENTRY(CALL_RELEASE, token_free),
    ENTRY(CALL_STATUS, expire),
    ENTRY(CALL_STATUS, revoke),
    ENTRY(CALL_STATUS, revoke_all),
    ENTRY(CALL_STATUS, delete),
    ENTRY(CALL_STATUS, list),
    ENTRY(CALL_VALUE, page_count),
    ENTRY(CALL_STATUS, page_token),
    ENTRY(CALL_VALUE, page_next),
    ENTRY(CALL_RELEASE, page_free),
    ENTRY(CALL_STATUS, count),
    ENTRY(CALL_STATUS, owner_get),
    ENTRY(CALL_STATUS, owner_set),
    ENTRY(CALL_STATUS, owner_suspend),
    ENTRY(CALL_STATUS, owner_resume),
    ENTRY(CALL_STATUS, owner_read),
    ENTRY(CALL_RELEASE, owner_free),
    ENTRY(CALL_STATUS, owner_list),
    ENTRY(CALL_VALUE, owner_page_count),
    ENTRY(CALL_STATUS, owner_page_owner),
    ENTRY(CALL_VALUE, owner_page_next),
    ENTRY(CALL_RELEASE, owner_page_free),
    ENTRY(CALL_STATUS, policy_get),
    ENTRY(CALL_STATUS, policy_set),
    ENTRY(CALL_STATUS, purge),
    ENTRY(CALL_STATUS, reseal),
    ENTRY(CALL_STATUS, heal),
    ENTRY(CALL_STATUS, maintain),
    ENTRY(CALL_STATUS, check),
    ENTRY(CALL_STATUS, check_report_read),
    ENTRY(CALL_VALUE, check_report_problem),
    ENTRY(CALL_STATUS, check_report_key),
    ENTRY(CALL_RELEASE, check_report_free),
    ENTRY(CALL_STATUS, key_add),
    ENTRY(CALL_STATUS, key_activate),
    ENTRY(CALL_STATUS, key_retire),
    ENTRY(CALL_STATUS, key_remove),
    ENTRY(CALL_STATUS, keys_reload),
    ENTRY(CALL_STATUS, key_status),
    ENTRY(CALL_VALUE, key_report_count),
    ENTRY(CALL_STATUS, key_report_key),
    ENTRY(CALL_RELEASE, key_report_free),
    ENTRY(CALL_STATUS, read_statistics),
    ENTRY(CALL_STATUS, backup),
    ENTRY(CALL_STATUS, verify_backup),
    ENTRY(CALL_STATUS, restore),
    ENTRY(CALL_STATUS, copy),
    ENTRY(CALL_VALUE, deed_name),
    ENTRY(CALL_STATUS, journal_read),
    ENTRY(CALL_STATUS, journal_verify),
    ENTRY(CALL_STATUS, journal_accept),
};
const size_t every_calls_count = sizeof every_calls / sizeof every_calls[0];

int world_make(world* w, const char* folder, const char* path) {
  tokenstore_open_options options = {.struct_size = sizeof options, .cache_bytes = 1 << 16};
  tokenstore_token_info info = {.struct_size = sizeof info};
  char again[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  size_t size = 0;

  memset(w, 0, sizeof *w);
  /* The credentials are where the key file is. */
  char credentials[4096];
  if (realpath(folder, credentials) == NULL || setenv("CREDENTIALS_DIRECTORY", credentials, 0) != 0) return 0;
  snprintf(w->key_file, sizeof w->key_file, "%s/world.key", folder);
  snprintf(w->new_file, sizeof w->new_file, "%s/new.key", folder);
  snprintf(w->backup, sizeof w->backup, "%s/world.backup", folder);
  snprintf(w->place, sizeof w->place, "%s/world.place", folder);
  snprintf(w->journal, sizeof w->journal, "%s/world.journal", folder);
  remove(w->key_file);
  remove(w->new_file);
  REQUIRED(tokenstore_keyring_from_bytes(master, sizeof master, NULL, 0, &w->keyring, NULL));
  /* One that nothing hangs on. */
  REQUIRED(tokenstore_keyring_add(w->keyring, "ab", 2, TOKENSTORE_KEY_VERIFY_ONLY, master, sizeof master, NULL));
  REQUIRED(tokenstore_keyring_write_new_file(w->keyring, w->key_file, strlen(w->key_file), NULL));
  REQUIRED(tokenstore_keyring_reveal_text(w->keyring, w->key_text, sizeof w->key_text, &w->key_text_size, NULL));
  options.key_file = w->key_file;
  options.key_file_size = strlen(w->key_file);
  options.backend = path == NULL ? TOKENSTORE_BACKEND_MEMORY : TOKENSTORE_BACKEND_SQLITE;
  options.path = path;
  options.path_size = path == NULL ? 0 : strlen(path);
  options.durability =
      path == NULL ? TOKENSTORE_DURABILITY_FULL : TOKENSTORE_DURABILITY_SURVIVES_CRASH_BUT_NOT_POWER_CUT;
  REQUIRED(tokenstore_open(&options, &w->store, NULL));
  options.path = NULL;
  options.path_size = 0;
  options.durability = TOKENSTORE_DURABILITY_FULL;
  options.backend = TOKENSTORE_BACKEND_MEMORY;
  REQUIRED(tokenstore_open(&options, &w->second_store, NULL));
  /* A token that has ended, for purge, and the one that the calls are about. */
  REQUIRED(tokenstore_issue(w->store, &host, &request, again, sizeof again, &size, &w->token, NULL));
  REQUIRED(tokenstore_token_read(w->token, &info, NULL));
  REQUIRED(tokenstore_revoke(w->store, &host, info.id, info.id_size, NULL, 0, NULL, NULL));
  REQUIRED(tokenstore_get(w->store, &host, info.id, info.id_size, &w->second_token, NULL));
  REQUIRED(tokenstore_token_read(w->second_token, &info, NULL));
  do {
    REQUIRED(tokenstore_now(w->store, &w->now, NULL));
  } while (w->now <= info.revoked_at);
  tokenstore_token_free(w->token);
  tokenstore_token_free(w->second_token);
  w->token = w->second_token = NULL;
  REQUIRED(tokenstore_issue(w->store, &host, &request, w->text, sizeof w->text, &w->text_size, &w->token, NULL));
  REQUIRED(tokenstore_token_read(w->token, &info, NULL));
  memcpy(w->id, info.id, sizeof w->id);
  REQUIRED(tokenstore_list(w->store, &host, NULL, &w->page, NULL));
  REQUIRED(tokenstore_owner_get(w->store, &host, "alice", 5, &w->owner, NULL));
  REQUIRED(tokenstore_owner_list(w->store, &host, NULL, 0, 0, &w->owner_page, NULL));
  REQUIRED(tokenstore_check(w->store, &host, NULL, NULL, &w->report, NULL));
  REQUIRED(tokenstore_key_status(w->store, &host, NULL, NULL, &w->key_report, NULL));
  REQUIRED(make_journal(w));
  /* An error to read and to free. */
  return tokenstore_get(w->store, &host, "no such id", 10, &w->second_token, &w->error) != TOKENSTORE_OK;
}

int world_read(world* w, world_state* state) {
  tokenstore_owner* owner = NULL;
  tokenstore_owner_info owner_info = {.struct_size = sizeof owner_info};
  tokenstore_token* token = NULL;
  tokenstore_token_info token_info = {.struct_size = sizeof token_info};

  memset(state, 0, sizeof *state);
  state->counts.struct_size = sizeof state->counts;
  state->policy.struct_size = sizeof state->policy;
  REQUIRED(tokenstore_count(w->store, &host, NULL, 0, &state->counts, NULL));
  REQUIRED(tokenstore_policy_get(w->store, &host, &state->policy, NULL));
  REQUIRED(tokenstore_owner_get(w->store, &host, "alice", 5, &owner, NULL));
  REQUIRED(tokenstore_owner_read(owner, &owner_info, NULL));
  state->owner_suspended = owner_info.suspended;
  state->owner_may_not_issue = owner_info.may_not_issue;
  tokenstore_owner_free(owner);
  if (tokenstore_get(w->store, &host, w->id, sizeof w->id, &token, NULL) == TOKENSTORE_OK) {
    REQUIRED(tokenstore_token_read(token, &token_info, NULL));
    state->token_state = token_info.state;
    state->token_expires_at = token_info.expires_at;
    tokenstore_token_free(token);
  }
  state->keys = tokenstore_keyring_count(w->keyring);
  return 1;
}

void world_free(world* w) {
  tokenstore_check_report_free(w->report);
  tokenstore_check_report_free(w->second_report);
  tokenstore_key_report_free(w->key_report);
  tokenstore_key_report_free(w->second_key_report);
  tokenstore_owner_page_free(w->owner_page);
  tokenstore_owner_page_free(w->second_owner_page);
  tokenstore_owner_free(w->owner);
  tokenstore_owner_free(w->second_owner);
  tokenstore_page_free(w->page);
  tokenstore_page_free(w->second_page);
  tokenstore_token_free(w->token);
  tokenstore_token_free(w->second_token);
  tokenstore_error_free(w->error);
  tokenstore_error_free(w->last_error);
  tokenstore_free(w->store);
  tokenstore_free(w->second_store);
  tokenstore_free(w->opened_store);
  tokenstore_keyring_free(w->keyring);
  tokenstore_keyring_free(w->second_keyring);
  remove(w->key_file);
  remove(w->new_file);
}
