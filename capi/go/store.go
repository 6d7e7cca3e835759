package tokenstore

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

// Store is an open store. Close it in the end; one that is forgotten is closed when it is collected.
type Store struct {
	handle *C.tokenstore_store
	closed int32
	// Who is inside, counted in several places, so that processors do not take a line of memory from each other.
	inside    [lanes]lane
	left      chan struct{} // somebody left after closed was set
	freed     chan struct{}
	next      uint32
	workspace string
	prefix    string
	keyFile   string
	testing   *fortestsState
}

const lanes = 32

type lane struct {
	calls int64
	_     [56]byte
}

func newStore(handle *C.tokenstore_store) *Store {
	s := &Store{handle: handle, left: make(chan struct{}, 1), freed: make(chan struct{})}
	var size C.size_t
	s.workspace = taken(C.tokenstore_workspace(handle, &size), size)
	s.prefix = taken(C.tokenstore_prefix(handle, &size), size)
	s.keyFile = taken(C.tokenstore_created_key_file(handle, &size), size)
	runtime.SetFinalizer(s, func(s *Store) {
		// Writing out last uses may take its time, and other finalizers wait for this one.
		go func() { _ = s.Close() }()
	})
	return s
}

// Close writes out last uses and closes the store; every other change is durable already. Calls that are under way end
// first. Closing again does nothing.
func (s *Store) Close() error {
	if s == nil || s.handle == nil {
		return nil
	}
	if !atomic.CompareAndSwapInt32(&s.closed, 0, 1) {
		<-s.freed
		return nil
	}
	for !s.isEmpty() {
		<-s.left
	}
	runtime.SetFinalizer(s, nil)
	C.tokenstore_free(s.handle)
	s.testing.free()
	close(s.freed)
	return nil
}

func (s *Store) isEmpty() bool {
	for i := range s.inside {
		if atomic.LoadInt64(&s.inside[i].calls) != 0 {
			return false
		}
	}
	return true
}

// enter keeps the store open until leave is called with the same lane.
func (s *Store) enter(at uint32) error {
	if s == nil || s.handle == nil {
		return ErrClosed
	}
	atomic.AddInt64(&s.inside[at%lanes].calls, 1)
	if atomic.LoadInt32(&s.closed) != 0 {
		s.leave(at)
		return ErrClosed
	}
	return nil
}

func (s *Store) leave(at uint32) {
	atomic.AddInt64(&s.inside[at%lanes].calls, -1)
	if atomic.LoadInt32(&s.closed) != 0 {
		select {
		case s.left <- struct{}{}:
		default:
		}
	}
}

// effect says what an abandoned call may leave behind.
type effect bool

const (
	reads   effect = false
	changes effect = true
)

type result[T any] struct {
	value T
	err   error
}

// ask runs f, which may wait for storage. A context that ends leaves f to itself: it keeps the store open until it is
// done, and its result is dropped by drop, if there is one.
func ask[T any](ctx context.Context, s *Store, does effect, f func(*C.tokenstore_store) (T, error), drop func(T)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	at := uint32(0)
	if s != nil {
		at = atomic.AddUint32(&s.next, 1)
	}
	if err := s.enter(at); err != nil {
		return none, err
	}
	if ctx.Done() == nil {
		defer s.leave(at)
		return f(s.handle)
	}
	done := make(chan result[T], 1)
	var abandoned int32
	go func() {
		defer s.leave(at)
		value, err := f(s.handle)
		if !atomic.CompareAndSwapInt32(&abandoned, 0, 1) {
			if err == nil && drop != nil {
				drop(value)
			}
			return
		}
		done <- result[T]{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		if !atomic.CompareAndSwapInt32(&abandoned, 0, 1) {
			// It has just ended: what it did is known.
			r := <-done
			return r.value, r.err
		}
		return none, interrupted(does, ctx.Err())
	}
}

func interrupted(does effect, cause error) error {
	if does == reads {
		return cause
	}
	return &Error{Status: StatusUnknown, cause: cause,
		Message: "the context ended while storage was at work, so it may have happened; read to find out"}
}

// do is ask for what has no result.
func do(ctx context.Context, s *Store, does effect, f func(*C.tokenstore_store) error) error {
	_, err := ask(ctx, s, does, func(handle *C.tokenstore_store) (struct{}, error) { return struct{}{}, f(handle) }, nil)
	return err
}

// Workspace is the tenant that the store was opened for.
func (s *Store) Workspace() string { return s.workspace }

// Prefix is what the store's token texts begin with.
func (s *Store) Prefix() string { return s.prefix }

// CreatedKeyFile is the path of the key file if Open made it, else "". Tell the operator: without it the tokens are lost,
// with it and the database they can be forged.
func (s *Store) CreatedKeyFile() string { return s.keyFile }

// Now is the store's own time, which never goes back while it is open.
func (s *Store) Now() (time.Time, error) {
	return ask(context.Background(), s, reads, func(handle *C.tokenstore_store) (time.Time, error) {
		var now C.int64_t
		var object *C.tokenstore_error
		status := C.tokenstore_now(handle, &now, &object)
		return moment(now), failure(status, object)
	}, nil)
}

// ScannerPattern is a regular expression that finds this store's tokens in any text.
func (s *Store) ScannerPattern() (string, error) {
	return ask(context.Background(), s, reads, func(handle *C.tokenstore_store) (string, error) {
		var buffer [256]C.char
		var size C.size_t
		var object *C.tokenstore_error
		status := C.tokenstore_scanner_pattern(handle, &buffer[0], C.size_t(len(buffer)), &size, &object)
		if err := failure(status, object); err != nil {
			return "", err
		}
		return taken(&buffer[0], size), nil
	}, nil)
}

// Version is that of the library in use, as in "0.1.0".
func Version() string { return C.GoString(C.tokenstore_version()) }

// VersionNumber is the same as a number: major * 1000000 + minor * 1000 + patch.
func VersionNumber() uint32 { return uint32(C.tokenstore_version_number()) }

// ABIVersion grows when a program must be recompiled.
func ABIVersion() uint32 { return uint32(C.tokenstore_abi_version()) }
