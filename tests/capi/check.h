/* Checks for C99 test programs: a failed one is reported and the program goes on, to fail at its end. */
#ifndef TOKENSTORE_TESTS_CHECK_H
#define TOKENSTORE_TESTS_CHECK_H

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static int check_failures = 0;

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      ++check_failures;                                                             \
      fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
    }                                                                               \
  } while (0)

/* Both are status codes; the failure shows their names. */
#define CHECK_STATUS(expected, call)                                                                                \
  do {                                                                                                              \
    const int32_t check_actual = (call);                                                                            \
    if (check_actual != (expected)) {                                                                               \
      ++check_failures;                                                                                             \
      fprintf(stderr, "%s:%d: %s is %s, not %s\n", __FILE__, __LINE__, #call, tokenstore_status_name(check_actual), \
              tokenstore_status_name(expected));                                                                    \
    }                                                                                                               \
  } while (0)

#define CHECK_TEXT(expected, actual, actual_size) \
  CHECK((actual_size) == strlen(expected) && strncmp((expected), (actual), (actual_size) + 1) == 0)

typedef struct check_case {
  const char* requirement;
  void (*run)(void);
} check_case;

/* Runs every case; the program's exit code. */
static inline int check_run(const check_case* cases, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const int before = check_failures;
    cases[i].run();
    printf("%s: %s\n", check_failures == before ? "ok" : "FAILED", cases[i].requirement);
  }
  return check_failures == 0 ? 0 : 1;
}

#define CHECK_MAIN(cases)                                        \
  int main(void) {                                               \
    return check_run(cases, sizeof(cases) / sizeof((cases)[0])); \
  }

#endif
