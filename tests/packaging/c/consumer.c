/* A C program that knows only what is installed: opens a store, and asks it about a token. */
#include <stdio.h>
#include <string.h>
#include <tokenstore.h>

int main(void) {
  tokenstore_open_options options;
  tokenstore_issue_request request;
  tokenstore_actor host;
  tokenstore_demand demand;
  tokenstore_verdict verdict;
  tokenstore_store* store = NULL;
  char text[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  size_t size = 0;

  memset(&options, 0, sizeof options);
  options.struct_size = sizeof options;
  options.path = "consumer.db";
  options.path_size = strlen(options.path);
  if (tokenstore_open(&options, &store, NULL) != TOKENSTORE_OK) return 1;

  memset(&host, 0, sizeof host);
  host.struct_size = sizeof host;
  host.kind = TOKENSTORE_ACTOR_HOST;
  memset(&request, 0, sizeof request);
  request.struct_size = sizeof request;
  request.owner = "alice";
  request.owner_size = 5;
  request.scopes = "read";
  request.scopes_size = 4;
  if (tokenstore_issue(store, &host, &request, text, sizeof text, &size, NULL, NULL) != TOKENSTORE_OK) return 1;

  memset(&demand, 0, sizeof demand);
  demand.struct_size = sizeof demand;
  demand.scope = "read";
  demand.scope_size = 4;
  verdict.struct_size = sizeof verdict;
  if (tokenstore_validate(store, text, size, &demand, &verdict, NULL) != TOKENSTORE_OK) return 1;
  if (verdict.outcome != TOKENSTORE_OUTCOME_VALID || strcmp(verdict.owner, "alice") != 0) return 1;

  tokenstore_free(store);
  printf("consumer ok, %s\n", tokenstore_version());
  return 0;
}
