/* What package tokenstoretest opens stores on: storage in memory that fails, waits or loses its reply when it is told
 * to, and a clock that stands still. */
#ifndef TOKENSTORE_GO_FOR_TESTS_H
#define TOKENSTORE_GO_FOR_TESTS_H

#include "tokenstore_backend.h"

enum { TOKENSTORE_GO_WORKS = 0, TOKENSTORE_GO_FAILS = 1, TOKENSTORE_GO_WAITS = 2, TOKENSTORE_GO_LOSES_REPLIES = 3 };

/* Read by any thread while another one changes it; lives until the store has been closed. */
typedef struct tokenstore_go_controls {
  int32_t mode;
  int64_t wall;
  int64_t monotonic;
} tokenstore_go_controls;

tokenstore_go_controls* tokenstore_go_controls_new(int64_t wall);
void tokenstore_go_controls_set_mode(tokenstore_go_controls* controls, int32_t mode);
void tokenstore_go_controls_advance(tokenstore_go_controls* controls, int64_t milliseconds);
int64_t tokenstore_go_controls_now(tokenstore_go_controls* controls);

/* Validates the texts in turn, so often, without leaving C: what one call costs by itself. Answers how often it was
 * valid. */
int64_t tokenstore_go_validate_often(tokenstore_store* store, const char* texts, size_t text_size, size_t count,
                                     int64_t times);

/* Under g++'s AddressSanitizer, whether memory has been lost so far; else 0. */
int32_t tokenstore_go_leak_found(void);

/* Opens a store on such storage, with a key of its own if the options have none. */
int32_t tokenstore_go_open_for_tests(const tokenstore_open_options* options, tokenstore_go_controls* controls,
                                     tokenstore_store** out_store, tokenstore_error** out_error);

#endif
