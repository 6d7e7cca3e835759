// Package faults does in C what no Go program of ours may: the control of the run under AddressSanitizer.
package faults

/*
#include <stdlib.h>

static void lose(size_t size) { volatile char* memory = malloc(size); memory[0] = 1; }
static int read_freed(size_t size) {
  volatile char* memory = malloc(size);
  memory[0] = 1;
  free((void*)memory);
  return memory[0];
}
*/
import "C"

// Leak loses memory of C's.
func Leak() { C.lose(77) }

// ReadFreed reads memory of C's that has been freed.
func ReadFreed() int { return int(C.read_freed(77)) }
