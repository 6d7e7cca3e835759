/* An exception thrown inside any exported function comes out as a status. */
#include <stdlib.h>

#include "every_call.h"
#include "hook.h"
#include "host.h"
#include "small_backend.h"

static void throw_in_every_call(int kind, int32_t expected) {
  for (size_t i = 0; i < every_calls_count; ++i) {
    const every_call* call = &every_calls[i];
    world w;
    world spare;
    CHECK(world_make(&w, ".", NULL));
    spare = w;
    small_backend_last = NULL;
    const int closed = small_backends_closed;
    hook_arm(kind);
    const int32_t status = call->run(&w);
    const int guards = hook_calls();
    hook_arm(HOOK_OFF);
    if (guards != 1) {
      fprintf(stderr, "%s went through %d guards\n", call->name, guards);
      CHECK(guards == 1);
    }
    if (call->kind == CALL_STATUS) {
      if (status != expected) fprintf(stderr, "%s answered %s\n", call->name, tokenstore_status_name(status));
      CHECK(status == expected);
      CHECK(w.last_error != NULL && tokenstore_error_message(w.last_error, NULL)[0] != '\0');
      CHECK(strstr(tokenstore_error_message(w.last_error, NULL), "thrown by a test") == NULL);
    }
    if (call->kind == CALL_RELEASE) { /* freed nothing, as the exception came first */
      spare.last_error = w.last_error;
      w = spare;
    }
    world_free(&w);
    CHECK(small_backends_closed == closed);
    free(small_backend_last); /* the exception came before the library had taken it */
  }
}

static void bad_alloc(void) {
  throw_in_every_call(HOOK_BAD_ALLOC, TOKENSTORE_OUT_OF_MEMORY);
}
static void exception(void) {
  throw_in_every_call(HOOK_EXCEPTION, TOKENSTORE_INTERNAL);
}
static void anything(void) {
  throw_in_every_call(HOOK_OTHER, TOKENSTORE_INTERNAL);
}

static void fallbacks(void) {
  hook_arm(HOOK_EXCEPTION);
  size_t size = 7;
  CHECK(strcmp(tokenstore_version(), "unrecognised") == 0);
  CHECK(tokenstore_version_number() == 0);
  CHECK(strcmp(tokenstore_status_name(TOKENSTORE_OK), "unrecognised") == 0);
  CHECK(strcmp(tokenstore_error_message(NULL, &size), "") == 0 && size == 0);
  CHECK(tokenstore_page_count(NULL) == 0);
  hook_arm(HOOK_OFF);
}

static const check_case cases[] = {
    {"std::bad_alloc inside any function is out_of_memory", bad_alloc},
    {"any other exception inside any function is internal, and its text stays inside", exception},
    {"what is thrown need not be an exception", anything},
    {"functions that answer no status have an answer that is safe", fallbacks},
};
CHECK_MAIN(cases)
