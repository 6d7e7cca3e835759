package tokenstore_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"tokenstore.example/tokenstore"
)

// Of several workspaces, stores, keys and openers. TestLessons runs these.

func otherWorkspaces(t *testing.T) {
	path := t.TempDir() + "/tokens.db"
	blue := must(tokenstore.Open(path, tokenstore.WithWorkspace("blue")))(t)
	green := must(tokenstore.Open(path, tokenstore.WithWorkspace("green")))(t)
	issued := issue(t, blue, "alice", "read")
	wantOutcome(t, blue, issued.Secret.Reveal(), "read", "valid")
	wantOutcome(t, green, issued.Secret.Reveal(), "read", "unknown")
	for _, actor := range []tokenstore.Actor{alice, bob, root, host} {
		for name, call := range onToken {
			here, nowhere := call(green, actor, issued.Token.ID), call(green, actor, "0123456789abcdef")
			wantError(t, here, tokenstore.ErrNotFound)
			if here == nil || nowhere == nil || here.Error() != nowhere.Error() {
				t.Errorf("%s by %v: another workspace's is %v, and nobody's %v", name, actor, here, nowhere)
			}
		}
	}
	_, err := green.Owner(ctx, host, "alice")
	wantError(t, err, tokenstore.ErrNotFound)
	_, err = green.RevokeAll(ctx, host, "alice", "")
	wantError(t, ignore(err, tokenstore.ErrNotFound), nil)
	wantOutcome(t, blue, issued.Secret.Reveal(), "read", "valid")
}

func otherStores(t *testing.T) {
	key := tokenstore.WithKeyBytes(bytes.Repeat([]byte{4}, tokenstore.MasterKeySize), "0A")
	one, two := openFile(t, key), openFile(t, key)
	issued := issue(t, one, "alice", "read")
	issue(t, two, "alice", "read")
	wantOutcome(t, one, issued.Secret.Reveal(), "read", "valid")
	wantOutcome(t, two, issued.Secret.Reveal(), "read", "unknown")
	_, err := two.Get(ctx, host, issued.Token.ID)
	wantError(t, err, tokenstore.ErrNotFound)
}

func retiredKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.db")
	masters := [][]byte{bytes.Repeat([]byte{1}, tokenstore.MasterKeySize), bytes.Repeat([]byte{2}, tokenstore.MasterKeySize)}
	opened := func(use tokenstore.KeyUse) *tokenstore.Store {
		keys, err := tokenstore.KeyringFromBytes(masters[1], "0B")
		if err != nil {
			t.Fatal(err)
		}
		defer keys.Close()
		if err = keys.Add("0A", use, masters[0]); err != nil {
			t.Fatal(err)
		}
		return must(tokenstore.Open(path, tokenstore.WithKeyring(keys)))(t)
	}
	store := must(tokenstore.Open(path, tokenstore.WithKeyBytes(masters[0], "0A")))(t)
	old := issue(t, store, "alice", "read").Secret.Reveal()
	wantOutcome(t, store, old, "read", "valid")
	_ = store.Close()

	store = opened(tokenstore.KeyVerifyOnly)
	wantOutcome(t, store, old, "read", "valid")
	young := issue(t, store, "bob", "read").Secret.Reveal()
	if _, err := store.Reseal(ctx, host, "", 0); err != nil {
		t.Fatal(err)
	}
	_ = store.Close()

	store = opened(tokenstore.KeyRetired)
	for i := 0; i < 2; i++ {
		wantOutcome(t, store, old, "read", "retired_key")
		wantOutcome(t, store, young, "read", "valid")
	}
}

func largeChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.db")
	one, two := must(tokenstore.Open(path))(t), must(tokenstore.Open(path))(t)
	text := issue(t, one, "bob", "read").Secret.Reveal()
	requests := make([]tokenstore.Request, 500)
	for i := range requests {
		requests[i] = tokenstore.Request{Owner: "alice", Scopes: []string{"read"}}
	}
	issued, err := one.IssueMany(ctx, host, requests)
	if err != nil {
		t.Fatal(err)
	}
	gone := issued[250].Secret.Reveal()
	for i := 0; i < 2; i++ {
		wantOutcome(t, two, text, "read", "valid")
		wantOutcome(t, two, gone, "read", "valid")
	}
	before, err := two.Statistics()
	if err != nil {
		t.Fatal(err)
	}
	if count, err := one.RevokeAll(ctx, host, "alice", ""); count != 500 || err != nil {
		t.Fatalf("%d revoked: %v", count, err)
	}
	wantOutcome(t, two, gone, "read", "revoked")
	after, err := two.Statistics()
	if err != nil || after.CatchUps == before.CatchUps || after.DroppedAll != before.DroppedAll {
		t.Errorf("before %+v, after %+v: %v", before, after, err)
	}
	wantOutcome(t, two, text, "read", "valid")
	if last, err := two.Statistics(); err != nil || last.Hits != after.Hits+1 || last.Misses != after.Misses {
		t.Errorf("bob's token was forgotten: %+v, then %+v: %v", after, last, err)
	}
}
