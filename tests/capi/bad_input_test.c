/* Bad input of each kind is an invalid argument, never a crash, and changes nothing. */
#include <stdint.h>

#include "host.h"

#define BAD(call) CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, call)

static void null_handles(void) {
  const tokenstore_actor host = host_actor();
  const tokenstore_issue_request request = request_for("alice", "read");
  const tokenstore_demand demand = demand_of("read");
  const tokenstore_policy policy = {.struct_size = sizeof policy};
  const tokenstore_owner_settings settings = {.struct_size = sizeof settings};
  tokenstore_token_info info = {.struct_size = sizeof info};
  tokenstore_owner_info owner_info = {.struct_size = sizeof owner_info};
  tokenstore_counts counts = {.struct_size = sizeof counts};
  tokenstore_policy policy_out = {.struct_size = sizeof policy_out};
  tokenstore_statistics statistics = {.struct_size = sizeof statistics};
  tokenstore_check_summary summary = {.struct_size = sizeof summary};
  tokenstore_key_info key = {.struct_size = sizeof key};
  tokenstore_key_usage usage = {.struct_size = sizeof usage};
  tokenstore_reseal_summary resealed = {.struct_size = sizeof resealed};
  tokenstore_heal_summary healed = {.struct_size = sizeof healed};
  static tokenstore_verdict verdict;
  const uint8_t master[TOKENSTORE_MASTER_KEY_SIZE] = {1};
  tokenstore_token* token = NULL;
  tokenstore_page* page = NULL;
  tokenstore_owner* owner = NULL;
  tokenstore_owner_page* owner_page = NULL;
  tokenstore_check_report* report = NULL;
  token_text text;
  size_t size = 0;
  int64_t now = 0;
  uint64_t removed = 0;
  int32_t complete = 0;
  verdict.struct_size = sizeof verdict;

  BAD(tokenstore_now(NULL, &now, NULL));
  BAD(tokenstore_scanner_pattern(NULL, text, sizeof text, &size, NULL));
  BAD(tokenstore_validate(NULL, "x", 1, &demand, &verdict, NULL));
  BAD(tokenstore_issue(NULL, &host, &request, text, sizeof text, &size, &token, NULL));
  BAD(tokenstore_issue_many(NULL, &host, &request, 1, text, sizeof text, &size, &page, NULL));
  BAD(tokenstore_get(NULL, &host, "x", 1, &token, NULL));
  BAD(tokenstore_token_read(NULL, &info, NULL));
  BAD(tokenstore_expire(NULL, &host, "x", 1, 0, &token, NULL));
  BAD(tokenstore_revoke(NULL, &host, "x", 1, NULL, 0, &token, NULL));
  BAD(tokenstore_revoke_all(NULL, &host, "x", 1, NULL, 0, &removed, NULL));
  BAD(tokenstore_delete(NULL, &host, "x", 1, NULL));
  BAD(tokenstore_list(NULL, &host, NULL, &page, NULL));
  BAD(tokenstore_page_token(NULL, 0, &info, NULL));
  BAD(tokenstore_count(NULL, &host, NULL, 0, &counts, NULL));
  BAD(tokenstore_owner_get(NULL, &host, "x", 1, &owner, NULL));
  BAD(tokenstore_owner_set(NULL, &host, "x", 1, &settings, &owner, NULL));
  BAD(tokenstore_owner_suspend(NULL, &host, "x", 1, NULL, 0, &owner, NULL));
  BAD(tokenstore_owner_resume(NULL, &host, "x", 1, &owner, NULL));
  BAD(tokenstore_owner_read(NULL, &owner_info, NULL));
  BAD(tokenstore_owner_list(NULL, &host, NULL, 0, 0, &owner_page, NULL));
  BAD(tokenstore_owner_page_owner(NULL, 0, &owner_info, NULL));
  BAD(tokenstore_policy_get(NULL, &host, &policy_out, NULL));
  BAD(tokenstore_policy_set(NULL, &host, &policy, NULL));
  BAD(tokenstore_purge(NULL, &host, 1, 0, &removed, &complete, NULL));
  char new_key[3];
  size_t key_size = 0;
  tokenstore_key_report* keys = NULL;
  tokenstore_key_state key_state = {.struct_size = sizeof key_state};
  BAD(tokenstore_key_add(NULL, &host, new_key, sizeof new_key, &key_size, NULL));
  BAD(tokenstore_key_activate(NULL, &host, "0A", 2, NULL));
  BAD(tokenstore_key_retire(NULL, &host, "0A", 2, NULL));
  BAD(tokenstore_key_remove(NULL, &host, "0A", 2, NULL));
  BAD(tokenstore_keys_reload(NULL, NULL, NULL));
  BAD(tokenstore_key_status(NULL, &host, NULL, NULL, &keys, NULL));
  BAD(tokenstore_key_report_key(NULL, 0, &key_state, NULL));
  CHECK(tokenstore_key_report_count(NULL) == 0);
  tokenstore_key_report_free(NULL);
  BAD(tokenstore_reseal(NULL, &host, NULL, 0, 0, &resealed, NULL));
  BAD(tokenstore_heal(NULL, &host, NULL, NULL, &healed, NULL));
  BAD(tokenstore_backup(NULL, &host, "place", 5, 0, NULL, NULL, NULL, NULL));
  BAD(tokenstore_maintain(NULL, 0, NULL, NULL));
  BAD(tokenstore_check(NULL, &host, NULL, NULL, &report, NULL));
  BAD(tokenstore_check_report_read(NULL, &summary, NULL));
  BAD(tokenstore_check_report_key(NULL, 0, &usage, NULL));
  BAD(tokenstore_read_statistics(NULL, &statistics, NULL));
  BAD(tokenstore_keyring_add(NULL, "ab", 2, TOKENSTORE_KEY_ACTIVE, master, sizeof master, NULL));
  BAD(tokenstore_keyring_key(NULL, 0, &key, NULL));
  BAD(tokenstore_keyring_write_new_file(NULL, "x", 1, NULL));
  BAD(tokenstore_keyring_reveal_text(NULL, text, sizeof text, &size, NULL));

  CHECK(tokenstore_keyring_count(NULL) == 0);
  CHECK(tokenstore_page_count(NULL) == 0);
  CHECK(tokenstore_owner_page_count(NULL) == 0);
  size = 9;
  CHECK(tokenstore_page_next(NULL, &size)[0] == '\0' && size == 0);
  CHECK(tokenstore_owner_page_next(NULL, NULL)[0] == '\0');
  CHECK(tokenstore_check_report_problem(NULL, 0, NULL)[0] == '\0');
  CHECK(tokenstore_created_key_file(NULL, NULL)[0] == '\0');
  CHECK(tokenstore_workspace(NULL, NULL)[0] == '\0');
  CHECK(tokenstore_prefix(NULL, NULL)[0] == '\0');
  CHECK(tokenstore_error_message(NULL, NULL)[0] == '\0');
}

