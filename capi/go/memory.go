package tokenstore

/*
#include "shim.h"
*/
import "C"

import "unsafe"

// arena is memory of C's for the time of one call. All of it is wiped.
type arena struct {
	blocks []block
}

type block struct {
	memory unsafe.Pointer
	size   C.size_t
}

func (a *arena) allocate(size int) unsafe.Pointer {
	if size == 0 {
		size = 1
	}
	memory := C.calloc(1, C.size_t(size)) // ends the program without memory, as Go's own does
	a.blocks = append(a.blocks, block{memory, C.size_t(size)})
	return memory
}

func (a *arena) text(text string) (*C.char, C.size_t) {
	if text == "" {
		return nil, 0
	}
	memory := a.allocate(len(text))
	copy(unsafe.Slice((*byte)(memory), len(text)), text)
	return (*C.char)(memory), C.size_t(len(text))
}

func (a *arena) bytes(bytes []byte) (unsafe.Pointer, C.size_t) {
	if len(bytes) == 0 {
		return nil, 0
	}
	memory := a.allocate(len(bytes))
	copy(unsafe.Slice((*byte)(memory), len(bytes)), bytes)
	return memory, C.size_t(len(bytes))
}

func (a *arena) free() {
	for _, b := range a.blocks {
		C.tokenstore_go_free(b.memory, b.size)
	}
	a.blocks = nil
}

// given is where the bytes of a text are, for a call that does not keep them.
func given(text string) (*C.char, C.size_t) {
	if text == "" {
		return nil, 0
	}
	return (*C.char)(*(*unsafe.Pointer)(unsafe.Pointer(&text))), C.size_t(len(text))
}

func taken(text *C.char, size C.size_t) string {
	if text == nil || size == 0 {
		return ""
	}
	return string(unsafe.Slice((*byte)(unsafe.Pointer(text)), int(size)))
}

func takenBytes(text *C.char, size C.size_t) []byte {
	if text == nil || size == 0 {
		return nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(text)), int(size))...)
}

func flag(is bool) C.int32_t {
	if is {
		return 1
	}
	return 0
}
