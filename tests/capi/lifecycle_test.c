/* What each function does when all is well, as a host would use it. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

typedef struct fake_time {
  int64_t now;
} fake_time;

static int64_t fake_now(void* context) {
  return ((fake_time*)context)->now;
}

static void life_of_a_token(void) {
  fake_time time = {INT64_C(1700000000000)};
  const tokenstore_clock clock = {
      .struct_size = sizeof clock, .wall = fake_now, .monotonic = fake_now, .context = &time};
  tokenstore_open_options options = memory_options();
  options.clock = &clock;
  options.prefix = "notes";
  options.prefix_size = 5;
  options.workspace = "tenant";
  options.workspace_size = 6;
  tokenstore_store* store = NULL;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_open(&options, &store, NULL));
  size_t size = 0;
  const char* text_out = tokenstore_workspace(store, &size);
  CHECK_TEXT("tenant", text_out, size);
  text_out = tokenstore_prefix(store, &size);
  CHECK_TEXT("notes", text_out, size);
  CHECK(tokenstore_created_key_file(store, &size)[0] == '\0' && size == 0);
  int64_t now = 0;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_now(store, &now, NULL));
  CHECK(now == time.now);
  char pattern[256];
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_scanner_pattern(store, pattern, sizeof pattern, &size, NULL));
  CHECK(strlen(pattern) == size && strstr(pattern, "notes") != NULL);

  const tokenstore_actor alice = named_actor(TOKENSTORE_ACTOR_USER, "alice");
  const tokenstore_actor bob = named_actor(TOKENSTORE_ACTOR_USER, "bob");
  tokenstore_issue_request request = request_for("alice", "write read");
  request.description = "laptop";
  request.description_size = 6;
  request.metadata = "a\0b";
  request.metadata_size = 3;
  request.lifetime_ms = 1000;
  request.not_before = time.now + 100;
  token_text text;
  size_t text_size = 0;
  tokenstore_token* token = NULL;
  CHECK_STATUS(TOKENSTORE_PERMISSION_DENIED,
               tokenstore_issue(store, &bob, &request, text, sizeof text, &text_size, &token, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_issue(store, &alice, &request, text, sizeof text, &text_size, &token, NULL));
  CHECK(strlen(text) == text_size && strncmp(text, "notes_", 6) == 0);
  tokenstore_token_info info = {.struct_size = sizeof info};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_token_read(token, &info, NULL));
  CHECK(info.id_size == TOKENSTORE_ID_SIZE && strstr(text, info.id) != NULL);
  CHECK_TEXT("alice", info.owner, info.owner_size);
  CHECK_TEXT("laptop", info.description, info.description_size);
  CHECK_TEXT("read write", info.scopes, info.scopes_size);
  CHECK_TEXT("user:alice", info.created_by, info.created_by_size);
  CHECK(info.metadata_size == 3 && info.metadata[2] == 'b');
  CHECK(info.state == TOKENSTORE_STATE_PENDING && info.created_at == time.now && info.not_before == time.now + 100);
  CHECK(info.expires_at == time.now + 1000 && info.revoked_at == 0 && info.last_used_at == 0);
  char id[TOKENSTORE_ID_SIZE];
  memcpy(id, info.id, sizeof id);
  tokenstore_token_free(token);

  CHECK(reason_for(store, text, text_size, "read") == TOKENSTORE_REASON_PENDING);
  time.now += 100;
  tokenstore_demand demand = demand_of("read");
  demand.client_address = "192.0.2.1";
  demand.client_address_size = 9;
  tokenstore_verdict verdict;
  memset(&verdict, 0xA5, sizeof verdict);
  verdict.struct_size = sizeof verdict;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_validate(store, text, text_size, &demand, &verdict, NULL));
  CHECK(verdict.outcome == TOKENSTORE_OUTCOME_VALID && verdict.reason == TOKENSTORE_REASON_NONE);
  CHECK(verdict.http_status == 200 && verdict.expires_at == info.expires_at);
  CHECK(verdict.id_size == TOKENSTORE_ID_SIZE && memcmp(verdict.id, id, sizeof id) == 0);
  CHECK_TEXT("alice", verdict.owner, verdict.owner_size);
  CHECK_TEXT("read write", verdict.scopes, verdict.scopes_size);
  CHECK(verdict.metadata_size == 3 && verdict.metadata[0] == 'a' && verdict.metadata[2] == 'b');
  int32_t decided = 0;
  memset(&verdict, 0xA5, sizeof verdict);
  verdict.struct_size = sizeof verdict;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_try_validate(store, text, text_size, &demand, &verdict, &decided, NULL));
  CHECK(decided == 1 && verdict.outcome == TOKENSTORE_OUTCOME_VALID);
  CHECK_TEXT("alice", verdict.owner, verdict.owner_size);
  CHECK(reason_for(store, text, text_size, "admin") == TOKENSTORE_REASON_INSUFFICIENT_SCOPE);
  CHECK(reason_for(store, text, text_size, "") == TOKENSTORE_REASON_INSUFFICIENT_SCOPE);
  CHECK(reason_for(store, text, text_size - 1, "read") == TOKENSTORE_REASON_MALFORMED);
  CHECK(reason_for(store, "", 0, "read") == TOKENSTORE_REASON_MALFORMED);

  CHECK_STATUS(TOKENSTORE_NOT_FOUND, tokenstore_get(store, &bob, id, sizeof id, &token, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_get(store, &alice, id, sizeof id, &token, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_token_read(token, &info, NULL));
  CHECK(info.last_used_at == time.now && strcmp(info.last_used_from, "192.0.2.1") == 0);
  tokenstore_token_free(token);

  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT,
               tokenstore_expire(store, &alice, id, sizeof id, info.expires_at + 1, NULL, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_expire(store, &alice, id, sizeof id, time.now + 50, NULL, NULL));
  time.now += 50;
  CHECK(reason_for(store, text, text_size, "read") == TOKENSTORE_REASON_EXPIRED);

  CHECK_STATUS(TOKENSTORE_OK,
               tokenstore_revoke(store, &alice, id, sizeof id, TOKENSTORE_LITERAL("lost"), &token, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_token_read(token, &info, NULL));
  CHECK(info.state == TOKENSTORE_STATE_REVOKED && info.revoked_at == time.now);
  CHECK_TEXT("lost", info.revoke_reason, info.revoke_reason_size);
  tokenstore_token_free(token);
  CHECK(reason_for(store, text, text_size, "read") == TOKENSTORE_REASON_REVOKED);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_delete(store, &alice, id, sizeof id, NULL));
  CHECK_STATUS(TOKENSTORE_NOT_FOUND, tokenstore_delete(store, &alice, id, sizeof id, NULL));
  CHECK(reason_for(store, text, text_size, "read") == TOKENSTORE_REASON_UNKNOWN);
  tokenstore_free(store);
}

static void lists(void) {
  tokenstore_store* store = open_in_memory();
  const tokenstore_actor host = host_actor();
  tokenstore_issue_request requests[5];
  token_text texts[5];
  size_t size = 0;
  tokenstore_page* page = NULL;
  for (size_t i = 0; i < 5; ++i) requests[i] = request_for(i < 3 ? "alice" : "bob", "b a");
  CHECK_STATUS(TOKENSTORE_OK,
               tokenstore_issue_many(store, &host, requests, 5, texts[0], sizeof texts[0], &size, &page, NULL));
  CHECK(tokenstore_page_count(page) == 5);
  tokenstore_token_info info = {.struct_size = sizeof info};
  for (size_t i = 0; i < 5; ++i) {
    CHECK_STATUS(TOKENSTORE_OK, tokenstore_page_token(page, i, &info, NULL));
    CHECK(strlen(texts[i]) == size && strstr(texts[i], info.id) != NULL);
    CHECK_TEXT(i < 3 ? "alice" : "bob", info.owner, info.owner_size);
    CHECK_TEXT("a b", info.scopes, info.scopes_size);
    CHECK(reason_for(store, texts[i], size, "a") == TOKENSTORE_REASON_NONE);
  }
  CHECK_STATUS(TOKENSTORE_NOT_FOUND, tokenstore_page_token(page, 5, &info, NULL));
  tokenstore_page_free(page);

  requests[4].lifetime_ms = -7;
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT,
               tokenstore_issue_many(store, &host, requests, 5, texts[0], sizeof texts[0], &size, &page, NULL));
  CHECK(page == NULL && counts_of(store).active == 5);

  tokenstore_list_query query = {.struct_size = sizeof query, .owner = "alice", .owner_size = 5, .limit = 2};
  char cursor[256];
  size_t seen = 0;
  do {
    CHECK_STATUS(TOKENSTORE_OK, tokenstore_list(store, &host, &query, &page, NULL));
    seen += tokenstore_page_count(page);
    CHECK(tokenstore_page_count(page) <= 2);
    const char* next = tokenstore_page_next(page, &query.cursor_size);
    CHECK(query.cursor_size < sizeof cursor && strlen(next) == query.cursor_size);
    memcpy(cursor, next, query.cursor_size);
    query.cursor = cursor;
    tokenstore_page_free(page);
  } while (query.cursor_size != 0);
  CHECK(seen == 3);

  uint64_t revoked = 0;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_revoke_all(store, &host, "alice", 5, NULL, 0, &revoked, NULL));
  CHECK(revoked == 3 && counts_of(store).revoked == 3 && counts_of(store).active == 2);
  query = (tokenstore_list_query){.struct_size = sizeof query, .state = TOKENSTORE_STATE_REVOKED};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_list(store, &host, &query, &page, NULL));
  CHECK(tokenstore_page_count(page) == 3);
  tokenstore_page_free(page);
  tokenstore_free(store);
}

static void owners_and_policy(void) {
  tokenstore_store* store = open_in_memory();
  const tokenstore_actor host = host_actor();
  token_text text;
  const size_t size = issue_for(store, "alice", "read", text, NULL);
  tokenstore_owner* owner = NULL;
  tokenstore_owner_info info = {.struct_size = sizeof info};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_owner_suspend(store, &host, "alice", 5, "away", 4, &owner, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_owner_read(owner, &info, NULL));
  CHECK(info.suspended == 1 && info.suspended_at != 0 && info.may_not_use == 0 && info.tampered == 0);
  CHECK_TEXT("alice", info.owner, info.owner_size);
  CHECK_TEXT("away", info.suspend_reason, info.suspend_reason_size);
  CHECK_TEXT("host", info.suspended_by, info.suspended_by_size);
  tokenstore_owner_free(owner);
  CHECK(reason_for(store, text, size, "read") == TOKENSTORE_REASON_OWNER_SUSPENDED);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_owner_resume(store, &host, "alice", 5, NULL, NULL));
  CHECK(reason_for(store, text, size, "read") == TOKENSTORE_REASON_NONE);

  tokenstore_owner_settings settings = {.struct_size = sizeof settings, .may_not_use = 1};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_owner_set(store, &host, "alice", 5, &settings, NULL, NULL));
  CHECK(reason_for(store, text, size, "read") == TOKENSTORE_REASON_OWNER_MAY_NOT_USE);
  settings.may_not_use = 0;
  settings.may_not_issue = 1;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_owner_set(store, &host, "bob", 3, &settings, NULL, NULL));
  tokenstore_owner_page* page = NULL;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_owner_list(store, &host, NULL, 0, 1, &page, NULL));
  CHECK(tokenstore_owner_page_count(page) == 1 && tokenstore_owner_page_next(page, NULL)[0] != '\0');
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_owner_page_owner(page, 0, &info, NULL));
  CHECK(info.may_not_use == 1 && info.may_not_issue == 0);
  size_t cursor_size = 0;
  const char* cursor = tokenstore_owner_page_next(page, &cursor_size);
  tokenstore_owner_page* second = NULL;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_owner_list(store, &host, cursor, cursor_size, 0, &second, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_owner_page_owner(second, 0, &info, NULL));
  CHECK_TEXT("bob", info.owner, info.owner_size);
  CHECK(info.may_not_issue == 1);
  CHECK_STATUS(TOKENSTORE_NOT_FOUND, tokenstore_owner_page_owner(second, 1, &info, NULL));
  tokenstore_owner_page_free(page);
  tokenstore_owner_page_free(second);

  tokenstore_policy policy = {.struct_size = sizeof policy};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_policy_get(store, &host, &policy, NULL));
  CHECK(policy.longest_lifetime_ms == INT64_C(366) * 86400000 && policy.default_lifetime_ms == INT64_C(90) * 86400000);
  CHECK(policy.never_allowed == 0 && policy.users_may_not_issue == 0 && policy.tokens_disabled == 0);
  policy.longest_lifetime_ms = TOKENSTORE_NEVER;
  policy.never_allowed = 1;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_policy_set(store, &host, &policy, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_policy_get(store, &host, &policy, NULL));
  CHECK(policy.longest_lifetime_ms == TOKENSTORE_NEVER && policy.never_allowed == 1);
  tokenstore_issue_request request = request_for("carol", "read");
  request.lifetime_ms = TOKENSTORE_NEVER;
  size_t text_size = 0;
  tokenstore_token* token = NULL;
  tokenstore_token_info token_info = {.struct_size = sizeof token_info};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_issue(store, &host, &request, text, sizeof text, &text_size, &token, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_token_read(token, &token_info, NULL));
  CHECK(token_info.expires_at == TOKENSTORE_NEVER);
  tokenstore_token_free(token);
  policy = (tokenstore_policy){.struct_size = sizeof policy, .tokens_disabled = 1};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_policy_set(store, &host, &policy, NULL));
  CHECK(reason_for(store, text, text_size, "read") == TOKENSTORE_REASON_TOKENS_DISABLED);
  tokenstore_free(store);
}

static int32_t count_calls(void* context, uint64_t done, uint64_t total) {
  (void)done;
  (void)total;
  ++*(int*)context;
  return 0;
}

static void upkeep(void) {
  tokenstore_store* store = open_in_memory();
  const tokenstore_actor host = host_actor();
  token_text text;
  char id[TOKENSTORE_ID_SIZE];
  const size_t size = issue_for(store, "alice", "read", text, id);
  tokenstore_check_report* report = NULL;
  tokenstore_check_summary summary = {.struct_size = sizeof summary};
  int calls = 0;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_check(store, &host, count_calls, &calls, &report, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_check_report_read(report, &summary, NULL));
  CHECK(summary.tokens == 1 && summary.owners == 1 && summary.problems == 0 && summary.problems_noted == 0);
  CHECK(tokenstore_check_report_problem(report, 0, NULL)[0] == '\0');
  tokenstore_check_report_free(report);

  for (int i = 0; i < 3; ++i) CHECK(reason_for(store, text, size, "read") == TOKENSTORE_REASON_NONE);
  tokenstore_statistics statistics = {.struct_size = sizeof statistics};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_read_statistics(store, &statistics, NULL));
  CHECK(statistics.hits == 2 && statistics.misses == 1);
  int32_t more = 7;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_maintain(store, 0, &more, NULL));
  CHECK(more == 0 || more == 1);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_revoke(store, &host, id, sizeof id, NULL, 0, NULL, NULL));
  int64_t start = 0;
  int64_t now = 0;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_now(store, &start, NULL));
  do {
    CHECK_STATUS(TOKENSTORE_OK, tokenstore_now(store, &now, NULL));
  } while (now == start);
  uint64_t removed = 0;
  int32_t complete = 0;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_purge(store, &host, now, 0, &removed, &complete, NULL));
  CHECK(removed == 1 && complete == 1 && counts_of(store).revoked == 0);
  tokenstore_free(store);
}

static void sqlite_and_keys(void) {
  const char* const files[] = {"a.db", "a.db.key", "a.db-wal", "a.db-shm", "b.key"};
  for (size_t i = 0; i < sizeof files / sizeof files[0]; ++i) remove(files[i]);
  tokenstore_open_options options = {.struct_size = sizeof options, .path = "a.db", .path_size = 4, .must_exist = 1};
  tokenstore_store* store = NULL;
  tokenstore_error* error = NULL;
  CHECK(tokenstore_open(&options, &store, &error) != TOKENSTORE_OK);
  CHECK(store == NULL && error != NULL);
  tokenstore_error_free(error);
  options.must_exist = 0;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_open(&options, &store, NULL));
  size_t size = 0;
  const char* created = tokenstore_created_key_file(store, &size);
  CHECK(size >= 8 && strcmp(created + size - 8, "a.db.key") == 0);
  token_text text;
  const size_t text_size = issue_for(store, "alice", "read", text, NULL);
  tokenstore_free(store);

  tokenstore_keyring* keyring = NULL;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_keyring_from_file("a.db.key", 8, &keyring, NULL));
  tokenstore_key_info info = {.struct_size = sizeof info};
  CHECK(tokenstore_keyring_count(keyring) == 1);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_keyring_key(keyring, 0, &info, NULL));
  CHECK(info.id_size == 2 && info.use == TOKENSTORE_KEY_ACTIVE);
  CHECK_STATUS(TOKENSTORE_NOT_FOUND, tokenstore_keyring_key(keyring, 1, &info, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_keyring_write_new_file(keyring, "b.key", 5, NULL));
  CHECK_STATUS(TOKENSTORE_CANNOT_OPEN, tokenstore_keyring_write_new_file(keyring, "b.key", 5, NULL));
  char key_text[1024];
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_keyring_reveal_text(keyring, key_text, sizeof key_text, &size, NULL));
  tokenstore_keyring* again = NULL;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_keyring_from_text(key_text, size, &again, NULL));
  const uint8_t master[TOKENSTORE_MASTER_KEY_SIZE] = {3};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_keyring_add(again, "Zz", 2, TOKENSTORE_KEY_VERIFY_ONLY, master, 32, NULL));
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT,
               tokenstore_keyring_add(again, "Yy", 2, TOKENSTORE_KEY_ACTIVE, master, 32, NULL));
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, tokenstore_keyring_add(again, "Yy", 2, 9, master, 32, NULL));
  CHECK(tokenstore_keyring_count(again) == 2);

  options.keyring = again; /* copied: it may go before the store does */
  options.read_only = 1;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_open(&options, &store, NULL));
  tokenstore_keyring_free(again);
  CHECK(reason_for(store, text, text_size, "read") == TOKENSTORE_REASON_NONE);
  CHECK(tokenstore_created_key_file(store, NULL)[0] == '\0');
  const tokenstore_actor host = host_actor();
  CHECK_STATUS(TOKENSTORE_READ_ONLY, tokenstore_revoke_all(store, &host, "alice", 5, NULL, 0, NULL, NULL));
  tokenstore_free(store);

  /* The key from a descriptor, which has to be allowed; and as a credential. */
  const int descriptor = open("a.db.key", O_RDONLY);
  char name[32];
  snprintf(name, sizeof name, "/dev/fd/%d", descriptor);
  CHECK(descriptor >= 0 && chmod("a.db.key", 0604) == 0);
  options.keyring = NULL;
  options.key_file = name;
  options.key_file_size = strlen(name);
  CHECK_STATUS(TOKENSTORE_CANNOT_OPEN, tokenstore_open(&options, &store, NULL));
  options.key_file_trust = TOKENSTORE_KEY_FILE_INHERITED_DESCRIPTOR;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_open(&options, &store, NULL));
  CHECK(reason_for(store, text, text_size, "read") == TOKENSTORE_REASON_NONE);
  tokenstore_free(store);
  CHECK(chmod("a.db.key", 0600) == 0 && close(descriptor) == 0);
  options.key_credential = "a.db.key";
  options.key_credential_size = 8;
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, tokenstore_open(&options, &store, NULL));
  options.key_file = NULL;
  options.key_file_size = 0;
  options.key_file_trust = 0;
  char here[4096];
  CHECK(unsetenv("CREDENTIALS_DIRECTORY") == 0);
  CHECK_STATUS(TOKENSTORE_WRONG_KEY, tokenstore_open(&options, &store, NULL));
  CHECK(getcwd(here, sizeof here) != NULL && setenv("CREDENTIALS_DIRECTORY", here, 1) == 0);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_open(&options, &store, NULL));
  CHECK(reason_for(store, text, text_size, "read") == TOKENSTORE_REASON_NONE);
  tokenstore_free(store);
  options.key_credential = NULL;
  options.key_credential_size = 0;

  options.read_only = 0;
  options.key_bytes = master;
  options.key_bytes_size = sizeof master;
  CHECK_STATUS(TOKENSTORE_WRONG_KEY, tokenstore_open(&options, &store, &error));
  CHECK(store == NULL && tokenstore_error_message(error, &size)[0] != '\0' && size > 10);
  tokenstore_error_free(error);
  tokenstore_keyring_free(keyring);
}

