/*
 * A whole host in C, without the HTTP around it: a service of notes that hands out tokens, asks about
 * them on every request, lists them and revokes them. Run it as `notes DATABASE`.
 */
#include <stdio.h>
#include <string.h>
#include <tokenstore.h>

/* Says what went wrong and frees the error: every call of the library ends here or with TOKENSTORE_OK. */
static int failed(const char* what, int32_t status, tokenstore_error* error) {
  fprintf(stderr, "%s: %s (%s)\n", what, tokenstore_error_message(error, NULL), tokenstore_status_name(status));
  tokenstore_error_free(error);
  return 0;
}

static tokenstore_store* open_store(const char* path) {
  tokenstore_open_options options = {.struct_size = sizeof options};
  tokenstore_store* store = NULL;
  tokenstore_error* error = NULL;
  options.path = path;
  options.path_size = strlen(path);
  options.prefix = "notes";
  options.prefix_size = strlen(options.prefix);
  int32_t status = tokenstore_open(&options, &store, &error);
  if (status != TOKENSTORE_OK) {
    failed("cannot open the store", status, error);
    return NULL;
  }
  size_t size = 0;
  tokenstore_created_key_file(store, &size);
  if (size != 0) printf("a key file was created beside the database: back it up elsewhere\n");
  return store;
}

/* Issues a token for thirty days. A host decides who asks: here a user, for themselves. */
static int issue(tokenstore_store* store, const char* owner, const char* description, const char* scopes, char* text,
                 size_t text_buffer_size, size_t* text_size) {
  tokenstore_actor user = {
      .struct_size = sizeof user, .kind = TOKENSTORE_ACTOR_USER, .name = owner, .name_size = strlen(owner)};
  tokenstore_issue_request request = {.struct_size = sizeof request,
                                      .owner = owner,
                                      .owner_size = strlen(owner),
                                      .description = description,
                                      .description_size = strlen(description),
                                      .scopes = scopes,
                                      .scopes_size = strlen(scopes),
                                      .lifetime_ms = INT64_C(30) * 24 * 60 * 60 * 1000};
  tokenstore_error* error = NULL;
  int32_t status = tokenstore_issue(store, &user, &request, text, text_buffer_size, text_size, NULL, &error);
  return status == TOKENSTORE_OK ? 1 : failed("cannot issue", status, error);
}

/* What a server does with each request: 1 and the owner's name, or 0 and the HTTP status to answer with. */
static int allowed(tokenstore_store* store, const char* bearer, size_t bearer_size, const char* scope,
                   tokenstore_verdict* verdict) {
  tokenstore_demand demand = {.struct_size = sizeof demand,
                              .scope = scope,
                              .scope_size = strlen(scope),
                              .client_address = "192.0.2.7",
                              .client_address_size = strlen("192.0.2.7")};
  verdict->struct_size = sizeof *verdict;
  tokenstore_validate(store, bearer, bearer_size, &demand, verdict, NULL);
  if (verdict->outcome == TOKENSTORE_OUTCOME_VALID) {
    printf("%-11s 200, for %s\n", scope, verdict->owner);
    return 1;
  }
  /* The reason is for the audit log; the client is told the number alone. */
  printf("%-11s %d, audit: %s\n", scope, (int)verdict->http_status, tokenstore_reason_name(verdict->reason));
  return 0;
}

static int print_tokens(tokenstore_store* store, const char* owner) {
  tokenstore_actor user = {
      .struct_size = sizeof user, .kind = TOKENSTORE_ACTOR_USER, .name = owner, .name_size = strlen(owner)};
  tokenstore_list_query query = {.struct_size = sizeof query, .limit = 2};
  tokenstore_page* page = NULL;
  tokenstore_error* error = NULL;
  char cursor[256];
  printf("tokens of %s:\n", owner);
  do {
    int32_t status = tokenstore_list(store, &user, &query, &page, &error);
    if (status != TOKENSTORE_OK) return failed("cannot list", status, error);
    for (size_t i = 0; i < tokenstore_page_count(page); ++i) {
      tokenstore_token_info info = {.struct_size = sizeof info};
      status = tokenstore_page_token(page, i, &info, &error);
      if (status != TOKENSTORE_OK) {
        tokenstore_page_free(page);
        return failed("cannot read", status, error);
      }
      printf("  %-8s %-8s %s\n", info.description, tokenstore_state_name(info.state), info.scopes);
    }
    /* The cursor lives in the page: copy it before the page is freed. */
    const char* next = tokenstore_page_next(page, &query.cursor_size);
    if (query.cursor_size > sizeof cursor) query.cursor_size = 0;
    memcpy(cursor, next, query.cursor_size);
    query.cursor = cursor;
    tokenstore_page_free(page);
  } while (query.cursor_size != 0);
  return 1;
}

static int run(tokenstore_store* store) {
  tokenstore_verdict verdict;
  tokenstore_error* error = NULL;
  char laptop[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  char robot[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  size_t laptop_size = 0;
  size_t robot_size = 0;

  if (!issue(store, "alice", "laptop", "notes:read notes:write", laptop, sizeof laptop, &laptop_size)) return 0;
  if (!issue(store, "alice", "robot", "notes:read", robot, sizeof robot, &robot_size)) return 0;

  if (!allowed(store, laptop, laptop_size, "notes:write", &verdict)) return 0;
  if (allowed(store, robot, robot_size, "notes:write", &verdict)) return 0;
  if (!allowed(store, robot, robot_size, "notes:read", &verdict)) return 0;

  /* The verdict names the token: no one needs its text to revoke it. */
  tokenstore_actor alice = {
      .struct_size = sizeof alice, .kind = TOKENSTORE_ACTOR_USER, .name = "alice", .name_size = strlen("alice")};
  int32_t status =
      tokenstore_revoke(store, &alice, verdict.id, verdict.id_size, TOKENSTORE_LITERAL("robot was lost"), NULL, &error);
  if (status != TOKENSTORE_OK) return failed("cannot revoke", status, error);
  if (allowed(store, robot, robot_size, "notes:read", &verdict)) return 0;
  return print_tokens(store, "alice");
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: notes DATABASE\n");
    return 2;
  }
  tokenstore_store* store = open_store(argv[1]);
  if (store == NULL) return 1;
  int good = run(store);
  tokenstore_free(store);
  return good ? 0 : 1;
}
