package tokenstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"tokenstore.example/tokenstore"
	"tokenstore.example/tokenstore/internal/fortests"
	"tokenstore.example/tokenstore/tokenstoretest"
)

// FuzzSurface gives every call what nobody should: each answers, or says by an error what is wrong. What is allowed is never
// more than what was issued.
//
//	go test -fuzz FuzzSurface -fuzztime 10m
func FuzzSurface(f *testing.F) {
	for _, seed := range []struct {
		text, owner, scopes, extra string
		number                     int64
		kind                       byte
	}{
		{"pat_10A0KMwCWK70rqyqvwn_Hq3vT8nLzP0eYw5JkD1uGfXc7RbS9aMoE2iN4tVdB6xVjcPrZTV0A62Ix", "alice", "notes:read", "laptop", 0, 1},
		{"", "", "", "", -1, 0},
		{"Bearer x", "a\nb", "a  b", "%_'\"\x00", -1 << 63, 2},
		{strings.Repeat("é", 300), strings.Repeat("o", 256), strings.Repeat("s ", 100), strings.Repeat("m", 5000), 1<<63 - 1, 3},
		{"\xff\xfe", "\xff", "\x7f", "\xc0\x80", 1, 255},
	} {
		f.Add(seed.text, seed.owner, seed.scopes, seed.extra, seed.number, seed.kind)
	}
	store := tokenstoretest.New(f)
	policy := tokenstore.Policy{NeverAllowed: true, LongestLifetime: tokenstore.Never}
	if err := store.SetPolicy(ctx, tokenstore.Host(), policy); err != nil {
		f.Fatal(err)
	}
	calls := 0
	f.Fuzz(func(t *testing.T, text, owner, scopes, extra string, number int64, kind byte) {
		actor := []tokenstore.Actor{{}, tokenstore.User(owner), tokenstore.Administrator(owner), tokenstore.Host()}[kind%4]
		with := []context.Context{ctx, func() context.Context {
			limited, cancel := context.WithTimeout(ctx, time.Minute)
			t.Cleanup(cancel)
			return limited
		}()}[kind/4%2]
		note := func(err error) {
			var detail *tokenstore.Error
			if err == nil {
				return
			}
			if !errors.As(err, &detail) || detail.Status == tokenstore.StatusInternal || detail.Message == "" ||
				strings.ContainsAny(detail.Message, "\n\r\x00") {
				t.Errorf("an error that none should see: %v", err)
			}
		}
		list := strings.Split(scopes, " ")
		issued, err := store.Issue(with, actor, tokenstore.Request{Owner: owner, Description: extra, Scopes: list, Metadata: []byte(extra),
			Lifetime: time.Duration(number), NotBefore: time.UnixMilli(number)})
		note(err)
		if err == nil {
			// What is not in the list is not granted.
			for _, scope := range []string{extra, "", scopes + "x"} {
				verdict, err := store.Validate(with, issued.Secret.Reveal(), tokenstore.Demand{Scope: scope, ClientAddress: extra})
				note(err)
				if verdict.Valid() && !contains(list, scope) {
					t.Errorf("%q is granted by %q", scope, list)
				}
				if verdict.Valid() && verdict.Owner() != issued.Token.Owner {
					t.Errorf("it is of %q, not %q", verdict.Owner(), issued.Token.Owner)
				}
				verdict.Release()
			}
			if actor == tokenstore.User(owner) && issued.Token.Owner != owner {
				t.Errorf("a user has a token of %q", issued.Token.Owner)
			}
		}
		verdict, err := store.Validate(with, text, tokenstore.Demand{Scope: extra, ClientAddress: owner})
		note(err)
		if verdict.Valid() {
			t.Errorf("%q is valid", text)
		}
		verdict.Release()
		at := time.UnixMilli(number)
		for _, id := range []string{text, issued.Token.ID} {
			_, err = store.Get(with, actor, id)
			note(err)
			_, err = store.Expire(with, actor, id, at)
			note(err)
			_, err = store.Revoke(with, actor, id, extra)
			note(err)
		}
		_, err = store.List(with, actor, tokenstore.Query{Owner: owner, Text: extra, Cursor: text, Limit: int(number % 2000), State: tokenstore.State(kind)})
		note(err)
		_, err = store.Count(with, actor, owner)
		note(err)
		_, err = store.SetOwner(with, actor, owner, tokenstore.OwnerSettings{MayNotUse: kind%2 == 0})
		note(err)
		_, err = store.Suspend(with, actor, owner, extra)
		note(err)
		_, err = store.Resume(with, actor, owner)
		note(err)
		_, err = store.ListOwners(with, actor, text, int(number%2000))
		note(err)
		_, err = store.RevokeAll(with, actor, owner, extra)
		note(err)
		_, err = store.Reseal(with, actor, text, time.Duration(number%1000))
		note(err)
		note(store.Delete(with, actor, issued.Token.ID))
		if kind == 255 {
			_, _, err = store.Purge(with, actor, at, time.Duration(number%1000))
			note(err)
		}
		keys, err := tokenstore.KeyringFromText([]byte(extra))
		note(err)
		_ = keys.Close()
		keys, err = tokenstore.KeyringFromBytes([]byte(owner), scopes)
		note(err)
		_ = keys.Close()
		// The fuzzer gives a process a second to end, which is too little to look for leaks then.
		if calls++; calls%500 == 1 && fortests.LeakFound() {
			t.Error("memory of C's has been lost by this call or one of the 500 before it")
		}
	})
}

func contains(list []string, wanted string) bool {
	for _, one := range list {
		if one == wanted {
			return true
		}
	}
	return false
}
