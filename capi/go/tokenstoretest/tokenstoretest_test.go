package tokenstoretest_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"tokenstore.example/tokenstore"
	"tokenstore.example/tokenstore/tokenstoretest"
)

var ctx = context.Background()

func outcome(t *testing.T, store *tokenstoretest.Store, text string) string {
	t.Helper()
	verdict, err := store.Validate(ctx, text, tokenstore.Demand{Scope: "read"})
	defer verdict.Release()
	if err != nil && !errors.Is(err, tokenstore.ErrUnavailable) {
		t.Fatal(err)
	}
	if verdict.Valid() {
		return "valid"
	}
	return verdict.Reason().String()
}

func TestTheClockMovesWhenTheTestSaysSo(t *testing.T) {
	store := tokenstoretest.New(t)
	text := store.Issued(tokenstore.Request{Owner: "alice", Scopes: []string{"read"}, Lifetime: time.Hour}).Secret.Reveal()
	before := store.Clock.Now()
	store.Clock.Advance(time.Hour - time.Millisecond)
	store.Clock.Advance(-time.Hour)
	if got := outcome(t, store, text); got != "valid" {
		t.Errorf("a millisecond before its end: %s", got)
	}
	store.Clock.Advance(time.Millisecond)
	if got := outcome(t, store, text); got != "expired" {
		t.Errorf("at its end: %s", got)
	}
	if now, err := store.Now(); err != nil || !now.Equal(before.Add(time.Hour)) || !store.Clock.Now().Equal(now) {
		t.Errorf("it is %v: %v", now, err)
	}
}

func TestStorageFailsLosesAndRecovers(t *testing.T) {
	store := tokenstoretest.New(t, tokenstore.WithPrefix("acme"))
	known, fresh := store.Token("alice", "read"), store.Token("alice", "read")
	if outcome(t, store, known) != "valid" {
		t.Fatal("a new token is not valid")
	}
	store.Storage.Fail()
	if outcome(t, store, known) != "valid" || outcome(t, store, fresh) != "storage" {
		t.Error("memory does not go on, or storage does")
	}
	if why, at, err := store.WhyUnavailable(); why == "" || at.IsZero() || err != nil {
		t.Errorf("why: %q: %v", why, err)
	}
	for name, err := range map[string]error{
		"issue": func() error {
			_, err := store.Issue(ctx, tokenstore.Host(), tokenstore.Request{Owner: "bob"})
			return err
		}(),
		"list":  func() error { _, err := store.List(ctx, tokenstore.Host(), tokenstore.Query{}); return err }(),
		"check": func() error { _, err := store.Check(ctx, tokenstore.Host()); return err }(),
	} {
		if !errors.Is(err, tokenstore.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	store.Storage.LoseReplies()
	if _, err := store.Suspend(ctx, tokenstore.Host(), "alice", ""); !errors.Is(err, tokenstore.ErrUnknown) {
		t.Errorf("a lost reply: %v", err)
	}
	store.Storage.Recover()
	if got := outcome(t, store, known); got != "owner_suspended" {
		t.Errorf("what was done before the reply was lost: %s", got)
	}
}

func TestAStoreTakesOptionsAndIsClosedWithItsTest(t *testing.T) {
	var store *tokenstoretest.Store
	t.Run("inner", func(t *testing.T) {
		store = tokenstoretest.New(t, tokenstore.WithKeyBytes(bytes.Repeat([]byte{1}, 32), ""), tokenstore.WithWorkspace("blue"))
		if store.Workspace() != "blue" {
			t.Error(store.Workspace())
		}
		store.Storage.Wait()
	})
	if _, err := store.Now(); !errors.Is(err, tokenstore.ErrClosed) {
		t.Errorf("after the test: %v", err)
	}
	store.Clock.Advance(time.Hour)
	store.Storage.Fail()
	if !store.Clock.Now().IsZero() {
		t.Error("the clock of a closed store goes on")
	}
}
