package tokenstore

/*
#include "for_tests.h"
#include "shim.h"
*/
import "C"

import (
	"strings"
	"sync"
	"time"
	"unsafe"

	"tokenstore.example/tokenstore/internal/fortests"
)

// fortestsState is what a store of package tokenstoretest has besides.
type fortestsState struct {
	mutex    sync.Mutex
	controls *C.tokenstore_go_controls // nil when the store has been closed
}

func (f *fortestsState) free() {
	if f != nil {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		C.free(unsafe.Pointer(f.controls))
		f.controls = nil
	}
}

// whileOpen uses the controls of a store that is open, or closing: that may be what waits.
func (f *fortestsState) whileOpen(use func()) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.controls != nil {
		use()
	}
}

func (f *fortestsState) Now() (now time.Time) {
	f.whileOpen(func() { now = moment(C.tokenstore_go_controls_now(f.controls)) })
	return now
}

func (f *fortestsState) Advance(by time.Duration) {
	f.whileOpen(func() { C.tokenstore_go_controls_advance(f.controls, C.int64_t(by.Milliseconds())) })
}

func (f *fortestsState) SetMode(mode fortests.Mode) {
	f.whileOpen(func() { C.tokenstore_go_controls_set_mode(f.controls, C.int32_t(mode)) })
}

func init() {
	fortests.ValidateOften = func(store any, texts []string, times int) int {
		var a arena
		defer a.free()
		all, _ := a.text(strings.Join(texts, ""))
		return int(C.tokenstore_go_validate_often(store.(*Store).handle, all, C.size_t(len(texts[0])), C.size_t(len(texts)), C.int64_t(times)))
	}
	fortests.LeakFound = func() bool { return C.tokenstore_go_leak_found() != 0 }
	fortests.Open = func(options any, now time.Time) (any, fortests.Controls, error) {
		controls := C.tokenstore_go_controls_new(instant(now))
		if controls == nil {
			return nil, nil, ErrOutOfMemory
		}
		state := &fortestsState{controls: controls}
		all := append(append([]Option(nil), options.([]Option)...), func(s *settings) error {
			s.testing = state
			return nil
		})
		store, err := opened(all, func(s *settings, out **C.tokenstore_store, object **C.tokenstore_error) C.int32_t {
			memory := (*C.tokenstore_open_options)(s.arena.allocate(int(C.sizeof_tokenstore_open_options)))
			*memory = s.options
			return C.tokenstore_go_open_for_tests(memory, controls, out, object)
		})
		if err != nil {
			return nil, nil, err
		}
		return store, state, nil
	}
}
