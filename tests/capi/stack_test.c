/* What each function needs of its caller's stack: less than the 64 KiB that the header names. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "every_call.h"
#include "host.h"
#include "small_backend.h"

enum { stack_size = 64 * 1024, guard_size = 64 * 1024, paint = 0xA5 };

typedef struct task {
  const every_call* call;
  world* w;
  int32_t status;
} task;

static void* run_call(void* given) {
  task* todo = given;
  todo->status = todo->call->run(todo->w);
  return NULL;
}

/* Runs it on a thread with a stack of that size, below which nothing can be written; how much of it was used. */
static size_t on_small_stack(void* (*run)(void*), void* given) {
  unsigned char* place =
      mmap(NULL, guard_size + stack_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  unsigned char* stack = place + guard_size;
  pthread_attr_t attributes;
  pthread_t thread;
  if (place == MAP_FAILED || mprotect(stack, stack_size, PROT_READ | PROT_WRITE) != 0) return 0;
  memset(stack, paint, stack_size);
  CHECK(pthread_attr_init(&attributes) == 0);
  CHECK(pthread_attr_setstack(&attributes, stack, stack_size) == 0);
  CHECK(pthread_create(&thread, &attributes, run, given) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(pthread_attr_destroy(&attributes) == 0);
  size_t untouched = 0;
  while (untouched < stack_size && stack[untouched] == paint) ++untouched;
  CHECK(munmap(place, guard_size + stack_size) == 0);
  return stack_size - untouched;
}

static void every_function(int on_file) {
  size_t most = 0;
  const char* hungriest = "";
  for (size_t i = 0; i < every_calls_count; ++i) {
    char path[64];
    world w;
    snprintf(path, sizeof path, "%ld-%zu.db", (long)getpid(), i);
    CHECK(world_make(&w, ".", on_file ? path : NULL));
    small_backend_last = NULL;
    task todo = {.call = &every_calls[i], .w = &w, .status = -1};
    const size_t used = on_small_stack(run_call, &todo);
    if (todo.status != TOKENSTORE_OK) fprintf(stderr, "%s answered %d\n", todo.call->name, (int)todo.status);
    CHECK(todo.status == TOKENSTORE_OK && used > 0);
    if (used > most) {
      most = used;
      hungriest = todo.call->name;
    }
    world_free(&w);
    static const char* const endings[] = {"", "-wal", "-shm", ".key"};
    for (size_t ending = 0; on_file && ending < sizeof endings / sizeof endings[0]; ++ending) {
      char file[80];
      snprintf(file, sizeof file, "%s%s", path, endings[ending]);
      (void)unlink(file);
    }
  }
  printf("%s: at most %zu bytes, in %s\n", on_file ? "SQLite" : "memory", most, hungriest);
}

static void in_memory(void) {
  every_function(0);
}
static void on_file(void) {
  every_function(1);
}

static void* use_too_much(void* unused) {
  volatile char room[stack_size];
  (void)unused;
  for (size_t i = sizeof room; i > 0; --i) room[i - 1] = 1;
  return NULL;
}

/* Threads of the thread library and of the system need some of it, too. */
static void control(void) {
  const pid_t child = fork();
  if (child == 0) {
    (void)on_small_stack(use_too_much, NULL);
    _exit(0);
  }
  int ended = 0;
  CHECK(child > 0 && waitpid(child, &ended, 0) == child);
  CHECK(WIFSIGNALED(ended) || (WIFEXITED(ended) && WEXITSTATUS(ended) != 0));
}

static const check_case cases[] = {
    {"each function runs on a stack of 64 KiB, in memory", in_memory},
    {"each function runs on a stack of 64 KiB, on SQLite", on_file},
    {"the control: what needs more does not", control},
};
CHECK_MAIN(cases)