static void free_null(void) {
  tokenstore_free(NULL);
  tokenstore_error_free(NULL);
  tokenstore_keyring_free(NULL);
  tokenstore_token_free(NULL);
  tokenstore_page_free(NULL);
  tokenstore_owner_free(NULL);
  tokenstore_owner_page_free(NULL);
  tokenstore_check_report_free(NULL);
}

static void null_arguments(void) {
  tokenstore_store* store = open_in_memory();
  const tokenstore_actor host = host_actor();
  const tokenstore_issue_request request = request_for("alice", "read");
  tokenstore_demand demand = demand_of("read");
  static tokenstore_verdict verdict;
  const uint8_t master[TOKENSTORE_MASTER_KEY_SIZE] = {1};
  tokenstore_keyring* keyring = NULL;
  tokenstore_token* token = (tokenstore_token*)&demand; /* must become NULL */
  token_text text;
  size_t size = 0;
  uint64_t removed = 0;
  int32_t complete = 0;

  tokenstore_store* not_opened = store; /* must become NULL */
  BAD(tokenstore_open(NULL, &not_opened, NULL));
  CHECK(not_opened == NULL);
  const tokenstore_open_options options = memory_options();
  BAD(tokenstore_open(&options, NULL, NULL));
  BAD(tokenstore_now(store, NULL, NULL));
  BAD(tokenstore_scanner_pattern(store, NULL, 10, &size, NULL));
  BAD(tokenstore_scanner_pattern(store, text, sizeof text, NULL, NULL));

  BAD(tokenstore_issue(store, NULL, &request, text, sizeof text, &size, &token, NULL));
  CHECK(token == NULL);
  BAD(tokenstore_issue(store, &host, NULL, text, sizeof text, &size, NULL, NULL));
  BAD(tokenstore_issue(store, &host, &request, NULL, sizeof text, &size, NULL, NULL));
  BAD(tokenstore_issue(store, &host, &request, text, sizeof text, NULL, NULL, NULL));
  BAD(tokenstore_issue_many(store, &host, NULL, 1, text, sizeof text, &size, NULL, NULL));
  tokenstore_issue_request null_text = request;
  null_text.description = NULL;
  null_text.description_size = 3;
  BAD(tokenstore_issue(store, &host, &null_text, text, sizeof text, &size, NULL, NULL));
  null_text = request;
  null_text.owner_size = SIZE_MAX;
  BAD(tokenstore_issue(store, &host, &null_text, text, sizeof text, &size, NULL, NULL));

  BAD(tokenstore_get(store, &host, "x", 1, NULL, NULL));
  BAD(tokenstore_expire(store, &host, NULL, 16, 0, NULL, NULL));
  BAD(tokenstore_revoke(store, &host, "0123456789abcdef", 16, NULL, 4, NULL, NULL));
  BAD(tokenstore_list(store, &host, NULL, NULL, NULL));
  BAD(tokenstore_count(store, &host, NULL, 0, NULL, NULL));
  BAD(tokenstore_owner_get(store, &host, NULL, 0, NULL, NULL));
  BAD(tokenstore_owner_set(store, &host, "alice", 5, NULL, NULL, NULL));
  BAD(tokenstore_owner_list(store, &host, NULL, 0, 0, NULL, NULL));
  BAD(tokenstore_policy_get(store, &host, NULL, NULL));
  BAD(tokenstore_policy_set(store, &host, NULL, NULL));
  BAD(tokenstore_purge(store, &host, 1, 0, NULL, &complete, NULL));
  BAD(tokenstore_purge(store, &host, 1, 0, &removed, NULL, NULL));
  BAD(tokenstore_purge(store, &host, 1, -1, &removed, &complete, NULL));
  tokenstore_reseal_summary resealed = {.struct_size = sizeof resealed};
  BAD(tokenstore_reseal(store, &host, NULL, 0, 0, NULL, NULL));
  BAD(tokenstore_reseal(store, NULL, NULL, 0, 0, &resealed, NULL));
  BAD(tokenstore_reseal(store, &host, NULL, 4, 0, &resealed, NULL));
  BAD(tokenstore_reseal(store, &host, "no cursor", 9, 0, &resealed, NULL));
  BAD(tokenstore_reseal(store, &host, NULL, 0, -1, &resealed, NULL));
  tokenstore_heal_summary healed = {.struct_size = sizeof healed};
  BAD(tokenstore_heal(store, &host, NULL, NULL, NULL, NULL));
  BAD(tokenstore_heal(store, NULL, NULL, NULL, &healed, NULL));
  tokenstore_restore_summary restored = {.struct_size = sizeof restored};
  tokenstore_copy_summary copied = {.struct_size = sizeof copied};
  BAD(tokenstore_backup(store, &host, NULL, 0, 0, NULL, NULL, NULL, NULL));
  BAD(tokenstore_backup(store, &host, "a\0b", 3, 0, NULL, NULL, NULL, NULL));
  BAD(tokenstore_backup(store, &host, "place", 5, 2, NULL, NULL, NULL, NULL));
  BAD(tokenstore_backup(store, NULL, "place", 5, 0, NULL, NULL, NULL, NULL));
  BAD(tokenstore_verify_backup("place", 5, NULL, NULL, NULL));
  BAD(tokenstore_restore("place", 5, NULL, "b.db", 4, 0, NULL, NULL, &restored, NULL));
  BAD(tokenstore_copy(store, &host, NULL, 0, 0, NULL, NULL, &copied, NULL));
  BAD(tokenstore_copy(store, &host, "b.db", 4, 0, NULL, NULL, NULL, NULL));
  BAD(tokenstore_maintain(store, -1, NULL, NULL));
  BAD(tokenstore_check(store, &host, NULL, NULL, NULL, NULL));
  BAD(tokenstore_read_statistics(store, NULL, NULL));
  BAD(tokenstore_keyring_generate(NULL, NULL));
  BAD(tokenstore_keyring_from_bytes(NULL, 32, NULL, 0, &keyring, NULL));
  BAD(tokenstore_keyring_from_bytes(master, 31, NULL, 0, &keyring, NULL));
  BAD(tokenstore_keyring_from_file("a\0b", 3, &keyring, NULL));
  BAD(tokenstore_keyring_from_file_trusting("a", 1, 8, &keyring, NULL));
  BAD(tokenstore_keyring_from_file_trusting("a", 1, -1, &keyring, NULL));
  BAD(tokenstore_keyring_from_credential(NULL, 0, &keyring, NULL));
  BAD(tokenstore_keyring_from_credential("a/b", 3, &keyring, NULL));
  BAD(tokenstore_keyring_from_credential("a\0b", 3, &keyring, NULL));

  /* A verdict that says valid from the last request must not go on saying so. */
  const size_t text_size = issue_for(store, "alice", "read", text, NULL);
  for (int i = 0; i < 5; ++i) {
    demand = demand_of("read");
    CHECK(reason_for(store, text, text_size, "read") == TOKENSTORE_REASON_NONE);
    verdict.struct_size = sizeof verdict;
    verdict.outcome = TOKENSTORE_OUTCOME_VALID;
    demand.scope = i == 3 ? NULL : demand.scope;
    demand.client_address_size = i == 4 ? 3 : 0;
    BAD(tokenstore_validate(i == 0 ? NULL : store, i == 1 ? NULL : text, text_size, i == 2 ? NULL : &demand, &verdict,
                            NULL));
    CHECK(verdict.outcome == TOKENSTORE_OUTCOME_UNAVAILABLE && verdict.http_status == 503 && verdict.id_size == 0);
    int32_t decided = 1;
    verdict.outcome = TOKENSTORE_OUTCOME_VALID;
    BAD(tokenstore_try_validate(i == 0 ? NULL : store, i == 1 ? NULL : text, text_size, i == 2 ? NULL : &demand,
                                &verdict, &decided, NULL));
    CHECK(verdict.outcome == TOKENSTORE_OUTCOME_UNAVAILABLE && decided == 0);
  }
  demand = demand_of("read");
  BAD(tokenstore_validate(store, text, text_size, &demand, NULL, NULL));
  verdict.outcome = TOKENSTORE_OUTCOME_VALID;
  BAD(tokenstore_try_validate(store, text, text_size, &demand, &verdict, NULL, NULL));
  CHECK(verdict.outcome == TOKENSTORE_OUTCOME_UNAVAILABLE);
  int32_t decided = 1;
  BAD(tokenstore_try_validate(store, text, text_size, &demand, NULL, &decided, NULL));
  CHECK(decided == 0);
  CHECK(counts_of(store).active == 1);
  tokenstore_free(store);
}

