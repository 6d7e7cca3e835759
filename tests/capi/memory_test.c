/*
 * With the n-th allocation failing, for every n and every function: no crash, no leak, and a failed call has
 * changed nothing. The library is the one that is shipped.
 */
#include <stdlib.h>
#include <unistd.h>

#include "alloc_fault.h"
#include "every_call.h"
#include "host.h"

/* Those that make a database of SQLite's, whatever the store is on. */
static int makes_files(const every_call* call) {
  return strcmp(call->name, "tokenstore_backup") == 0 || strcmp(call->name, "tokenstore_verify_backup") == 0 ||
         strcmp(call->name, "tokenstore_restore") == 0 || strcmp(call->name, "tokenstore_copy") == 0;
}

/* What a call may answer when there is no memory. SQLite may say that it is unavailable, that a new file cannot be
 * opened, or, when it failed while it committed, that it is not known what happened. */
static int is_honest(const every_call* call, int32_t status) {
  if (status == TOKENSTORE_CANNOT_OPEN && makes_files(call)) return 1;
  return status == TOKENSTORE_OK || status == TOKENSTORE_OUT_OF_MEMORY || status == TOKENSTORE_UNAVAILABLE ||
         status == TOKENSTORE_UNKNOWN;
}

/* Those that work in more than one transaction say in the header that an error may leave them half done. */
static int in_steps(const every_call* call) {
  return strcmp(call->name, "tokenstore_revoke_all") == 0 || strcmp(call->name, "tokenstore_purge") == 0;
}

/* One call in a new world with one fault: 1 if an allocation failed, so that it is worth going on. */
static int run_with_fault(const every_call* call, const char* path, size_t nth, int onwards) {
  world w;
  world_state before;
  world_state after;
  const long blocks_before = alloc_live();
  if (path != NULL) remove(path);
  CHECK(world_make(&w, ".", path));
  CHECK(world_read(&w, &before));
  alloc_fail(nth, onwards);
  const int32_t status = call->run(&w);
  const int failed = alloc_failed();
  alloc_fail(0, 0);
  if (!is_honest(call, status)) fprintf(stderr, "%s, n = %zu: %s\n", call->name, nth, tokenstore_status_name(status));
  CHECK(is_honest(call, status));
  CHECK(failed || status == TOKENSTORE_OK);
  CHECK(world_read(&w, &after));
  if (status != TOKENSTORE_OK && status != TOKENSTORE_UNKNOWN && !in_steps(call)) {
    const int same = memcmp(&before, &after, sizeof before) == 0;
    if (!same)
      fprintf(stderr, "%s, n = %zu: said %s, but something changed\n", call->name, nth, tokenstore_status_name(status));
    CHECK(same);
    CHECK(w.opened_store == NULL);
  }
  world_free(&w);
  const long leaked = alloc_live() - blocks_before;
  if (leaked != 0) fprintf(stderr, "%s, n = %zu: %ld blocks are left\n", call->name, nth, leaked);
  CHECK(leaked == 0);
  return failed;
}

static size_t faults;

/* How many allocations of a call in SQLite fail one after the other. */
static size_t most_in_sqlite(void) {
  const char* most = getenv("TOKENSTORE_TEST_ALLOCATIONS");
  return most == NULL ? 60 : strtoul(most, NULL, 10);
}

/* `most` bounds n; beyond `dense` only every seventh n is tried. */
static void fail_everywhere(const char* path, size_t dense, size_t most, int onwards) {
  for (size_t i = 0; i < every_calls_count; ++i) {
    world warm; /* what is allocated once and kept, by whichever library */
    if (path != NULL) remove(path);
    CHECK(world_make(&warm, ".", path));
    CHECK_STATUS(TOKENSTORE_OK, every_calls[i].run(&warm));
    world_free(&warm);
    const int as_in_sqlite = makes_files(&every_calls[i]);
    const size_t last = as_in_sqlite ? most_in_sqlite() : most;
    const size_t sparse = as_in_sqlite ? 12 : dense;
    for (size_t n = 1; n <= last && check_failures < 20; n += n < sparse ? 1 : 7) {
      if (!run_with_fault(&every_calls[i], path, n, onwards)) break;
      ++faults;
    }
  }
}

static void in_memory(void) {
  fail_everywhere(NULL, 10000, 10000, 0);
  fail_everywhere(NULL, 10000, 10000, 1);
  printf("%zu faults in memory\n", faults);
  CHECK(faults > 300); /* a fault that never strikes would prove nothing */
}

static void in_sqlite(void) {
  char path[64];
  /* Nothing here is about what survives, and a disk would make it slow. */
  snprintf(path, sizeof path, "%s/tokenstore-world-%ld.db", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ".",
           (long)getpid());
  faults = 0;
  fail_everywhere(path, 12, most_in_sqlite(), 0);
  remove(path);
  printf("%zu faults in SQLite\n", faults);
  CHECK(faults > 100);
}

static void control(void) {
  const long before = alloc_live();
  char* volatile block = malloc(10);
  CHECK(alloc_live() == before + 1);
  free(block);
  alloc_fail(2, 0);
  char* volatile first = malloc(10);
  char* volatile second = malloc(10);
  char* volatile third = malloc(10);
  CHECK(first != NULL && second == NULL && third != NULL && alloc_failed());
  free(first);
  free(third);
  alloc_fail(1, 0);
  tokenstore_keyring* keyring = NULL;
  CHECK_STATUS(TOKENSTORE_OUT_OF_MEMORY, tokenstore_keyring_generate(&keyring, NULL));
  CHECK(keyring == NULL && alloc_failed());
  alloc_fail(0, 0);
  CHECK(alloc_live() == before);
}

static const check_case cases[] = {
    {"the fault strikes, inside the library too, and a block that is left is seen", control},
    {"without memory, no function crashes, leaks or half-changes a store in memory", in_memory},
    {"without memory, no function crashes, leaks or half-changes a store in SQLite", in_sqlite},
};
CHECK_MAIN(cases)
