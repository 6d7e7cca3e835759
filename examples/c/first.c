#include <stdio.h>
#include <tokenstore.h>

int main(void) {
  tokenstore_open_options options = {.struct_size = sizeof options, .path = "tokens.db", .path_size = 9};
  tokenstore_store* store; /* made at first use, with its key beside it: tokens.db.key */
  if (tokenstore_open(&options, &store, NULL) != TOKENSTORE_OK) return 1;

  tokenstore_actor host = {.struct_size = sizeof host, .kind = TOKENSTORE_ACTOR_HOST};
  tokenstore_issue_request request = {
      .struct_size = sizeof request, .owner = "alice", .owner_size = 5, .scopes = "notes:read", .scopes_size = 10};
  char text[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE]; /* hand it to alice now: it is kept nowhere */
  size_t size;
  if (tokenstore_issue(store, &host, &request, text, sizeof text, &size, NULL, NULL) != TOKENSTORE_OK) return 1;

  tokenstore_demand demand = {.struct_size = sizeof demand, .scope = "notes:read", .scope_size = 10};
  tokenstore_verdict verdict;
  verdict.struct_size = sizeof verdict;
  tokenstore_validate(store, text, size, &demand, &verdict, NULL);
  printf("read:    %s\n", tokenstore_outcome_name(verdict.outcome));

  if (tokenstore_revoke(store, &host, verdict.id, verdict.id_size, NULL, 0, NULL, NULL) != TOKENSTORE_OK) return 1;
  tokenstore_validate(store, text, size, &demand, &verdict, NULL);
  printf("revoked: %s\n", tokenstore_outcome_name(verdict.outcome));
  tokenstore_free(store);
}