/* What a call answers for an empty text, whichever way that is spelled: its status and its line. */
typedef struct answer {
  int32_t status;
  char line[160];
} answer;

static answer answer_of(int32_t status, tokenstore_error* error) {
  answer result = {.status = status};
  strncpy(result.line, tokenstore_error_message(error, NULL), sizeof result.line - 1);
  tokenstore_error_free(error);
  return result;
}

/* `call` says `empty` where the text stands, and reports to `error`. */
#define EMPTY_EITHER_WAY(expected, call)                                                                 \
  do {                                                                                                   \
    answer answers[2];                                                                                   \
    for (int way = 0; way < 2; ++way) {                                                                  \
      const char* empty = way == 0 ? "" : NULL;                                                          \
      tokenstore_error* error = NULL;                                                                    \
      const int32_t status = (call);                                                                     \
      answers[way] = answer_of(status, error);                                                           \
    }                                                                                                    \
    CHECK_STATUS(expected, answers[0].status);                                                           \
    CHECK_STATUS(expected, answers[1].status);                                                           \
    CHECK(strcmp(answers[0].line, answers[1].line) == 0 && (answers[0].line[0] == '\0') == !(expected)); \
  } while (0)

static void empty_texts(void) {
  tokenstore_store* store = open_in_memory();
  const tokenstore_actor host = host_actor();
  tokenstore_token* token = NULL;
  tokenstore_page* page = NULL;
  tokenstore_owner* owner = NULL;
  tokenstore_owner_page* owners = NULL;
  tokenstore_keyring* keyring = NULL;
  tokenstore_counts counts = {.struct_size = sizeof counts};
  const tokenstore_owner_settings settings = {.struct_size = sizeof settings};
  uint64_t revoked = 0;
  token_text text;
  size_t size = 0;
  const int32_t bad = TOKENSTORE_INVALID_ARGUMENT;

  /* Both a client's text and a demand's scope come from outside, and both may be empty. */
  static tokenstore_verdict verdict;
  const size_t text_size = issue_for(store, "alice", "read", text, NULL);
  for (int way = 0; way < 2; ++way) {
    const char* empty = way == 0 ? "" : NULL;
    tokenstore_demand demand = demand_of("read");
    verdict.struct_size = sizeof verdict;
    CHECK_STATUS(TOKENSTORE_OK, tokenstore_validate(store, empty, 0, &demand, &verdict, NULL));
    CHECK(verdict.outcome == TOKENSTORE_OUTCOME_INVALID && verdict.reason == TOKENSTORE_REASON_MALFORMED);
    CHECK(verdict.http_status == 401);
    demand.scope = empty;
    demand.scope_size = 0;
    CHECK_STATUS(TOKENSTORE_OK, tokenstore_validate(store, text, text_size, &demand, &verdict, NULL));
    CHECK(verdict.reason == TOKENSTORE_REASON_INSUFFICIENT_SCOPE && verdict.http_status == 403);
  }

  EMPTY_EITHER_WAY(TOKENSTORE_NOT_FOUND, tokenstore_get(store, &host, empty, 0, &token, &error));
  EMPTY_EITHER_WAY(TOKENSTORE_NOT_FOUND, tokenstore_expire(store, &host, empty, 0, 0, NULL, &error));
  EMPTY_EITHER_WAY(TOKENSTORE_NOT_FOUND, tokenstore_revoke(store, &host, empty, 0, NULL, 0, NULL, &error));
  EMPTY_EITHER_WAY(TOKENSTORE_NOT_FOUND, tokenstore_delete(store, &host, empty, 0, &error));
  EMPTY_EITHER_WAY(bad, tokenstore_revoke_all(store, &host, empty, 0, empty, 0, &revoked, &error));
  EMPTY_EITHER_WAY(bad, tokenstore_owner_get(store, &host, empty, 0, &owner, &error));
  EMPTY_EITHER_WAY(bad, tokenstore_owner_set(store, &host, empty, 0, &settings, NULL, &error));
  EMPTY_EITHER_WAY(bad, tokenstore_owner_suspend(store, &host, empty, 0, empty, 0, NULL, &error));
  EMPTY_EITHER_WAY(bad, tokenstore_owner_resume(store, &host, empty, 0, NULL, &error));
  EMPTY_EITHER_WAY(bad, tokenstore_keyring_from_file(empty, 0, &keyring, &error));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_keyring_generate(&keyring, NULL));
  EMPTY_EITHER_WAY(bad, tokenstore_keyring_write_new_file(keyring, empty, 0, &error));
  tokenstore_keyring_free(keyring);
  keyring = NULL;
  EMPTY_EITHER_WAY(TOKENSTORE_WRONG_KEY, tokenstore_keyring_from_text(empty, 0, &keyring, &error));

  /* Where empty is a meaning of its own. */
  EMPTY_EITHER_WAY(TOKENSTORE_OK, tokenstore_count(store, &host, empty, 0, &counts, &error));
  CHECK(counts.active == 1);
  for (int way = 0; way < 2; ++way) {
    const char* empty = way == 0 ? "" : NULL;
    CHECK_STATUS(TOKENSTORE_OK, tokenstore_owner_list(store, &host, empty, 0, 0, &owners, NULL));
    tokenstore_owner_page_free(owners);
    const tokenstore_list_query query = {.struct_size = sizeof query, .owner = empty, .text = empty, .cursor = empty};
    CHECK_STATUS(TOKENSTORE_OK, tokenstore_list(store, &host, &query, &page, NULL));
    tokenstore_page_free(page);
    tokenstore_issue_request request = request_for("alice", "");
    request.scopes = request.description = request.metadata = empty;
    CHECK_STATUS(TOKENSTORE_OK, tokenstore_issue(store, &host, &request, text, sizeof text, &size, NULL, NULL));
    request.owner = empty;
    request.owner_size = 0;
    BAD(tokenstore_issue(store, &host, &request, text, sizeof text, &size, NULL, NULL));
    tokenstore_open_options options = memory_options();
    options.workspace = options.prefix = options.key_id = options.key_file = options.vfs = options.path = empty;
    tokenstore_store* other = NULL;
    CHECK_STATUS(TOKENSTORE_OK, tokenstore_open(&options, &other, NULL));
    tokenstore_free(other);
  }
  tokenstore_free(store);
}