static int32_t stop(void* context, uint64_t done, uint64_t total) {
  *(uint64_t*)context = done + total;
  return 1;
}

/* Of a store whose journal knows of one ending, which storage shows. */
static void heal_journaled(tokenstore_store* store) {
  const tokenstore_actor host = host_actor();
  tokenstore_heal_summary healed = {0};
  healed.struct_size = sizeof healed;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_heal(store, &host, NULL, NULL, &healed, NULL));
  CHECK(healed.looked_at == 1);
  CHECK(healed.ended + healed.removed + healed.settings + healed.refused == 0);
  uint64_t told = 0;
  CHECK_STATUS(TOKENSTORE_CONFLICT, tokenstore_heal(store, &host, stop, &told, &healed, NULL));
  CHECK(told == 1);
  tokenstore_statistics counted = {0};
  counted.struct_size = sizeof counted;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_read_statistics(store, &counted, NULL));
  CHECK(counted.rolled_back == 0 && counted.healed == 0);
}

static void a_journal(void) {
  const char* const files[] = {"journaled.db",     "journaled.db.key",  "journaled.db-wal",
                               "journaled.db-shm", "journaled.journal", "away"};
  for (size_t i = 0; i < sizeof files / sizeof *files; ++i) (void)remove(files[i]);
  tokenstore_open_options options = {0};
  options.struct_size = sizeof options;
  options.path = "journaled.db";
  options.path_size = 12;
  options.journal = "journaled.journal";
  options.journal_size = 17;
  tokenstore_store* store = NULL;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_open(&options, &store, NULL));
  token_text text;
  char id[TOKENSTORE_ID_SIZE];
  const size_t size = issue_for(store, "alice", "read", text, id);
  CHECK(rename("journaled.journal", "away") == 0);
  const tokenstore_actor host = host_actor();
  tokenstore_error* error = NULL;
  CHECK_STATUS(TOKENSTORE_NOT_JOURNALED, tokenstore_revoke(store, &host, id, sizeof id, NULL, 0, NULL, &error));
  tokenstore_error_free(error);
  CHECK(reason_for(store, text, size, "read") == TOKENSTORE_REASON_REVOKED);
  CHECK(rename("away", "journaled.journal") == 0);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_revoke(store, &host, id, sizeof id, NULL, 0, NULL, NULL));
  heal_journaled(store);
  tokenstore_free(store);
  store = NULL;
  CHECK(chmod("journaled.journal", 0640) == 0);
  CHECK_STATUS(TOKENSTORE_CANNOT_OPEN, tokenstore_open(&options, &store, NULL));
  CHECK(store == NULL && chmod("journaled.journal", 0600) == 0);
  options.journal = "jour\0nal";
  options.journal_size = 8;
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, tokenstore_open(&options, &store, NULL));
}

