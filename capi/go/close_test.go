package tokenstore_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokenstore.example/tokenstore"
)

// Each method that can fail, on a store that somebody else may be closing.
var everyCall = map[string]func(context.Context, *tokenstore.Store) error{
	"Validate": func(ctx context.Context, s *tokenstore.Store) error {
		v, err := s.Validate(ctx, "pat_1", tokenstore.Demand{Scope: "read"})
		if v.Valid() {
			return errors.New("valid")
		}
		return err
	},
	"Issue": func(ctx context.Context, s *tokenstore.Store) error {
		_, err := s.Issue(ctx, tokenstore.User("alice"), tokenstore.Request{})
		return err
	},
	"IssueMany": func(ctx context.Context, s *tokenstore.Store) error {
		_, err := s.IssueMany(ctx, tokenstore.User("alice"), []tokenstore.Request{{}})
		return err
	},
	"List": func(ctx context.Context, s *tokenstore.Store) error {
		_, err := s.List(ctx, tokenstore.Host(), tokenstore.Query{})
		return err
	},
	"Tokens": func(ctx context.Context, s *tokenstore.Store) error {
		tokens := s.Tokens(ctx, tokenstore.Host(), tokenstore.Query{})
		for tokens.Next() {
		}
		return tokens.Err()
	},
	"Count": func(ctx context.Context, s *tokenstore.Store) error {
		_, err := s.Count(ctx, tokenstore.Host(), "")
		return err
	},
	"Policy": func(ctx context.Context, s *tokenstore.Store) error {
		_, err := s.Policy(ctx, tokenstore.Host())
		return err
	},
	"SetPolicy": func(ctx context.Context, s *tokenstore.Store) error {
		return s.SetPolicy(ctx, tokenstore.Host(), tokenstore.Policy{})
	},
	"Owners": func(ctx context.Context, s *tokenstore.Store) error {
		o := s.Owners(ctx, tokenstore.Host())
		o.Next()
		return o.Err()
	},
	"RevokeAll": func(ctx context.Context, s *tokenstore.Store) error {
		_, err := s.RevokeAll(ctx, tokenstore.Host(), "alice", "")
		return ignore(err, tokenstore.ErrNotFound)
	},
	"Suspend": func(ctx context.Context, s *tokenstore.Store) error {
		_, err := s.Suspend(ctx, tokenstore.Host(), "zoe", "")
		return ignore(err, tokenstore.ErrNotFound)
	},
	"Get": func(ctx context.Context, s *tokenstore.Store) error {
		_, err := s.Get(ctx, tokenstore.Host(), "0123456789ABCDEF")
		return ignore(err, tokenstore.ErrNotFound)
	},
	"Purge": func(ctx context.Context, s *tokenstore.Store) error {
		_, _, err := s.Purge(ctx, tokenstore.Host(), time.Time{}, 0)
		return err
	},
	"Maintain": func(ctx context.Context, s *tokenstore.Store) error { _, err := s.Maintain(ctx, 0); return err },
	"Reseal": func(ctx context.Context, s *tokenstore.Store) error {
		_, err := s.Reseal(ctx, tokenstore.Host(), "", 0)
		return err
	},
	"Check": func(ctx context.Context, s *tokenstore.Store) error {
		_, err := s.Check(ctx, tokenstore.Host())
		return err
	},
	"Statistics": func(_ context.Context, s *tokenstore.Store) error { _, err := s.Statistics(); return err },
	"Now":        func(_ context.Context, s *tokenstore.Store) error { _, err := s.Now(); return err },
	"Why":        func(_ context.Context, s *tokenstore.Store) error { _, _, err := s.WhyUnavailable(); return err },
	"Scanner":    func(_ context.Context, s *tokenstore.Store) error { _, err := s.ScannerPattern(); return err },
}

func closeTwice(t *testing.T, what io.Closer) {
	t.Helper()
	for i := 0; i < 2; i++ {
		if err := what.Close(); err != nil {
			t.Error(err)
		}
	}
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

func TestAfterCloseEverythingAnswersThatTheStoreIsClosed(t *testing.T) {
	store := openFile(t)
	for name, call := range everyCall {
		if err := call(ctx, store); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	verdict, err := store.Validate(ctx, issue(t, store, "alice", "read").Secret.Reveal(), tokenstore.Demand{Scope: "read"})
	if err != nil {
		t.Fatal(err)
	}
	closeTwice(t, store)
	var none *tokenstore.Store
	var zero tokenstore.Store
	for name, call := range everyCall {
		wantError(t, call(ctx, store), tokenstore.ErrClosed)
		wantError(t, call(ctx, none), tokenstore.ErrClosed)
		if err := call(ctx, &zero); !errors.Is(err, tokenstore.ErrClosed) {
			t.Errorf("%s on the zero store: %v", name, err)
		}
	}
	if none.Close() != nil || zero.Close() != nil {
		t.Error("closing nothing failed")
	}
	// A verdict belongs to whoever has it, and outlives the store.
	if !verdict.Valid() || verdict.Owner() != "alice" {
		t.Error("the verdict has gone with the store")
	}
}

func TestAStoreIsClosedWhileManyUseIt(t *testing.T) {
	for round := 0; round < 20; round++ {
		store := openMemory(t)
		var wait sync.WaitGroup
		var answers int64
		begin := make(chan struct{})
		cancellable, cancel := context.WithCancel(ctx)
		for i := 0; i < 8; i++ {
			for name, call := range everyCall {
				wait.Add(1)
				go func(name string, call func(context.Context, *tokenstore.Store) error, with context.Context) {
					defer wait.Done()
					<-begin
					for {
						err := call(with, store)
						if errors.Is(err, tokenstore.ErrClosed) {
							return
						}
						if err != nil && !errors.Is(err, tokenstore.ErrConflict) && !errors.Is(err, tokenstore.ErrRefused) {
							t.Errorf("%s: %v", name, err)
							return
						}
						atomic.AddInt64(&answers, 1)
					}
				}(name, call, []context.Context{ctx, cancellable}[i%2])
			}
		}
		close(begin)
		time.Sleep(time.Duration(round) * time.Millisecond / 4)
		for i := 0; i < 3; i++ {
			wait.Add(1)
			go func() { defer wait.Done(); _ = store.Close() }()
		}
		wait.Wait()
		cancel()
	}
}

func TestAForgottenStoreIsClosedWhenItIsCollected(t *testing.T) {
	path := t.TempDir() + "/tokens.db"
	func() {
		store, err := tokenstore.Open(path, tokenstore.WithUseInterval(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		text := issue(t, store, "alice", "read").Secret.Reveal()
		wantOutcome(t, store, text, "read", "valid")
	}()
	reader := must(tokenstore.Open(path))(t)
	for i := 0; i < 200; i++ {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
		// Its last use is written out by closing alone.
		page, err := reader.List(ctx, tokenstore.Host(), tokenstore.Query{})
		if err != nil {
			t.Fatal(err)
		}
		if !page.Tokens[0].LastUsedAt.IsZero() {
			return
		}
	}
	t.Error("nobody closed it")
}
