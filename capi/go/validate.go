package tokenstore

/*
#include "shim.h"
*/
import "C"

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Outcome is the answer to "may this token do that now?". The zero Outcome is unavailable.
type Outcome int32

// The answers.
const (
	Unavailable Outcome = C.TOKENSTORE_OUTCOME_UNAVAILABLE // storage cannot be asked: refuse, and do not call the token bad
	Valid       Outcome = C.TOKENSTORE_OUTCOME_VALID
	Invalid     Outcome = C.TOKENSTORE_OUTCOME_INVALID
)

// String is the name for logs: "valid", "invalid" or "unavailable".
func (o Outcome) String() string { return C.GoString(C.tokenstore_outcome_name(C.int32_t(o))) }

// Reason is why, for the audit log alone. Tell a client the outcome, and InsufficientScope, nothing else.
type Reason int32

// The reasons.
const (
	NoReason          Reason = C.TOKENSTORE_REASON_NONE      // valid
	Malformed         Reason = C.TOKENSTORE_REASON_MALFORMED // not a token of this store's form
	Forged            Reason = C.TOKENSTORE_REASON_FORGED    // well-formed, but not made with a key of this keyring
	UnknownToken      Reason = C.TOKENSTORE_REASON_UNKNOWN   // never issued, deleted or purged
	WrongSecret       Reason = C.TOKENSTORE_REASON_WRONG_SECRET
	Tampered          Reason = C.TOKENSTORE_REASON_TAMPERED // a stored record's seal does not verify, or settings are missing
	RetiredKey        Reason = C.TOKENSTORE_REASON_RETIRED_KEY
	Revoked           Reason = C.TOKENSTORE_REASON_REVOKED
	Expired           Reason = C.TOKENSTORE_REASON_EXPIRED
	Pending           Reason = C.TOKENSTORE_REASON_PENDING
	OwnerSuspended    Reason = C.TOKENSTORE_REASON_OWNER_SUSPENDED
	OwnerMayNotUse    Reason = C.TOKENSTORE_REASON_OWNER_MAY_NOT_USE
	TokensDisabled    Reason = C.TOKENSTORE_REASON_TOKENS_DISABLED
	InsufficientScope Reason = C.TOKENSTORE_REASON_INSUFFICIENT_SCOPE
	StorageFailed     Reason = C.TOKENSTORE_REASON_STORAGE // unavailable
	// RolledBack: a stored record is an earlier state than the journal knows: it was put back.
	RolledBack Reason = C.TOKENSTORE_REASON_ROLLED_BACK
)

// String is the name for logs, as in "wrong_secret".
func (r Reason) String() string { return C.GoString(C.tokenstore_reason_name(C.int32_t(r))) }

// Demand is what a request needs.
type Demand struct {
	Scope         string // must be one of the token's; an empty one is held by no token
	ClientAddress string // IPv4 or IPv6 text for "last used from"; empty: not recorded
}

// Verdict is the answer to Validate: a small value, whose texts are read from a shared buffer when they are asked for.
// Release gives the buffer back; after that every copy of the verdict is empty and not valid. A verdict that nobody
// releases is collected. The zero Verdict is not valid.
type Verdict struct {
	buffer     *verdictBuffer
	generation uint32
	outcome    Outcome
	reason     Reason
}

// verdictBuffer is memory of Go's without a pointer in it, of which the library writes only what an answer has.
type verdictBuffer struct {
	generation uint32 // of who may read it
	lane       uint32
	verdict    C.tokenstore_verdict
}

var lastLane uint32

var buffers = sync.Pool{New: func() any {
	b := &verdictBuffer{lane: atomic.AddUint32(&lastLane, 1)}
	b.verdict.struct_size = C.sizeof_tokenstore_verdict
	return b
}}

var errStorage error = &Error{Status: StatusUnavailable,
	Message: "storage could not be asked; WhyUnavailable says what it said"}

// Validate answers whether the bearer of this text may do what the demand says, now. It is the only way to ask. The text
// is what the client sent, without "Bearer ". A validation that starts after a revocation returned never answers valid.
//
// The verdict decides: allow the request if and only if its Valid says so. An error comes with every verdict that is
// unavailable, and with no other.
func (s *Store) Validate(ctx context.Context, text string, demand Demand) (Verdict, error) {
	if err := ctx.Err(); err != nil {
		return Verdict{}, err
	}
	b := buffers.Get().(*verdictBuffer)
	if err := s.enter(b.lane); err != nil {
		buffers.Put(b)
		return Verdict{}, err
	}
	textAt, textSize := given(text)
	scopeAt, scopeSize := given(demand.Scope)
	addressAt, addressSize := given(demand.ClientAddress)
	handle := C.uintptr_t(uintptr(unsafe.Pointer(s.handle)))
	var status C.int32_t
	if ctx.Done() == nil {
		status = C.tokenstore_go_validate(handle, textAt, textSize, scopeAt, scopeSize, addressAt, addressSize, &b.verdict)
	} else {
		status = C.tokenstore_go_try_validate(handle, textAt, textSize, scopeAt, scopeSize, addressAt, addressSize, &b.verdict)
	}
	s.leave(b.lane)
	if status == C.TOKENSTORE_OK {
		return b.read()
	}
	buffers.Put(b)
	if status == C.TOKENSTORE_GO_UNDECIDED {
		return s.validateSlowly(ctx, text, demand)
	}
	return Verdict{}, s.whyRefused(text, demand)
}

