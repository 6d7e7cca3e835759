/* Numbers and texts in the bytes of a key or a value. Numbers are big-endian, so that keys sort as the numbers do. */
#ifndef BYTES_H
#define BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct writer {
  uint8_t* at;
  uint8_t* end;
  int overflow; /* something did not fit; nothing was written since */
} writer;

static inline void write_bytes(writer* to, const void* bytes, size_t size) {
  if (to->overflow || size > (size_t)(to->end - to->at)) {
    to->overflow = 1;
    return;
  }
  if (size != 0) memcpy(to->at, bytes, size);
  to->at += size;
}

static inline void write_number(writer* to, uint64_t number, size_t size) {
  uint8_t bytes[8];
  for (size_t i = 0; i < size; ++i) bytes[i] = (uint8_t)(number >> (8 * (size - 1 - i)));
  write_bytes(to, bytes, size);
}

/* Times may lie before 1970: with the highest bit turned over they sort as times. */
static inline void write_time(writer* to, int64_t time) {
  write_number(to, (uint64_t)time ^ (UINT64_C(1) << 63), 8);
}

static inline void write_text(writer* to, const char* text, size_t size) {
  if (size > UINT16_MAX) to->overflow = 1;
  write_number(to, size, 2);
  write_bytes(to, text, size);
}

typedef struct reader {
  const uint8_t* at;
  const uint8_t* end;
  int damaged; /* there was less than was asked for; what is read since is zero */
} reader;

static inline const void* read_bytes(reader* from, size_t size) {
  if (from->damaged || size > (size_t)(from->end - from->at)) {
    from->damaged = 1;
    return NULL;
  }
  const uint8_t* bytes = from->at;
  from->at += size;
  return bytes;
}

static inline uint64_t read_number(reader* from, size_t size) {
  const uint8_t* bytes = read_bytes(from, size);
  uint64_t number = 0;
  for (size_t i = 0; bytes != NULL && i < size; ++i) number = number << 8 | bytes[i];
  return number;
}

static inline int64_t read_time(reader* from) {
  const uint64_t turned = read_number(from, 8) ^ (UINT64_C(1) << 63);
  int64_t time;
  memcpy(&time, &turned, sizeof time);
  return time;
}

/* Points into what is read. */
static inline void read_text(reader* from, const char** out_text, size_t* out_size) {
  const size_t size = (size_t)read_number(from, 2);
  *out_text = read_bytes(from, size);
  *out_size = *out_text != NULL ? size : 0;
}

#endif
