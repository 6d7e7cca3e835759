/*
 * A server in C that opens its store and then forks workers, as many servers do. It reads lines from standard input and
 * answers each with a line:
 *
 *     WORKER validate TEXT    "valid", or the reason
 *     WORKER issue OWNER      the text and the id of a new token
 *     WORKER revoke ID        "ok", or the error
 *
 * Worker 0 is the process that forked the others.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <tokenstore.h>
#include <unistd.h>

enum { WORKERS = 4 };

typedef struct worker {
  pid_t pid;
  FILE* asks;
  FILE* answers;
} worker;

static void fail(const char* what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

/* An error's own line, which holds no secret. */
static void say_error(FILE* out, tokenstore_error* error) {
  fprintf(out, "%s\n", tokenstore_error_message(error, NULL));
  tokenstore_error_free(error);
}

static void validate(tokenstore_store* store, const char* text, FILE* out) {
  const tokenstore_demand demand = {.struct_size = sizeof demand, .scope = "read", .scope_size = 4};
  tokenstore_verdict verdict;
  tokenstore_error* error = NULL;
  verdict.struct_size = sizeof verdict;
  if (tokenstore_validate(store, text, strlen(text), &demand, &verdict, &error) != TOKENSTORE_OK) {
    say_error(out, error);
  } else if (verdict.outcome == TOKENSTORE_OUTCOME_VALID) {
    fputs("valid\n", out);
  } else {
    fprintf(out, "%s\n", tokenstore_reason_name(verdict.reason));
  }
}

static void issue(tokenstore_store* store, const char* owner, FILE* out) {
  const tokenstore_actor host = {.struct_size = sizeof host, .kind = TOKENSTORE_ACTOR_HOST};
  const tokenstore_issue_request request = {
      .struct_size = sizeof request, .owner = owner, .owner_size = strlen(owner), .scopes = "read", .scopes_size = 4};
  char text[TOKENSTORE_TOKEN_TEXT_BUFFER_SIZE];
  size_t size = 0;
  tokenstore_token* token = NULL;
  tokenstore_token_info info = {.struct_size = sizeof info};
  tokenstore_error* error = NULL;
  if (tokenstore_issue(store, &host, &request, text, sizeof text, &size, &token, &error) != TOKENSTORE_OK ||
      tokenstore_token_read(token, &info, &error) != TOKENSTORE_OK) {
    say_error(out, error);
  } else {
    fprintf(out, "%.*s %.*s\n", (int)size, text, (int)info.id_size, info.id);
  }
  tokenstore_token_free(token);
}

static void revoke(tokenstore_store* store, const char* id, FILE* out) {
  const tokenstore_actor host = {.struct_size = sizeof host, .kind = TOKENSTORE_ACTOR_HOST};
  tokenstore_error* error = NULL;
  if (tokenstore_revoke(store, &host, id, strlen(id), NULL, 0, NULL, &error) != TOKENSTORE_OK) {
    say_error(out, error);
  } else {
    fputs("ok\n", out);
  }
}

/* Answers "COMMAND ARGUMENT". */
static void answer(tokenstore_store* store, char* line, FILE* out) {
  char* argument = strchr(line, ' ');
  if (argument == NULL) fail("a command has no argument");
  *argument++ = '\0';
  if (strcmp(line, "validate") == 0) {
    validate(store, argument, out);
  } else if (strcmp(line, "issue") == 0) {
    issue(store, argument, out);
  } else if (strcmp(line, "revoke") == 0) {
    revoke(store, argument, out);
  } else {
    fail("no such command");
  }
  fflush(out);
}

static char* next_line(FILE* in, char* line, int room) {
  if (fgets(line, room, in) == NULL) return NULL;
  line[strcspn(line, "\n")] = '\0';
  return line;
}

static FILE* opened(int descriptor, const char* mode) {
  FILE* file = fdopen(descriptor, mode);
  if (file == NULL) fail("a pipe cannot be used");
  return file;
}

/* Forks the worker behind `count` others. */
static void start(tokenstore_store* store, worker* workers, int count) {
  int asking[2];
  int answering[2];
  if (pipe(asking) != 0 || pipe(answering) != 0) fail("there is no pipe");
  workers[count].pid = fork();
  if (workers[count].pid < 0) fail("it cannot fork");
  if (workers[count].pid == 0) {
    char line[512];
    /* Or the others would wait for ever for the end of their pipes. */
    for (int i = 0; i < count; i++) {
      fclose(workers[i].asks);
      fclose(workers[i].answers);
    }
    close(asking[1]);
    close(answering[0]);
    FILE* in = opened(asking[0], "r");
    FILE* out = opened(answering[1], "w");
    while (next_line(in, line, sizeof line) != NULL) answer(store, line, out);
    fclose(in);
    fclose(out);
    tokenstore_free(store);
    _exit(0);
  }
  close(asking[0]);
  close(answering[1]);
  workers[count].asks = opened(asking[1], "w");
  workers[count].answers = opened(answering[0], "r");
}

int main(int count, char** arguments) {
  if (count != 2) fail("say where the database is");
  const tokenstore_open_options options = {
      .struct_size = sizeof options, .path = arguments[1], .path_size = strlen(arguments[1])};
  tokenstore_store* store = NULL;
  tokenstore_error* error = NULL;
  if (tokenstore_open(&options, &store, &error) != TOKENSTORE_OK) fail(tokenstore_error_message(error, NULL));
  worker workers[WORKERS];
  for (int i = 0; i < WORKERS; i++) start(store, workers, i);
  puts("open");
  fflush(stdout);

  char line[512];
  while (next_line(stdin, line, sizeof line) != NULL) {
    char* command = NULL;
    const long number = strtol(line, &command, 10);
    if (*command != ' ' || number < 0 || number > WORKERS) fail("no such worker");
    if (number == 0) {
      answer(store, command + 1, stdout);
    } else {
      worker* asked = &workers[number - 1];
      fprintf(asked->asks, "%s\n", command + 1);
      fflush(asked->asks);
      if (next_line(asked->answers, line, sizeof line) == NULL) fail("a worker has gone");
      puts(line);
      fflush(stdout);
    }
  }
  for (int i = 0; i < WORKERS; i++) {
    int status = 0;
    fclose(workers[i].asks);
    fclose(workers[i].answers);
    if (waitpid(workers[i].pid, &status, 0) != workers[i].pid || status != 0) fail("a worker ended badly");
  }
  tokenstore_free(store);
  return 0;
}
