#include "pulse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int pulse_open(pulse* out_pulse, const char* directory, int read_only) {
  char path[4096];
  out_pulse->word = NULL;
  if ((size_t)snprintf(path, sizeof path, "%s/pulse", directory) >= sizeof path) return ENAMETOOLONG;
  const int file = open(path, read_only ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return read_only && errno == ENOENT ? 0 : errno;
  struct stat status;
  int problem = fstat(file, &status) == 0 ? 0 : errno;
  const size_t size = sizeof *out_pulse->word;
  if (problem == 0 && (size_t)status.st_size < size) {
    if (read_only) {
      close(file);
      return 0;
    }
    /* Zeroes. If another process does the same at the same time, it is the same. */
    problem = ftruncate(file, (off_t)size) == 0 ? 0 : errno;
  }
  if (problem == 0) {
    void* memory = mmap(NULL, size, read_only ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) {
      problem = errno;
    } else {
      out_pulse->word = memory;
    }
  }
  close(file);
  return problem;
}

void pulse_close(pulse* it) {
  if (it->word != NULL) munmap((void*)it->word, sizeof *it->word);
  it->word = NULL;
}

tokenstore_pulse pulse_read(const pulse* it) {
  tokenstore_pulse answer = {.counter = 0, .trusted_until = INT64_MIN};
  if (it->word == NULL) return answer;
  answer.counter = atomic_load(it->word);
  if (answer.counter % 2 == 0) answer.trusted_until = INT64_MAX;
  return answer;
}

void pulse_begin(pulse* it) {
  atomic_fetch_or(it->word, 1);
}

void pulse_end(pulse* it) {
  /* In one step: the next writer may begin meanwhile, and a value that was there must never come back. */
  uint64_t seen = atomic_load(it->word);
  while (!atomic_compare_exchange_weak(it->word, &seen, (seen | 1) + 1)) {
  }
}
