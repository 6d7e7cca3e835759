/* The least that a store can be opened on: a backend in C that holds its own record, one workspace, and nothing else.
 */
#ifndef TOKENSTORE_TESTS_SMALL_BACKEND_H
#define TOKENSTORE_TESTS_SMALL_BACKEND_H

#include <tokenstore_backend.h>

/* How often any of them was closed. */
extern int small_backends_closed;

/* The context that was made last. */
extern void* small_backend_last;

/* 0: no memory. Its context is freed by `close`. */
int small_backend_make(tokenstore_backend* out_backend);

#endif
