// Package fortests is how package tokenstoretest reaches what package tokenstore shows to nobody else.
package fortests

import "time"

// Controls move the clock of a store, and say what its storage does.
type Controls interface {
	Now() time.Time
	Advance(time.Duration)
	SetMode(Mode)
}

// Mode is what storage does when it is asked.
type Mode int32

// As in for_tests.h.
const (
	Works        Mode = 0
	Fails        Mode = 1
	Waits        Mode = 2
	LosesReplies Mode = 3
)

// ValidateOften validates texts of one length in turn, for the scope notes:read, without leaving C. It answers how often that
// was valid.
var ValidateOften func(store any, texts []string, times int) int

// LeakFound says, under AddressSanitizer and since Go 1.25, whether C has lost memory so far. It takes a while.
var LeakFound func() bool

// Open opens a store on such storage. The options are a []tokenstore.Option and the store a *tokenstore.Store, which this
// package must not know.
var Open func(options any, now time.Time) (store any, controls Controls, err error)
