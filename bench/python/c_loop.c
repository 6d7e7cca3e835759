/* What Python is compared with: the same hot validation and the same open stores, through the C interface alone.
 *
 *     c_loop validate DATABASE TEXT   for each number on standard input so many calls; prints ns a call
 *     c_loop memory N                 opens N stores in memory, prints octets of resident memory a store
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tokenstore.h>
#include <unistd.h>

static tokenstore_store* opened(const char* path) {
  tokenstore_open_options options = {.struct_size = sizeof options, .cache_bytes = 1 << 20};
  if (path == NULL) {
    options.backend = TOKENSTORE_BACKEND_MEMORY;
  } else {
    options.path = path;
    options.path_size = strlen(path);
  }
  tokenstore_store* store = NULL;
  if (tokenstore_open(&options, &store, NULL) != TOKENSTORE_OK) exit(1);
  return store;
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* One round for each line of standard input, so that the rounds of others come between. */
static int validate(const char* path, const char* text) {
  tokenstore_store* store = opened(path);
  const tokenstore_demand demand = {.struct_size = sizeof demand, .scope = "notes:read", .scope_size = 10};
  tokenstore_verdict verdict;
  verdict.struct_size = sizeof verdict;
  const size_t size = strlen(text);
  char line[32];
  while (fgets(line, sizeof line, stdin) != NULL) {
    const long calls = strtol(line, NULL, 10);
    size_t owners = 0;
    const int64_t began = now();
    for (long i = 0; i < calls; ++i) {
      tokenstore_validate(store, text, size, &demand, &verdict, NULL);
      owners += verdict.owner_size;
    }
    const int64_t took = now() - began;
    if (owners != 5 * (size_t)calls) return 1; /* "alice" */
    printf("%.2f\n", (double)took / (double)calls);
    fflush(stdout);
  }
  tokenstore_free(store);
  return 0;
}

static long resident(void) {
  FILE* file = fopen("/proc/self/statm", "r");
  long pages = 0;
  if (file == NULL || fscanf(file, "%*s %ld", &pages) != 1) exit(1);
  fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

static int memory(long stores) {
  tokenstore_free(opened(NULL)); /* what is made once for all of them */
  const long before = resident();
  for (long i = 0; i < stores; ++i) opened(NULL);
  printf("%ld\n", (resident() - before) / stores);
  return 0;
}

int main(int count, char** arguments) {
  if (count == 4 && strcmp(arguments[1], "validate") == 0) return validate(arguments[2], arguments[3]);
  if (count == 3 && strcmp(arguments[1], "memory") == 0) return memory(strtol(arguments[2], NULL, 10));
  fprintf(stderr, "usage: c_loop validate DATABASE TEXT | c_loop memory STORES\n");
  return 2;
}
