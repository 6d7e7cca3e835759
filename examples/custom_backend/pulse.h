/* The pulse: a word in memory that every process on a directory shares.
 *
 * It is even while nobody commits, and differs after each commit. While somebody commits it is odd, and not to be
 * trusted. If that process dies in the middle it stays odd: nobody remembers anything, and so nobody is wrong, until
 * the next commit, or the next that opens the directory, makes it even again.
 *
 * LMDB has a number of its own that grows with each commit, in mdb_env_info. It is of no use here: it is read without
 * the lock that orders it with the data, and may run ahead of what a reader sees that begins at that moment. */
#ifndef PULSE_H
#define PULSE_H

#include <stdatomic.h>
#include <stdint.h>
#include <tokenstore_backend.h>

typedef struct pulse {
  _Atomic uint64_t* word; /* NULL: there is none, and nothing is ever trusted */
} pulse;

/* 0, or an errno. A reader that may not write is content with what is there, or with nothing. */
int pulse_open(pulse* out_pulse, const char* directory, int read_only);
void pulse_close(pulse* it);

/* Any thread, at any time. */
tokenstore_pulse pulse_read(const pulse* it);

/* Around what makes a commit visible. The caller holds LMDB's lock for writers. */
void pulse_begin(pulse* it);
void pulse_end(pulse* it);

#endif
