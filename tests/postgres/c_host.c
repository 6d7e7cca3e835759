/* A host in C on PostgreSQL: c_host CONNINFO opens two stores, as two hosts would, and revokes on one what the other
 * has validated. Prints what it sees. */
#include <stdio.h>
#include <string.h>
#include <tokenstore_postgres.h>

static int32_t open_store(const char* conninfo, tokenstore_store** out_store) {
  static const uint8_t key[TOKENSTORE_MASTER_KEY_SIZE] = {7};
  const tokenstore_postgres_options postgres = {
      .struct_size = sizeof postgres, .conninfo = conninfo, .conninfo_size = strlen(conninfo), .max_staleness_ms = -1};
  const tokenstore_open_options options = {
      .struct_size = sizeof options, .key_bytes = key, .key_bytes_size = sizeof key};
  tokenstore_backend backend;
  tokenstore_error* error = NULL;
  int32_t status = tokenstore_postgres_backend(&postgres, &backend);
  if (status == TOKENSTORE_OK) status = tokenstore_open_backend(&options, &backend, out_store, &error);
  if (status != TOKENSTORE_OK) {
    printf("%s: %s\n", tokenstore_status_name(status), tokenstore_error_message(error, NULL));
    tokenstore_error_free(error);
  }
  return status;
}

static void show(const char* who, tokenstore_store* store, const char* text, size_t size, tokenstore_verdict* verdict) {
  const tokenstore_demand demand = {.struct_size = sizeof demand, .scope = "read", .scope_size = 4};
  verdict->struct_size = sizeof *verdict;
  tokenstore_validate(store, text, size, &demand, verdict, NULL);
  printf("%s: %s\n", who, tokenstore_outcome_name(verdict->outcome));
}

int main(int count, char** arguments) {
  tokenstore_store* one = NULL;
  tokenstore_store* two = NULL;
  if (count != 2) return 2;
  if (open_store(arguments[1], &one) != TOKENSTORE_OK) return 1;
  if (open_store(arguments[1], &two) != TOKENSTORE_OK) return 1;

  const tokenstore_actor host = {.struct_size = sizeof host, .kind = TOKENSTORE_ACTOR_HOST};
  const tokenstore_issue_request request = {
      .struct_size = sizeof request, .owner = "alice", .owner_size = 5, .scopes = "read", .scopes_size = 4};
  char text[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  size_t size = 0;
  static tokenstore_verdict verdict;
  if (tokenstore_issue(one, &host, &request, text, sizeof text, &size, NULL, NULL) != TOKENSTORE_OK) return 1;
  show("one", one, text, size, &verdict);
  show("two", two, text, size, &verdict);
  if (tokenstore_revoke(one, &host, verdict.id, verdict.id_size, NULL, 0, NULL, NULL) != TOKENSTORE_OK) return 1;
  show("one", one, text, size, &verdict);
  show("two", two, text, size, &verdict);
  tokenstore_free(one);
  tokenstore_free(two);
  return 0;
}
