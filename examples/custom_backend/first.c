/* A store in an LMDB directory: makes it at first use, issues a token, and revokes it. */
#include <stdio.h>
#include <string.h>

#include "lmdb_backend.h"

static int failed(tokenstore_error* error) {
  fprintf(stderr, "first: %s\n", tokenstore_error_message(error, NULL));
  tokenstore_error_free(error);
  return 1;
}

/* The keys never lie in the storage that they guard: here beside it, on a server in its secret store. */
static int32_t make_key_file(const char* path, tokenstore_error** out_error) {
  tokenstore_keyring* keyring;
  const int32_t made = tokenstore_keyring_generate(&keyring, out_error);
  if (made != TOKENSTORE_OK) return made;
  const int32_t written = tokenstore_keyring_write_new_file(keyring, path, strlen(path), out_error);
  tokenstore_keyring_free(keyring);
  return written;
}

static const char* outcome_of(tokenstore_store* store, const char* text, size_t size, tokenstore_verdict* verdict) {
  const tokenstore_demand demand = {.struct_size = sizeof demand, .scope = "notes:read", .scope_size = 10};
  verdict->struct_size = sizeof *verdict;
  tokenstore_validate(store, text, size, &demand, verdict, NULL);
  return tokenstore_outcome_name(verdict->outcome);
}

int main(int count, char** arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: first DIRECTORY KEY_FILE\n");
    return 2;
  }
  const char* key_file = arguments[2];
  tokenstore_error* error = NULL;
  FILE* known = fopen(key_file, "rb");
  if (known != NULL) {
    fclose(known);
  } else if (make_key_file(key_file, &error) != TOKENSTORE_OK) {
    return failed(error);
  }

  const tokenstore_open_options options = {
      .struct_size = sizeof options, .key_file = key_file, .key_file_size = strlen(key_file)};
  tokenstore_store* store;
  if (lmdb_tokenstore_open(arguments[1], &options, &store, &error) != TOKENSTORE_OK) return failed(error);

  const tokenstore_actor host = {.struct_size = sizeof host, .kind = TOKENSTORE_ACTOR_HOST};
  const tokenstore_issue_request request = {
      .struct_size = sizeof request, .owner = "alice", .owner_size = 5, .scopes = "notes:read", .scopes_size = 10};
  char text[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  size_t size;
  int32_t done = tokenstore_issue(store, &host, &request, text, sizeof text, &size, NULL, &error);
  if (done == TOKENSTORE_OK) {
    tokenstore_verdict verdict;
    printf("read:    %s\n", outcome_of(store, text, size, &verdict));
    done = tokenstore_revoke(store, &host, verdict.id, verdict.id_size, NULL, 0, NULL, &error);
    if (done == TOKENSTORE_OK) printf("revoked: %s\n", outcome_of(store, text, size, &verdict));
  }
  tokenstore_counts counts = {.struct_size = sizeof counts};
  if (done == TOKENSTORE_OK) done = tokenstore_count(store, &host, NULL, 0, &counts, &error);
  if (done == TOKENSTORE_OK) printf("stored:  %llu revoked\n", (unsigned long long)counts.revoked);
  tokenstore_free(store);
  return done == TOKENSTORE_OK ? 0 : failed(error);
}