static void short_buffers(void) {
  tokenstore_store* store = open_in_memory();
  const tokenstore_actor host = host_actor();
  const tokenstore_issue_request request = request_for("alice", "read");
  token_text text;
  size_t needed = 0;
  /* "pat": 81 octets and a zero byte. */
  for (size_t size = 0; size < 82; ++size) {
    memset(text, 'x', sizeof text);
    CHECK_STATUS(TOKENSTORE_BUFFER_TOO_SMALL,
                 tokenstore_issue(store, &host, &request, text, size, &needed, NULL, NULL));
    CHECK(needed == 82 && text[0] == 'x');
    CHECK_STATUS(TOKENSTORE_BUFFER_TOO_SMALL,
                 tokenstore_issue_many(store, &host, &request, 1, text, size, &needed, NULL, NULL));
  }
  CHECK_STATUS(TOKENSTORE_BUFFER_TOO_SMALL, tokenstore_issue(store, &host, &request, NULL, 0, &needed, NULL, NULL));
  CHECK(counts_of(store).active == 0);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_issue(store, &host, &request, text, 82, &needed, NULL, NULL));
  CHECK(needed == 81 && text[81] == '\0' && text[82] == 'x');
  CHECK(counts_of(store).active == 1);

  CHECK_STATUS(TOKENSTORE_BUFFER_TOO_SMALL, tokenstore_scanner_pattern(store, text, 3, &needed, NULL));
  CHECK(needed > 4);
  tokenstore_free(store);
}

