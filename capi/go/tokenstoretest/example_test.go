package tokenstoretest_test

import (
	"errors"
	"fmt"
	"log"
	"testing"
	"time"

	"tokenstore.example/tokenstore"
	"tokenstore.example/tokenstore/tokenstoretest"
)

// inATest runs what would stand in a test function, with a testing.TB that does what the store asks of one.
func inATest(test func(t testing.TB)) {
	t := &tb{}
	defer func() {
		for i := len(t.cleanups) - 1; i >= 0; i-- {
			t.cleanups[i]()
		}
	}()
	test(t)
}

type tb struct {
	testing.TB
	cleanups []func()
}

func (*tb) Helper()                             {}
func (t *tb) Cleanup(f func())                  { t.cleanups = append(t.cleanups, f) }
func (*tb) Fatalf(format string, values ...any) { log.Fatalf(format, values...) }

func validates(store *tokenstoretest.Store, text string) string {
	verdict, _ := store.Validate(ctx, text, tokenstore.Demand{Scope: "notes:read"})
	defer verdict.Release()
	return verdict.Outcome().String()
}

func ExampleNew() {
	inATest(func(t testing.TB) {
		store := tokenstoretest.New(t, tokenstore.WithPrefix("acme"))
		fmt.Println(store.Prefix()) // it closes itself when the test ends
	})
	// Output: acme
}

func ExampleStore_Token() {
	inATest(func(t testing.TB) {
		store := tokenstoretest.New(t)
		fmt.Println(validates(store, store.Token("alice", "notes:read")))
	})
	// Output: valid
}

func ExampleStore_Issued() {
	inATest(func(t testing.TB) {
		store := tokenstoretest.New(t)
		issued := store.Issued(tokenstore.Request{Owner: "alice", Lifetime: time.Hour})
		fmt.Println(issued.Token.ExpiresAt.Sub(issued.Token.CreatedAt))
	})
	// Output: 1h0m0s
}

func ExampleClock_Advance() {
	inATest(func(t testing.TB) {
		store := tokenstoretest.New(t)
		text := store.Token("alice", "notes:read")
		store.Clock.Advance(91 * 24 * time.Hour)
		fmt.Println(validates(store, text))
	})
	// Output: invalid
}

func ExampleClock_Now() {
	inATest(func(t testing.TB) {
		store := tokenstoretest.New(t)
		before := store.Clock.Now()
		store.Clock.Advance(time.Minute)
		fmt.Println(store.Clock.Now().Sub(before))
	})
	// Output: 1m0s
}

func ExampleStorage_Fail() {
	inATest(func(t testing.TB) {
		store := tokenstoretest.New(t)
		text := store.Token("alice", "notes:read")
		store.Storage.Fail()
		fmt.Println(validates(store, text))
	})
	// Output: unavailable
}

func ExampleStorage_LoseReplies() {
	inATest(func(t testing.TB) {
		store := tokenstoretest.New(t)
		store.Storage.LoseReplies()
		_, err := store.Issue(ctx, tokenstore.User("alice"), tokenstore.Request{})
		fmt.Println(errors.Is(err, tokenstore.ErrUnknown))
	})
	// Output: true
}

func ExampleStorage_Wait() {
	inATest(func(t testing.TB) {
		store := tokenstoretest.New(t)
		text := store.Token("alice", "notes:read")
		store.Storage.Wait()
		done := make(chan string)
		go func() { done <- validates(store, text) }()
		select {
		case <-done:
			fmt.Println("it did not wait")
		case <-time.After(10 * time.Millisecond):
			store.Storage.Recover()
			fmt.Println(<-done)
		}
	})
	// Output: valid
}

func ExampleStorage_Recover() {
	inATest(func(t testing.TB) {
		store := tokenstoretest.New(t)
		text := store.Token("alice", "notes:read")
		store.Storage.Fail()
		store.Storage.Recover()
		fmt.Println(validates(store, text))
	})
	// Output: valid
}
