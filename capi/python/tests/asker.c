/* A host in C for test_processes.py: reads "issue OWNER", "validate TEXT" and "revoke ID", and answers each in a line.
 */
#include <stdio.h>
#include <string.h>
#include <tokenstore.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  tokenstore_open_options options = {.struct_size = sizeof options, .path = argv[1], .path_size = strlen(argv[1])};
  tokenstore_store* store;
  if (tokenstore_open(&options, &store, NULL) != TOKENSTORE_OK) return 1;
  const tokenstore_actor host = {.struct_size = sizeof host, .kind = TOKENSTORE_ACTOR_HOST};
  char verb[16];
  char what[128];
  while (scanf("%15s %127s", verb, what) == 2) {
    if (verb[0] == 'i') {
      const tokenstore_issue_request request = {
          .struct_size = sizeof request, .owner = what, .owner_size = strlen(what), .scopes = "read", .scopes_size = 4};
      char text[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
      size_t size;
      tokenstore_token* token;
      tokenstore_token_info info = {.struct_size = sizeof info};
      if (tokenstore_issue(store, &host, &request, text, sizeof text, &size, &token, NULL) != TOKENSTORE_OK) return 1;
      if (tokenstore_token_read(token, &info, NULL) != TOKENSTORE_OK) return 1;
      printf("%s %s\n", info.id, text);
      tokenstore_token_free(token);
    } else if (verb[0] == 'r') {
      if (tokenstore_revoke(store, &host, what, strlen(what), NULL, 0, NULL, NULL) != TOKENSTORE_OK) return 1;
      printf("revoked\n");
    } else {
      const tokenstore_demand demand = {.struct_size = sizeof demand, .scope = "read", .scope_size = 4};
      tokenstore_verdict verdict;
      verdict.struct_size = sizeof verdict;
      tokenstore_validate(store, what, strlen(what), &demand, &verdict, NULL);
      printf("%s\n", tokenstore_outcome_name(verdict.outcome));
    }
    fflush(stdout);
  }
  tokenstore_free(store);
  return 0;
}
