/*
 * With the n-th allocation failing, for every n and every function: no crash, no leak, and a failed call has
 * changed nothing. The library is the one that is shipped.
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc_fault.h"
#include "every_call.h"
#include "host.h"

static int is_call(const every_call* call, const char* name) {
  return strcmp(call->name, name) == 0;
}

/* Those that make a database of SQLite's, whatever the store is on, at the world's place. */
static int makes_files(const every_call* call) {
  return is_call(call, "tokenstore_backup") || is_call(call, "tokenstore_restore") || is_call(call, "tokenstore_copy");
}

/* Those that read such a file as well. */
static int works_on_files(const every_call* call) {
  return makes_files(call) || is_call(call, "tokenstore_verify_backup");
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
  return is_call(call, "tokenstore_revoke_all") || is_call(call, "tokenstore_purge");
}

/* Whether there is a store in the database at the world's place, all of it genuine. */
static int holds_store(const world* w) {
  const tokenstore_actor host = host_actor();
  tokenstore_open_options options = {.struct_size = sizeof options};
  tokenstore_check_summary found = {.struct_size = sizeof found};
  tokenstore_store* store = NULL;
  tokenstore_check_report* report = NULL;
  options.backend = TOKENSTORE_BACKEND_SQLITE;
  options.path = w->place;
  options.path_size = strlen(w->place);
  options.key_file = w->key_file;
  options.key_file_size = strlen(w->key_file);
  options.must_exist = 1;
  options.workspace_must_exist = 1;
  const int good = tokenstore_open(&options, &store, NULL) == TOKENSTORE_OK &&
                   tokenstore_check(store, &host, NULL, NULL, &report, NULL) == TOKENSTORE_OK &&
                   tokenstore_check_report_read(report, &found, NULL) == TOKENSTORE_OK && found.problems == 0;
  tokenstore_check_report_free(report);
  tokenstore_free(store);
  return good;
}

/* Whether what a call has left at the world's place is nothing, or whole. */
static int is_whole(const every_call* call, const world* w) {
  const tokenstore_actor host = host_actor();
  tokenstore_copy_summary copied = {.struct_size = sizeof copied};
  if (access(w->place, F_OK) != 0) return 1;
  if (is_call(call, "tokenstore_backup")) {
    return tokenstore_verify_backup(w->place, strlen(w->place), w->keyring, NULL, NULL) == TOKENSTORE_OK;
  }
  /* A copy is made in steps, and goes on from where it was. */
  if (is_call(call, "tokenstore_copy") &&
      tokenstore_copy(w->store, &host, w->place, strlen(w->place), 0, NULL, NULL, &copied, NULL) != TOKENSTORE_OK) {
    return 0;
  }
  return holds_store(w);
}

/* Files that were being made beside one of this folder, and are left. */
static int unfinished_beside(const char* path) {
  const char* slash = strrchr(path, '/');
  const char* name = slash == NULL ? path : slash + 1;
  int found = 0;
  DIR* folder = opendir(".");
  if (folder == NULL) return 1;
  for (const struct dirent* entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    const size_t size = strlen(name);
    if (strncmp(entry->d_name, name, size) == 0 && strncmp(entry->d_name + size, ".new-", 5) == 0) ++found;
  }
  closedir(folder);
  return found;
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
  if (makes_files(call)) {
    const int whole = is_whole(call, &w);
    if (!whole) fprintf(stderr, "%s, n = %zu: half of a file is left\n", call->name, nth);
    CHECK(whole);
    CHECK(status != TOKENSTORE_OK || access(w.place, F_OK) == 0);
    CHECK(unfinished_beside(w.place) == 0);
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
    const int as_in_sqlite = works_on_files(&every_calls[i]);
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

/* Writes the first half of a file over it. */
static void halve(const char* path) {
  struct stat facts;
  CHECK(stat(path, &facts) == 0);
  CHECK(truncate(path, facts.st_size / 2) == 0);
}

static void control_of_files(void) {
  for (size_t i = 0; i < every_calls_count; ++i) {
    const every_call* call = &every_calls[i];
    world w;
    char beside[300];
    if (!makes_files(call)) continue;
    CHECK(world_make(&w, ".", NULL));
    CHECK_STATUS(TOKENSTORE_OK, call->run(&w));
    CHECK(access(w.place, F_OK) == 0);
    CHECK(is_whole(call, &w));
    halve(w.place);
    CHECK(!is_whole(call, &w));
    CHECK(unfinished_beside(w.place) == 0);
    snprintf(beside, sizeof beside, "%s.new-0123456789abcdef", w.place);
    FILE* file = fopen(beside, "w");
    CHECK(file != NULL && fclose(file) == 0);
    CHECK(unfinished_beside(w.place) == 1);
    CHECK(remove(beside) == 0);
    CHECK(remove(w.place) == 0);
    CHECK(is_whole(call, &w));
    world_free(&w);
  }
}

static const check_case cases[] = {
    {"the fault strikes, inside the library too, and a block that is left is seen", control},
    {"half a backup, restored store or copy is seen, and so is a file beside it", control_of_files},
    {"without memory, no function crashes, leaks or half-changes a store in memory", in_memory},
    {"without memory, no function crashes, leaks or half-changes a store in SQLite", in_sqlite},
};
CHECK_MAIN(cases)