// validateSlowly asks storage, and leaves the asking to itself when the context ends.
func (s *Store) validateSlowly(ctx context.Context, text string, demand Demand) (Verdict, error) {
	b, err := ask(ctx, s, reads, func(handle *C.tokenstore_store) (*verdictBuffer, error) {
		b := buffers.Get().(*verdictBuffer)
		textAt, textSize := given(text)
		scopeAt, scopeSize := given(demand.Scope)
		addressAt, addressSize := given(demand.ClientAddress)
		var object *C.tokenstore_error
		status := C.tokenstore_go_why(handle, textAt, textSize, scopeAt, scopeSize, addressAt, addressSize, &b.verdict, &object)
		if err := failure(status, object); err != nil {
			buffers.Put(b)
			return nil, err
		}
		return b, nil
	}, func(b *verdictBuffer) { buffers.Put(b) })
	if err != nil {
		return Verdict{}, err
	}
	return b.read()
}

// whyRefused is the error of a call whose arguments break a rule.
func (s *Store) whyRefused(text string, demand Demand) error {
	if _, err := s.validateSlowly(context.Background(), text, demand); err != nil {
		return err
	}
	return errStorage
}

// read makes a verdict of what was written. Only a genuine token's has texts: otherwise the buffer goes back at once.
func (b *verdictBuffer) read() (Verdict, error) {
	v := Verdict{buffer: b, generation: atomic.LoadUint32(&b.generation), outcome: Outcome(b.verdict.outcome),
		reason: Reason(b.verdict.reason)}
	if v.outcome == Valid || v.reason == InsufficientScope {
		return v, nil
	}
	v.buffer = nil
	buffers.Put(b)
	if v.outcome == Unavailable {
		return v, errStorage
	}
	return v, nil
}

// Valid says whether to allow the request.
func (v Verdict) Valid() bool { return v.outcome == Valid && v.current() }

// Outcome is the answer, as Valid knows it and in more words.
func (v Verdict) Outcome() Outcome {
	if v.outcome == Valid && !v.current() {
		return Unavailable
	}
	return v.outcome
}

// Reason is why, for the audit log alone.
func (v Verdict) Reason() Reason {
	if v.Outcome() == Unavailable {
		return StorageFailed
	}
	return v.reason
}

// HTTPStatus is 200, 401, 403 or 503 (RFC 6750 section 3.1).
func (v Verdict) HTTPStatus() int {
	switch {
	case v.Outcome() == Valid:
		return 200
	case v.Outcome() == Unavailable:
		return 503
	case v.reason == InsufficientScope:
		return 403
	}
	return 401
}

// current says whether the buffer is still this verdict's.
func (v Verdict) current() bool {
	return v.buffer != nil && atomic.LoadUint32(&v.buffer.generation) == v.generation
}

// text copies a text out of the buffer: empty if it is another verdict's by now.
func (v Verdict) text(of func(*C.tokenstore_verdict) (*C.char, C.size_t)) string {
	if !v.current() {
		return ""
	}
	read := taken(of(&v.buffer.verdict))
	if !v.current() {
		return ""
	}
	return read
}

// TokenID is the token's public name: for logs, and for Revoke. Empty unless the token is genuine.
func (v Verdict) TokenID() string {
	return v.text(func(c *C.tokenstore_verdict) (*C.char, C.size_t) { return &c.id[0], c.id_size })
}

// Owner is whose account the token acts for. Empty unless the token is genuine.
func (v Verdict) Owner() string {
	return v.text(func(c *C.tokenstore_verdict) (*C.char, C.size_t) { return &c.owner[0], c.owner_size })
}

// Scopes are the token's, sorted.
func (v Verdict) Scopes() []string {
	return split(v.text(func(c *C.tokenstore_verdict) (*C.char, C.size_t) { return &c.scopes[0], c.scopes_size }))
}

// Metadata is what the token was issued with.
func (v Verdict) Metadata() []byte {
	read := v.text(func(c *C.tokenstore_verdict) (*C.char, C.size_t) { return &c.metadata[0], c.metadata_size })
	if read == "" {
		return nil
	}
	return []byte(read)
}

// ExpiresAt is when the token ends; the zero time if it never does, or is not genuine.
func (v Verdict) ExpiresAt() time.Time {
	if !v.current() {
		return time.Time{}
	}
	at := v.buffer.verdict.expires_at
	if !v.current() {
		return time.Time{}
	}
	return moment(at)
}

// Release gives the verdict's buffer back, for the next validation. Doing it again does nothing.
func (v Verdict) Release() {
	if v.buffer != nil && atomic.CompareAndSwapUint32(&v.buffer.generation, v.generation, v.generation+1) {
		buffers.Put(v.buffer)
	}
}

// WhyUnavailable is the line that storage gave at the latest validation that was unavailable, for the log, and when that
// was; an empty line if there was none in this process.
func (s *Store) WhyUnavailable() (string, time.Time, error) {
	var at C.int64_t
	line, err := ask(context.Background(), s, reads, func(handle *C.tokenstore_store) (string, error) {
		var why, object *C.tokenstore_error
		status := C.tokenstore_why_unavailable(handle, &why, &at, &object)
		defer C.tokenstore_error_free(why)
		if err := failure(status, object); err != nil {
			return "", err
		}
		var size C.size_t
		message := C.tokenstore_error_message(why, &size)
		return taken(message, size), nil
	}, nil)
	return line, moment(at), err
}

func split(scopes string) []string {
	if scopes == "" {
		return nil
	}
	return strings.Split(scopes, " ")
}
