/*
 * The C library's allocator, with a fault: a program that links this file has these functions in place of the
 * C library's, and so do all libraries that it loads, operator new and SQLite among them. One thread.
 */
#include "alloc_fault.h"

#include <errno.h>

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* block, size_t size);
extern void* __libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void* block);

void* malloc(size_t size);
void* calloc(size_t count, size_t size);
void* realloc(void* block, size_t size);
void* memalign(size_t alignment, size_t size);
void* aligned_alloc(size_t alignment, size_t size);
int posix_memalign(void** out, size_t alignment, size_t size);
void free(void* block);

static size_t left;
static int all_after;
static int failed;
static long live;

void alloc_fail(size_t nth, int onwards) {
  left = nth;
  all_after = onwards;
  failed = 0;
}

int alloc_failed(void) {
  return failed;
}
long alloc_live(void) {
  return live;
}

static int fails(void) {
  if (left == 0) return 0;
  if (left > 1) {
    --left;
    return 0;
  }
  if (!all_after) left = 0;
  failed = 1;
  errno = ENOMEM;
  return 1;
}

static void* counted(void* block) {
  if (block != NULL) ++live;
  return block;
}

void* malloc(size_t size) {
  return fails() ? NULL : counted(__libc_malloc(size));
}
void* calloc(size_t count, size_t size) {
  return fails() ? NULL : counted(__libc_calloc(count, size));
}
void* realloc(void* block, size_t size) {
  if (fails()) return NULL;
  void* moved = __libc_realloc(block, size);
  if (block == NULL) return counted(moved);
  if (size == 0) --live;
  return moved;
}
void* memalign(size_t alignment, size_t size) {
  return fails() ? NULL : counted(__libc_memalign(alignment, size));
}
void* aligned_alloc(size_t alignment, size_t size) {
  return memalign(alignment, size);
}
int posix_memalign(void** out, size_t alignment, size_t size) {
  void* block = memalign(alignment, size);
  if (block == NULL) return ENOMEM;
  *out = block;
  return 0;
}
void free(void* block) {
  if (block == NULL) return;
  --live;
  __libc_free(block);
}
