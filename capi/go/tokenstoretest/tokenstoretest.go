// Package tokenstoretest is for those who test code that uses package tokenstore: a store in memory that lives as long as
// the test, a clock that the test moves, a token in one line, and storage that fails when the test wants it to.
//
//	store := tokenstoretest.New(t)
//	text := store.Token("alice", "notes:read")
//	store.Clock.Advance(91 * 24 * time.Hour) // it has expired
//	store.Storage.Fail()                     // whoever asks is told that storage is unavailable
package tokenstoretest

import (
	"context"
	"testing"
	"time"

	"tokenstore.example/tokenstore"
	"tokenstore.example/tokenstore/internal/fortests"
)

// Store is a store in memory for one test. It is closed when the test ends.
type Store struct {
	*tokenstore.Store
	Clock   *Clock
	Storage *Storage

	tb testing.TB
}

// Clock stands still until it is moved. It begins at the time of New.
type Clock struct{ controls fortests.Controls }

// Storage is what the store keeps its records in.
type Storage struct{ controls fortests.Controls }

// New opens a store. It takes the options of tokenstore.OpenMemory; a key of its own is made if they have none.
func New(tb testing.TB, options ...tokenstore.Option) *Store {
	tb.Helper()
	opened, controls, err := fortests.Open(options, time.Now())
	if err != nil {
		tb.Fatalf("a store for the test does not open: %v", err)
	}
	s := &Store{Store: opened.(*tokenstore.Store), Clock: &Clock{controls}, Storage: &Storage{controls}, tb: tb}
	tb.Cleanup(func() {
		// Or closing would wait for ever.
		s.Storage.Recover()
		_ = s.Close()
	})
	return s
}

// Token issues a token of the owner with these scopes, and answers its text.
func (s *Store) Token(owner string, scopes ...string) string {
	s.tb.Helper()
	return s.Issued(tokenstore.Request{Owner: owner, Scopes: scopes}).Secret.Reveal()
}

// Issued issues what is asked for, in the host's name.
func (s *Store) Issued(request tokenstore.Request) tokenstore.Issued {
	s.tb.Helper()
	issued, err := s.Issue(context.Background(), tokenstore.Host(), request)
	if err != nil {
		s.tb.Fatalf("a token for the test was not issued: %v", err)
	}
	return issued
}

// Now is the clock's time.
func (c *Clock) Now() time.Time { return c.controls.Now() }

// Advance moves the clock on. It never goes back: a store would not believe it.
func (c *Clock) Advance(by time.Duration) {
	if by > 0 {
		c.controls.Advance(by)
	}
}

// Fail makes every call that asks storage fail: ErrUnavailable. What is remembered is still answered.
func (s *Storage) Fail() { s.controls.SetMode(fortests.Fails) }

// Wait makes every call that asks storage wait, until Recover or another of these is called.
func (s *Storage) Wait() { s.controls.SetMode(fortests.Waits) }

// LoseReplies makes storage do what it is asked to, and then fail all the same: ErrUnknown.
func (s *Storage) LoseReplies() { s.controls.SetMode(fortests.LosesReplies) }

// Recover makes storage work again.
func (s *Storage) Recover() { s.controls.SetMode(fortests.Works) }