static void two_stores(void) {
  tokenstore_store* first = open_in_memory();
  tokenstore_store* second = open_in_memory();
  token_text text;
  const size_t size = issue_for(first, "alice", "read", text, NULL);
  CHECK(reason_for(first, text, size, "read") == TOKENSTORE_REASON_NONE);
  CHECK(reason_for(second, text, size, "read") == TOKENSTORE_REASON_FORGED);
  tokenstore_free(first);
  CHECK(reason_for(second, text, size, "read") == TOKENSTORE_REASON_FORGED);
  tokenstore_free(second);
}

static void names(void) {
  CHECK(strcmp(tokenstore_version(), "0.1.0") == 0 && tokenstore_version_number() == 1000);
  CHECK(tokenstore_abi_version() == TOKENSTORE_ABI_VERSION);
  const char* (*const functions[])(int32_t) = {tokenstore_status_name, tokenstore_outcome_name, tokenstore_reason_name,
                                               tokenstore_state_name, tokenstore_deed_name};
  const int32_t first[] = {0, 0, 0, 1, 1};
  const int32_t last[] = {TOKENSTORE_NOT_JOURNALED, TOKENSTORE_OUTCOME_INVALID, TOKENSTORE_REASON_ROLLED_BACK,
                          TOKENSTORE_STATE_TAMPERED, TOKENSTORE_DEED_ACCEPTED};
  for (size_t i = 0; i < 5; ++i) {
    for (int32_t code = first[i]; code <= last[i]; ++code) {
      const char* name = functions[i](code);
      CHECK(strcmp(name, "unrecognised") != 0);
      CHECK(name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] == '\0' && name[0] != '\0');
    }
    const int32_t strange[] = {-1, last[i] + 1, 256, 257, INT32_MAX, INT32_MIN};
    for (size_t j = 0; j < 6; ++j) CHECK(strcmp(functions[i](strange[j]), "unrecognised") == 0);
  }
  CHECK(strcmp(tokenstore_status_name(TOKENSTORE_BUFFER_TOO_SMALL), "buffer_too_small") == 0);
  CHECK(strcmp(tokenstore_reason_name(TOKENSTORE_REASON_WRONG_SECRET), "wrong_secret") == 0);
}

static const check_case cases[] = {
    {"a token is issued, used, expired, revoked and deleted", life_of_a_token},
    {"many are issued at once, listed page by page and revoked together", lists},
    {"owners are suspended and limited, and policy holds", owners_and_policy},
    {"a store is checked, counted, maintained and purged", upkeep},
    {"a database makes its key file, reopens with it, and with no other", sqlite_and_keys},
    {"an ending that is not in the journal holds, says so, and can be repeated", a_journal},
    {"two stores do not know each other's tokens", two_stores},
    {"every code has a name, and no other number has", names},
};
CHECK_MAIN(cases)
