/* What most C tests need: a store in memory, actors, and the shortest way to a token. */
#ifndef TOKENSTORE_TESTS_HOST_H
#define TOKENSTORE_TESTS_HOST_H

#include <string.h>
#include <tokenstore.h>

#include "check.h"

typedef char token_text[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];

static inline tokenstore_actor host_actor(void) {
  tokenstore_actor actor = {.struct_size = sizeof actor, .kind = TOKENSTORE_ACTOR_HOST};
  return actor;
}

static inline tokenstore_actor named_actor(int32_t kind, const char* name) {
  tokenstore_actor actor = {.struct_size = sizeof actor, .kind = kind, .name = name, .name_size = strlen(name)};
  return actor;
}

static inline tokenstore_open_options memory_options(void) {
  tokenstore_open_options options = {.struct_size = sizeof options, .backend = TOKENSTORE_BACKEND_MEMORY};
  return options;
}

static inline tokenstore_store* open_in_memory(void) {
  tokenstore_open_options options = memory_options();
  tokenstore_store* store = NULL;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_open(&options, &store, NULL));
  return store;
}

static inline tokenstore_issue_request request_for(const char* owner, const char* scopes) {
  tokenstore_issue_request request = {.struct_size = sizeof request,
                                      .owner = owner,
                                      .owner_size = strlen(owner),
                                      .scopes = scopes,
                                      .scopes_size = strlen(scopes)};
  return request;
}

/* Issues as the host; returns the size of the text, and the token's id if asked. */
static inline size_t issue_for(tokenstore_store* store, const char* owner, const char* scopes, char* text, char* id) {
  const tokenstore_actor host = host_actor();
  const tokenstore_issue_request request = request_for(owner, scopes);
  tokenstore_token* token = NULL;
  size_t size = 0;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_issue(store, &host, &request, text, sizeof(token_text), &size, &token, NULL));
  tokenstore_token_info info = {.struct_size = sizeof info};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_token_read(token, &info, NULL));
  if (id != NULL && info.id != NULL) memcpy(id, info.id, TOKENSTORE_ID_SIZE);
  tokenstore_token_free(token);
  return size;
}

static inline tokenstore_demand demand_of(const char* scope) {
  tokenstore_demand demand = {.struct_size = sizeof demand, .scope = scope, .scope_size = strlen(scope)};
  return demand;
}

/* The reason of a verdict; TOKENSTORE_REASON_NONE if it is valid. */
static inline int32_t reason_for(tokenstore_store* store, const char* text, size_t size, const char* scope) {
  const tokenstore_demand demand = demand_of(scope);
  static tokenstore_verdict verdict;
  verdict.struct_size = sizeof verdict;
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_validate(store, text, size, &demand, &verdict, NULL));
  CHECK((verdict.outcome == TOKENSTORE_OUTCOME_VALID) == (verdict.reason == TOKENSTORE_REASON_NONE));
  return verdict.reason;
}

static inline tokenstore_counts counts_of(tokenstore_store* store) {
  const tokenstore_actor host = host_actor();
  tokenstore_counts counts = {.struct_size = sizeof counts};
  CHECK_STATUS(TOKENSTORE_OK, tokenstore_count(store, &host, NULL, 0, &counts, NULL));
  return counts;
}

#endif
