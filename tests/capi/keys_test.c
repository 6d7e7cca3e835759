/* Keys that change under an open store: in a key file, and behind a function of the host's. */
#include <stdio.h>
#include <tokenstore.h>

#include "check.h"

static const tokenstore_actor host = {.struct_size = sizeof host, .kind = TOKENSTORE_ACTOR_HOST};
static const uint8_t masters[2][TOKENSTORE_MASTER_KEY_SIZE] = {{1}, {2}};

typedef struct token {
  char text[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  size_t size;
} token;

static token issue(tokenstore_store* store) {
  const tokenstore_issue_request request = {
      .struct_size = sizeof request, .owner = "alice", .owner_size = 5, .scopes = "read", .scopes_size = 4};
  token made = {.size = 0};
  CHECK_STATUS(TOKENSTORE_OK,
               tokenstore_issue(store, &host, &request, made.text, sizeof made.text, &made.size, NULL, NULL));
  return made;
}

static int32_t reason(tokenstore_store* store, const token* asked) {
  const tokenstore_demand demand = {.struct_size = sizeof demand, .scope = "read", .scope_size = 4};
  tokenstore_verdict verdict;
  verdict.struct_size = sizeof verdict;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_validate(store, asked->text, asked->size, &demand, &verdict, NULL));
  return verdict.reason;
}

static void check_key(const tokenstore_key_report* report, size_t index, const char* id, int32_t use, uint64_t seals,
                      uint64_t living) {
  tokenstore_key_state state = {.struct_size = sizeof state};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_key_report_key(report, index, &state, NULL));
  CHECK_TEXT(id, state.key_id, state.key_id_size);
  CHECK(state.use == use && state.seals == seals && state.living_tokens == living);
}

static void key_file(void) {
  tokenstore_store* one = NULL;
  tokenstore_store* other = NULL;
  tokenstore_key_report* report = NULL;
  tokenstore_reseal_summary resealed = {.struct_size = sizeof resealed};
  tokenstore_statistics statistics = {.struct_size = sizeof statistics};
  char id[3] = "";
  size_t size = 0;
  int32_t changed = 1;
  remove("keys.db");
  remove("keys.db.key");
  const tokenstore_open_options options = {.struct_size = sizeof options, .path = "keys.db", .path_size = 7};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_open(&options, &one, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_open(&options, &other, NULL));
  const token old = issue(one);
  CHECK(reason(other, &old) == TOKENSTORE_REASON_NONE);

  CHECK_STATUS(TOKENSTORE_BUFFER_TOO_SMALL, tokenstore_key_add(one, &host, id, 2, &size, NULL));
  CHECK(size == 3);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_key_add(one, &host, id, sizeof id, &size, NULL));
  CHECK_TEXT("0B", id, size);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_key_activate(one, &host, id, size, NULL));
  const token fresh = issue(one);
  CHECK(memcmp(fresh.text, "pat_10B", 7) == 0);
  CHECK(reason(other, &fresh) == TOKENSTORE_REASON_NONE);
  CHECK_STATUS(TOKENSTORE_REFUSED, tokenstore_key_retire(other, &host, "0A", 2, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_reseal(other, &host, NULL, 0, 0, &resealed, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_key_status(other, &host, NULL, NULL, &report, NULL));
  CHECK(tokenstore_key_report_count(report) == 2);
  check_key(report, 0, "0A", TOKENSTORE_KEY_VERIFY_ONLY, 0, 1);
  check_key(report, 1, "0B", TOKENSTORE_KEY_ACTIVE, 5, 1);
  tokenstore_key_state beyond = {.struct_size = sizeof beyond};
  CHECK_STATUS(TOKENSTORE_NOT_FOUND, tokenstore_key_report_key(report, 2, &beyond, NULL));
  tokenstore_key_report_free(report);
  CHECK_STATUS(TOKENSTORE_REFUSED, tokenstore_key_remove(other, &host, "0A", 2, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_key_retire(other, &host, "0A", 2, NULL));
  CHECK(reason(one, &old) == TOKENSTORE_REASON_RETIRED_KEY);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_key_remove(other, &host, "0A", 2, NULL));
  CHECK(reason(one, &old) == TOKENSTORE_REASON_FORGED);
  CHECK(reason(one, &fresh) == TOKENSTORE_REASON_NONE);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_keys_reload(one, &changed, NULL));
  CHECK(changed == 0);
  CHECK_STATUS(TOKENSTORE_NOT_FOUND, tokenstore_key_activate(one, &host, "0A", 2, NULL));
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_read_statistics(other, &statistics, NULL));
  CHECK(statistics.keys_taken >= 3 && statistics.keys_refused == 0);
  tokenstore_free(one);
  tokenstore_free(other);
}