static void wrong_values(void) {
  tokenstore_store* store = open_in_memory();
  tokenstore_actor actor = host_actor();
  tokenstore_counts counts = {.struct_size = sizeof counts};
  token_text text;
  size_t size = 0;

  actor.kind = 0;
  BAD(tokenstore_count(store, &actor, NULL, 0, &counts, NULL));
  actor.kind = 4;
  BAD(tokenstore_count(store, &actor, NULL, 0, &counts, NULL));
  actor = host_actor();
  actor.reserved = 1;
  BAD(tokenstore_count(store, &actor, NULL, 0, &counts, NULL));
  actor = named_actor(TOKENSTORE_ACTOR_HOST, "root");
  BAD(tokenstore_count(store, &actor, NULL, 0, &counts, NULL));
  actor = named_actor(TOKENSTORE_ACTOR_USER, "");
  BAD(tokenstore_count(store, &actor, NULL, 0, &counts, NULL));

  actor = host_actor();
  tokenstore_issue_request request = request_for("alice", "read");
  const int64_t lifetimes[] = {-2, -3, INT64_MIN};
  for (size_t i = 0; i < 3; ++i) {
    request.lifetime_ms = lifetimes[i];
    BAD(tokenstore_issue(store, &actor, &request, text, sizeof text, &size, NULL, NULL));
  }
  const char* const scopes[] = {" ", "read ", " read", "read  write", "re\"ad"};
  for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; ++i) {
    request = request_for("alice", scopes[i]);
    BAD(tokenstore_issue(store, &actor, &request, text, sizeof text, &size, NULL, NULL));
  }
  request = request_for("alice", "read");
  request.lifetime_ms = TOKENSTORE_NEVER; /* the default policy does not allow it */
  CHECK_STATUS(TOKENSTORE_REFUSED, tokenstore_issue(store, &actor, &request, text, sizeof text, &size, NULL, NULL));
  CHECK(counts_of(store).active == 0);

  tokenstore_page* page = NULL;
  tokenstore_list_query query = {.struct_size = sizeof query, .state = TOKENSTORE_STATE_TAMPERED};
  BAD(tokenstore_list(store, &actor, &query, &page, NULL));
  query.state = 0;
  query.limit = TOKENSTORE_PAGE_MAX + 1;
  BAD(tokenstore_list(store, &actor, &query, &page, NULL));
  tokenstore_owner_settings settings = {.struct_size = sizeof settings, .may_not_use = 2};
  BAD(tokenstore_owner_set(store, &actor, "alice", 5, &settings, NULL, NULL));
  tokenstore_policy policy = {.struct_size = sizeof policy, .longest_lifetime_ms = -2};
  BAD(tokenstore_policy_set(store, &actor, &policy, NULL));
  tokenstore_free(store);
}

