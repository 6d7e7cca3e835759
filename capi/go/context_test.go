package tokenstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"tokenstore.example/tokenstore"
	"tokenstore.example/tokenstore/tokenstoretest"
)

func TestAContextThatHasEndedChangesNothing(t *testing.T) {
	store := tokenstoretest.New(t)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for name, call := range everyCall {
		switch name {
		case "Statistics", "Now", "Why", "Scanner":
			continue // they have no context
		}
		if err := call(ended, store.Store); !errors.Is(err, context.Canceled) || errors.Is(err, tokenstore.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if counts, err := store.Count(ctx, tokenstore.Host(), ""); err != nil || counts != (tokenstore.Counts{}) {
		t.Errorf("there are %+v: %v", counts, err)
	}
}

// soon answers how long f took, and fails the test if that was long.
func soon(t *testing.T, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAContextThatEndsWhileStorageWaitsLeavesTheCallToItself(t *testing.T) {
	store := tokenstoretest.New(t)
	known, unknown := store.Token("alice", "read"), store.Token("alice", "read")
	wantOutcome(t, store.Store, known, "read", "valid")
	wantOutcome(t, store.Store, known, "read", "valid")
	store.Storage.Wait()

	short := func() context.Context {
		limited, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		t.Cleanup(cancel)
		return limited
	}
	soon(t, func() {
		// What memory knows needs no storage.
		verdict, err := store.Validate(short(), known, tokenstore.Demand{Scope: "read"})
		if err != nil || !verdict.Valid() {
			t.Errorf("a token that is remembered is %v: %v", verdict.Outcome(), err)
		}
		verdict.Release()
		verdict, err = store.Validate(short(), unknown, tokenstore.Demand{Scope: "read"})
		if !errors.Is(err, context.DeadlineExceeded) || verdict.Valid() || verdict.Outcome() != tokenstore.Unavailable {
			t.Errorf("a token that storage knows is %v: %v", verdict.Outcome(), err)
		}
		_, err = store.List(short(), tokenstore.Host(), tokenstore.Query{})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, tokenstore.ErrUnknown) {
			t.Errorf("the list: %v", err)
		}
		_, err = store.Issue(short(), tokenstore.Host(), tokenstore.Request{Owner: "bob"})
		wantError(t, err, context.DeadlineExceeded)
		wantError(t, err, tokenstore.ErrUnknown)
		var detail *tokenstore.Error
		if !errors.As(err, &detail) || detail.Status != tokenstore.StatusUnknown {
			t.Errorf("the error is %#v", err)
		}
	})

	// What goes on in the background ends, and what it did is done.
	store.Storage.Recover()
	for i := 0; ; i++ {
		page, err := store.List(ctx, tokenstore.Host(), tokenstore.Query{Owner: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Tokens) == 1 {
			break
		}
		if i == 500 {
			t.Fatal("bob's token was lost")
		}
		time.Sleep(10 * time.Millisecond)
	}
	wantOutcome(t, store.Store, unknown, "read", "valid")
}

func TestCloseWaitsForWhatTheContextLeft(t *testing.T) {
	store := tokenstoretest.New(t)
	store.Storage.Wait()
	limited, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err := store.Issue(limited, tokenstore.Host(), tokenstore.Request{Owner: "bob"})
	wantError(t, err, context.DeadlineExceeded)
	closed := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, store.Storage.Recover)
	go func() { _ = store.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("closing waits for ever")
	}
}

func TestOthersGoOnWhileSomeWait(t *testing.T) {
	store := tokenstoretest.New(t)
	known := store.Token("alice", "read")
	unknown := make([]string, 64)
	for i := range unknown {
		unknown[i] = store.Token("bob", "read")
	}
	wantOutcome(t, store.Store, known, "read", "valid")
	wantOutcome(t, store.Store, known, "read", "valid")
	store.Storage.Wait()
	done := make(chan string, len(unknown))
	for _, text := range unknown {
		go func(text string) {
			verdict, _ := store.Validate(ctx, text, tokenstore.Demand{Scope: "read"})
			defer verdict.Release()
			done <- verdict.Outcome().String()
		}(text)
	}
	soon(t, func() {
		for i := 0; i < 1000; i++ {
			wantOutcome(t, store.Store, known, "read", "valid")
		}
	})
	store.Storage.Recover()
	for range unknown {
		if got := <-done; got != "valid" {
			t.Errorf("one of those that waited is %s", got)
		}
	}
}
