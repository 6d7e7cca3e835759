package tokenstore

/*
#include "shim.h"
*/
import "C"

import "fmt"

// Status is how a call ended, as the C interface numbers it. Numbers are never reused.
type Status int32

// What a call can answer.
const (
	StatusInvalidArgument  Status = C.TOKENSTORE_INVALID_ARGUMENT
	StatusNotFound         Status = C.TOKENSTORE_NOT_FOUND
	StatusPermissionDenied Status = C.TOKENSTORE_PERMISSION_DENIED
	StatusRefused          Status = C.TOKENSTORE_REFUSED
	StatusConflict         Status = C.TOKENSTORE_CONFLICT
	StatusUnavailable      Status = C.TOKENSTORE_UNAVAILABLE
	StatusUnknown          Status = C.TOKENSTORE_UNKNOWN
	StatusReadOnly         Status = C.TOKENSTORE_READ_ONLY
	StatusTampered         Status = C.TOKENSTORE_TAMPERED
	StatusWrongKey         Status = C.TOKENSTORE_WRONG_KEY
	StatusNotAStore        Status = C.TOKENSTORE_NOT_A_STORE
	StatusNewerSchema      Status = C.TOKENSTORE_NEWER_SCHEMA
	StatusStorageFull      Status = C.TOKENSTORE_STORAGE_FULL
	StatusBufferTooSmall   Status = C.TOKENSTORE_BUFFER_TOO_SMALL
	StatusOutOfMemory      Status = C.TOKENSTORE_OUT_OF_MEMORY
	StatusCannotOpen       Status = C.TOKENSTORE_CANNOT_OPEN
	StatusUnsupported      Status = C.TOKENSTORE_UNSUPPORTED
	StatusInternal         Status = C.TOKENSTORE_INTERNAL
	StatusJournalDamaged   Status = C.TOKENSTORE_JOURNAL_DAMAGED
	StatusNotJournaled     Status = C.TOKENSTORE_NOT_JOURNALED
)

// String is the name for logs, as in "not_found".
func (s Status) String() string { return C.GoString(C.tokenstore_status_name(C.int32_t(s))) }

// Error is what went wrong: a status to decide by and one line for people, which never holds a token or a key.
type Error struct {
	Status  Status
	Message string
	cause   error // of a context that ended meanwhile
}

// Error is the line for people.
func (e *Error) Error() string { return "tokenstore: " + e.Message }

// Is says whether the target is the Err... of the same status.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.sentinel() && other.Status == e.Status
}

// Unwrap is the context's error, if it ended while the call was under way.
func (e *Error) Unwrap() error { return e.cause }

func (e *Error) sentinel() bool { return e != nil && e.cause == nil && e.Message == e.Status.String() }

func sentinel(status Status) error { return &Error{Status: status, Message: status.String()} }

// For errors.Is: each stands for all errors of its status.
var (
	// ErrInvalidArgument: an argument breaks a documented rule; nothing changed.
	ErrInvalidArgument = sentinel(StatusInvalidArgument)
	// ErrNotFound: no such token or owner, or it is not the actor's to see.
	ErrNotFound = sentinel(StatusNotFound)
	// ErrPermissionDenied: the actor may not do this to anyone.
	ErrPermissionDenied = sentinel(StatusPermissionDenied)
	// ErrRefused: policy, owner settings or a cap forbid it.
	ErrRefused = sentinel(StatusRefused)
	// ErrConflict: somebody else changed the same thing meanwhile; ask again.
	ErrConflict = sentinel(StatusConflict)
	// ErrUnavailable: storage failed; nothing happened.
	ErrUnavailable = sentinel(StatusUnavailable)
	// ErrUnknown: it may have happened; read to find out.
	ErrUnknown = sentinel(StatusUnknown)
	// ErrReadOnly: the store was opened, or its file can only be, read.
	ErrReadOnly = sentinel(StatusReadOnly)
	// ErrTampered: a stored record's seal does not verify.
	ErrTampered = sentinel(StatusTampered)
	// ErrWrongKey: the keyring is missing, malformed, or not this store's.
	ErrWrongKey = sentinel(StatusWrongKey)
	// ErrNotAStore: the file belongs to something else, or is damaged.
	ErrNotAStore = sentinel(StatusNotAStore)
	// ErrNewerSchema: written by a newer version of the library.
	ErrNewerSchema = sentinel(StatusNewerSchema)
	// ErrStorageFull: no space is left; nothing happened.
	ErrStorageFull = sentinel(StatusStorageFull)
	// ErrOutOfMemory: nothing happened.
	ErrOutOfMemory = sentinel(StatusOutOfMemory)
	// ErrCannotOpen: the path cannot be opened, created or used safely.
	ErrCannotOpen = sentinel(StatusCannotOpen)
	// ErrUnsupported: the backend, the platform or this build cannot do this.
	ErrUnsupported = sentinel(StatusUnsupported)
	// ErrInternal: a defect; please report it.
	ErrInternal = sentinel(StatusInternal)
	// ErrJournalDamaged: the journal was cut short or altered; look at it, then accept what is left.
	ErrJournalDamaged = sentinel(StatusJournalDamaged)
	// ErrNotJournaled: the change holds, but could not be written to the journal.
	ErrNotJournaled = sentinel(StatusNotJournaled)
	// ErrClosed: the store, or the keyring, has been closed.
	ErrClosed error = &closedError{}
)

type closedError struct{}

func (*closedError) Error() string { return "tokenstore: the store is closed" }

// failure is the Go error of a C call, whose error object it frees.
func failure(status C.int32_t, object *C.tokenstore_error) error {
	if status == C.TOKENSTORE_OK {
		return nil
	}
	defer C.tokenstore_error_free(object)
	var size C.size_t
	text := C.tokenstore_error_message(object, &size)
	message := taken(text, size)
	if message == "" {
		message = Status(status).String() + ", and no memory was left to say more"
	}
	return &Error{Status: Status(status), Message: message}
}

func invalid(format string, arguments ...any) error {
	return &Error{Status: StatusInvalidArgument, Message: fmt.Sprintf(format, arguments...)}
}