static void wrong_options(void) {
  const uint8_t master[TOKENSTORE_MASTER_KEY_SIZE] = {1};
  tokenstore_keyring* keyring = NULL;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_keyring_from_bytes(master, sizeof master, NULL, 0, &keyring, NULL));
  const tokenstore_clock no_clock = {.struct_size = sizeof no_clock};
  for (int i = 0; i < 18; ++i) {
    tokenstore_open_options options = memory_options();
    tokenstore_store* store = NULL;
    tokenstore_error* error = NULL;
    switch (i) {
      case 0:
        options.backend = 2;
        break;
      case 1:
        options.path = "x.db", options.path_size = 4;
        break;
      case 2:
        options.backend = TOKENSTORE_BACKEND_SQLITE;
        break;
      case 3:
        options.keyring = keyring, options.key_bytes = master, options.key_bytes_size = sizeof master;
        break;
      case 4:
        options.key_bytes = master, options.key_bytes_size = 31;
        break;
      case 5:
        options.key_id = "ab", options.key_id_size = 2;
        break;
      case 6:
        options.cache_bytes = -2;
        break;
      case 7:
        options.use_interval_ms = -1;
        break;
      case 8:
        options.upkeep_thread = 2;
        break;
      case 9:
        options.clock = &no_clock;
        break;
      case 10:
        options.prefix = "Bad", options.prefix_size = 3;
        break;
      case 11:
        options.read_only = 1;
        break;
      case 12:
        options.backend = TOKENSTORE_BACKEND_SQLITE, options.path = "x.db", options.path_size = 4;
        options.durability = 2;
        break;
      case 13:
        options.backend = TOKENSTORE_BACKEND_SQLITE, options.path = "x.db\0y", options.path_size = 6;
        break;
      case 14:
        options.key_file = "x.key", options.key_file_size = 5;
        options.key_credential = "x", options.key_credential_size = 1;
        break;
      case 15:
        options.key_credential = "a/b", options.key_credential_size = 3;
        break;
      case 16:
        options.key_file_trust = 8;
        break;
      case 17:
        options.reserved = 1;
        break;
    }
    BAD(tokenstore_open(&options, &store, &error));
    CHECK(store == NULL && error != NULL && tokenstore_error_message(error, NULL)[0] != '\0');
    tokenstore_error_free(error);
  }
  tokenstore_keyring_free(keyring);
}

static const check_case cases[] = {
    {"a handle that is NULL is an invalid argument", null_handles},
    {"freeing NULL does nothing", free_null},
    {"an argument that is NULL is an invalid argument, and leaves no valid verdict", null_arguments},
    {"NULL with size 0 is the empty text, for every function that takes a text", empty_texts},
    {"a buffer that is too short is refused before anything is stored", short_buffers},
    {"a value out of range is refused", wrong_values},
    {"options that contradict each other do not open", wrong_options},
};
CHECK_MAIN(cases)
