package tokenstore_test

import (
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"tokenstore.example/tokenstore"
)

func TestTheZeroVerdictIsNotValid(t *testing.T) {
	var zero tokenstore.Verdict
	if zero.Valid() || zero.Outcome() != tokenstore.Unavailable || zero.Reason() != tokenstore.StorageFailed ||
		zero.HTTPStatus() != 503 || zero.Owner() != "" || zero.TokenID() != "" || zero.Scopes() != nil ||
		zero.Metadata() != nil || !zero.ExpiresAt().IsZero() {
		t.Error("the zero verdict says something")
	}
	zero.Release()
	if unsafe.Sizeof(zero) > 32 {
		t.Errorf("a verdict has %d bytes", unsafe.Sizeof(zero))
	}
}

func TestAReleasedVerdictSaysNothingOfTheNext(t *testing.T) {
	store := openMemory(t)
	alice, bob := issue(t, store, "alice", "read").Secret.Reveal(), issue(t, store, "bob", "read").Secret.Reveal()
	demand := tokenstore.Demand{Scope: "read"}
	for i := 0; i < 1000; i++ {
		old, err := store.Validate(ctx, alice, demand)
		if err != nil {
			t.Fatal(err)
		}
		copied := old
		old.Release()
		next, err := store.Validate(ctx, bob, demand)
		if err != nil {
			t.Fatal(err)
		}
		for _, stale := range []tokenstore.Verdict{old, copied} {
			if stale.Valid() || stale.Owner() != "" || stale.TokenID() != "" || stale.Outcome() != tokenstore.Unavailable {
				t.Fatalf("a verdict that was released is %v for %q", stale.Outcome(), stale.Owner())
			}
			// Must not give away the buffer of the next one.
			stale.Release()
		}
		if !next.Valid() || next.Owner() != "bob" {
			t.Fatalf("the next is %v for %q", next.Outcome(), next.Owner())
		}
		next.Release()
	}
}

func TestValidatingAllocatesNothing(t *testing.T) {
	store := openFile(t)
	text := issue(t, store, "alice", "read").Secret.Reveal()
	denied := issue(t, store, "bob", "read").Secret.Reveal()
	demand, other := tokenstore.Demand{Scope: "read", ClientAddress: "192.0.2.1"}, tokenstore.Demand{Scope: "write"}
	runtime.GC()
	for name, f := range map[string]func(){
		"valid": func() {
			verdict, _ := store.Validate(ctx, text, demand)
			if !verdict.Valid() {
				t.Fatal("not valid")
			}
			verdict.Release()
		},
		"insufficient": func() { verdict, _ := store.Validate(ctx, denied, other); verdict.Release() },
		"malformed":    func() { _, _ = store.Validate(ctx, "no token", demand) },
	} {
		// The race detector makes pools forget at random.
		if count := testing.AllocsPerRun(2000, f); count >= 1 {
			t.Errorf("%s: %v allocations", name, count)
		}
	}
	// The look-out sees one.
	if count := testing.AllocsPerRun(100, func() { sink = make([]byte, 1<<16) }); count < 1 {
		t.Error("an allocation was not seen")
	}
}

var sink []byte

func TestManyValidateAtOnceWhileOneRevokes(t *testing.T) {
	store := openFile(t)
	issued := issue(t, store, "alice", "read")
	text := issued.Secret.Reveal()
	var wait sync.WaitGroup
	revoked := make(chan struct{})
	for i := 0; i < 16; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for {
				var after bool
				select {
				case <-revoked:
					after = true
				default:
				}
				verdict, err := store.Validate(ctx, text, tokenstore.Demand{Scope: "read"})
				if err != nil || (after && verdict.Outcome() != tokenstore.Invalid) || (verdict.Valid() && verdict.Owner() != "alice") {
					t.Errorf("after the revocation %v: %v for %q: %v", after, verdict.Outcome(), verdict.Owner(), err)
				}
				verdict.Release()
				if after {
					return
				}
			}
		}()
	}
	if _, err := store.Revoke(ctx, tokenstore.Host(), issued.Token.ID, ""); err != nil {
		t.Error(err)
	}
	close(revoked)
	wait.Wait()
}

func TestWhatIsWrongWithACallIsAnErrorAndNotAVerdict(t *testing.T) {
	store := openMemory(t)
	for _, demand := range []tokenstore.Demand{{Scope: "a b"}, {Scope: string(make([]byte, 100000))}, {Scope: "\xff"}} {
		verdict, err := store.Validate(ctx, "pat_1", demand)
		if verdict.Valid() {
			t.Errorf("%q is valid", demand.Scope)
		}
		if err == nil && verdict.Outcome() != tokenstore.Invalid {
			t.Errorf("%v without an error", verdict.Outcome())
		}
	}
	for _, text := range []string{"", "\x00", "Bearer x", string(make([]byte, 1<<20))} {
		wantOutcome(t, store, text, "read", "malformed")
	}
}
