/* Makes the n-th allocation of this program fail: see alloc_fault.c. */
#ifndef TOKENSTORE_TESTS_ALLOC_FAULT_H
#define TOKENSTORE_TESTS_ALLOC_FAULT_H

#include <stddef.h>

/* The `nth` allocation from now (1 is the next) fails, and if `onwards`, all after it; 0: none. */
void alloc_fail(size_t nth, int onwards);
/* Whether an allocation has failed since then. */
int alloc_failed(void);
/* Blocks that are allocated now. */
long alloc_live(void);

#endif