/* What the host's function gives: the first key, both, or none. */
typedef struct service {
  int gives;
  int asked;
} service;

static int32_t ask(void* context, tokenstore_keyring** out_keyring) {
  service* from = context;
  ++from->asked;
  if (from->gives == 0) return TOKENSTORE_UNAVAILABLE;
  int32_t status = tokenstore_keyring_from_bytes(masters[0], sizeof masters[0], "0A", 2, out_keyring, NULL);
  if (status == TOKENSTORE_OK && from->gives == 2) {
    status =
        tokenstore_keyring_add(*out_keyring, "0B", 2, TOKENSTORE_KEY_VERIFY_ONLY, masters[1], sizeof masters[1], NULL);
  }
  return status;
}

static void function_of_the_hosts(void) {
  service keys = {.gives = 0};
  tokenstore_key_source source = {.struct_size = sizeof source, .ask = ask, .context = &keys};
  tokenstore_open_options options = {
      .struct_size = sizeof options, .backend = TOKENSTORE_BACKEND_MEMORY, .key_source = &source};
  tokenstore_store* store = NULL;
  tokenstore_error* error = NULL;
  char id[3] = "";
  size_t size = 0;
  int32_t changed = 0;
  CHECK_STATUS(TOKENSTORE_UNAVAILABLE, tokenstore_open(&options, &store, NULL));
  keys.gives = 1;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_open(&options, &store, NULL));
  CHECK(keys.asked > 1);
  const token made = issue(store);
  CHECK(reason(store, &made) == TOKENSTORE_REASON_NONE);
  /* Nothing asks again before somebody says so. */
  const int asked = keys.asked;
  keys.gives = 2;
  CHECK(reason(store, &made) == TOKENSTORE_REASON_NONE);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_maintain(store, 0, NULL, NULL));
  CHECK(keys.asked == asked);
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_keys_reload(store, &changed, NULL));
  CHECK(changed == 1 && keys.asked == asked + 1);
  keys.gives = 0;
  CHECK_STATUS(TOKENSTORE_UNAVAILABLE, tokenstore_keys_reload(store, &changed, &error));
  CHECK(changed == 0 && strlen(tokenstore_error_message(error, NULL)) != 0);
  tokenstore_error_free(error);
  CHECK(reason(store, &made) == TOKENSTORE_REASON_NONE);
  CHECK_STATUS(TOKENSTORE_UNSUPPORTED, tokenstore_key_add(store, &host, id, sizeof id, &size, NULL));
  tokenstore_free(store);
}

static void bad_sources(void) {
  service keys = {.gives = 1};
  tokenstore_key_source source = {.struct_size = sizeof source, .context = &keys};
  tokenstore_open_options options = {
      .struct_size = sizeof options, .backend = TOKENSTORE_BACKEND_MEMORY, .key_source = &source};
  tokenstore_store* store = NULL;
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, tokenstore_open(&options, &store, NULL));
  source.ask = ask;
  source.pause_ms = -1;
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, tokenstore_open(&options, &store, NULL));
  source.pause_ms = 0;
  options.key_file = "keys.db.key";
  options.key_file_size = 11;
  CHECK_STATUS(TOKENSTORE_INVALID_ARGUMENT, tokenstore_open(&options, &store, NULL));
  CHECK(store == NULL && keys.asked == 0);
  /* A keyring is nothing that can change. */
  const tokenstore_open_options fixed = {.struct_size = sizeof fixed, .backend = TOKENSTORE_BACKEND_MEMORY};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_open(&fixed, &store, NULL));
  CHECK_STATUS(TOKENSTORE_UNSUPPORTED, tokenstore_keys_reload(store, NULL, NULL));
  tokenstore_free(store);
}

static const check_case cases[] = {
    {"a key in a file goes its whole way, and another handle takes part", key_file},
    {"a function of the host's is asked when it is said, and what it cannot give changes nothing",
     function_of_the_hosts},
    {"a source that is none, or one too many, is refused", bad_sources},
};
CHECK_MAIN(cases)
