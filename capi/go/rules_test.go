package tokenstore_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"tokenstore.example/tokenstore"
	"tokenstore.example/tokenstore/tokenstoretest"
)

// The records and rules of the design, as Go programs meet them. What a whole life of a token shows is in lifecycle_test.go.
func TestRules(t *testing.T) {
	for _, rule := range []struct {
		name string
		test func(*testing.T)
	}{
		{"each field has its limit, and the limit itself fits", fieldsHaveLimits},
		{"a token is valid from its beginning to just before its end", validFromBeginningToEnd},
		{"a state is revoked, else expired, else pending, else active", statesInTheirOrder},
		{"the end is brought forward and never put off", endsComeForward},
		{"revoking is final, tells who and when, and repeating it changes nothing", revokingIsFinal},
		{"what ended stays visible until it is purged", endedRowsStay},
		{"suspending and resuming act at once on every token of one owner", suspensionIsOfOneOwner},
		{"the policy's defaults are those of the design", policyDefaults},
		{"each actor may do what is theirs, and an unknown token is the same as another's", actorsMayDoWhatIsTheirs},
	} {
		t.Run(rule.name, rule.test)
	}
}

var host, root, alice, bob = tokenstore.Host(), tokenstore.Administrator("root"), tokenstore.User("alice"), tokenstore.User("bob")

func fieldsHaveLimits(t *testing.T) {
	store := openMemory(t)
	many := func(count int) (scopes []string) {
		for i := 0; i < count; i++ {
			scopes = append(scopes, "s"+strings.Repeat("x", i))
		}
		return scopes
	}
	for _, c := range []struct {
		name    string
		request tokenstore.Request
		fits    bool
	}{
		{"owner", tokenstore.Request{Owner: strings.Repeat("o", tokenstore.OwnerMax)}, true},
		{"owner, too long", tokenstore.Request{Owner: strings.Repeat("o", tokenstore.OwnerMax+1)}, false},
		{"owner, UTF-8", tokenstore.Request{Owner: "žofie"}, true},
		{"owner, no UTF-8", tokenstore.Request{Owner: "a\xff"}, false},
		{"owner, control character", tokenstore.Request{Owner: "a\tb"}, false},
		{"owner, none", tokenstore.Request{}, false},
		{"description", tokenstore.Request{Owner: "a", Description: strings.Repeat("d", tokenstore.DescriptionMax)}, true},
		{"description, too long", tokenstore.Request{Owner: "a", Description: strings.Repeat("d", tokenstore.DescriptionMax+1)}, false},
		{"metadata", tokenstore.Request{Owner: "a", Metadata: make([]byte, tokenstore.MetadataMax)}, true},
		{"metadata, too long", tokenstore.Request{Owner: "a", Metadata: make([]byte, tokenstore.MetadataMax+1)}, false},
		{"scopes", tokenstore.Request{Owner: "a", Scopes: many(tokenstore.ScopesMax)}, true},
		{"scopes, too many", tokenstore.Request{Owner: "a", Scopes: many(tokenstore.ScopesMax + 1)}, false},
		{"scope", tokenstore.Request{Owner: "a", Scopes: []string{strings.Repeat("s", tokenstore.ScopeMax)}}, true},
		{"scope, too long", tokenstore.Request{Owner: "a", Scopes: []string{strings.Repeat("s", tokenstore.ScopeMax+1)}}, false},
		{"scope, a quote", tokenstore.Request{Owner: "a", Scopes: []string{`s"`}}, false},
		{"scope, a backslash", tokenstore.Request{Owner: "a", Scopes: []string{`s\`}}, false},
	} {
		issued, err := store.Issue(ctx, host, c.request)
		if c.fits && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.fits {
			if !errors.Is(err, tokenstore.ErrInvalidArgument) {
				t.Errorf("%s is accepted: %v", c.name, err)
			}
			continue
		}
		if len(issued.Token.Description) != len(c.request.Description) || len(issued.Token.Metadata) != len(c.request.Metadata) ||
			len(issued.Token.Scopes) != len(c.request.Scopes) {
			t.Errorf("%s: a part of it is lost", c.name)
		}
	}
}

func validFromBeginningToEnd(t *testing.T) {
	store := tokenstoretest.New(t)
	text := store.Issued(tokenstore.Request{Owner: "alice", Scopes: []string{"read"}, Lifetime: 3 * time.Hour,
		NotBefore: store.Clock.Now().Add(time.Hour)}).Secret.Reveal()
	for _, step := range []struct {
		by   time.Duration
		want string
	}{
		{0, "pending"}, {time.Hour - time.Millisecond, "pending"}, {time.Millisecond, "valid"},
		{2*time.Hour - time.Millisecond, "valid"}, {time.Millisecond, "expired"}, {time.Hour, "expired"},
	} {
		store.Clock.Advance(step.by)
		// From storage, and again from memory.
		wantOutcome(t, store.Store, text, "read", step.want)
		wantOutcome(t, store.Store, text, "read", step.want)
	}
}

func statesInTheirOrder(t *testing.T) {
	store := tokenstoretest.New(t)
	issued := store.Issued(tokenstore.Request{Owner: "alice", Lifetime: 2 * time.Hour, NotBefore: store.Clock.Now().Add(time.Hour)})
	id := issued.Token.ID
	want := func(state tokenstore.State) {
		t.Helper()
		token, err := store.Get(ctx, host, id)
		if err != nil || token.State != state {
			t.Errorf("the state is %v, not %v: %v", token.State, state, err)
		}
		page, err := store.List(ctx, host, tokenstore.Query{State: state})
		if err != nil || len(page.Tokens) != 1 {
			t.Errorf("%d tokens are %v: %v", len(page.Tokens), state, err)
		}
	}
	want(tokenstore.StatePending)
	store.Clock.Advance(time.Hour)
	want(tokenstore.StateActive)
	store.Clock.Advance(time.Hour)
	want(tokenstore.StateExpired)
	if _, err := store.Revoke(ctx, host, id, ""); err != nil {
		t.Error(err)
	}
	want(tokenstore.StateRevoked)
}

func endsComeForward(t *testing.T) {
	store := tokenstoretest.New(t)
	issued := store.Issued(tokenstore.Request{Owner: "alice", Scopes: []string{"read"}, Lifetime: time.Hour})
	text, id, end := issued.Secret.Reveal(), issued.Token.ID, issued.Token.ExpiresAt
	for _, later := range []time.Duration{time.Millisecond, time.Hour, 1 << 62} {
		_, err := store.Expire(ctx, host, id, end.Add(later))
		wantError(t, err, tokenstore.ErrInvalidArgument)
	}
	wantOutcome(t, store.Store, text, "read", "valid")
	if token, err := store.Expire(ctx, host, id, end.Add(-time.Minute)); err != nil || !token.ExpiresAt.Equal(end.Add(-time.Minute)) {
		t.Errorf("ends at %v: %v", token.ExpiresAt, err)
	}
	wantOutcome(t, store.Store, text, "read", "valid")
	if _, err := store.Expire(ctx, host, id, time.Time{}); err != nil {
		t.Error(err)
	}
	wantOutcome(t, store.Store, text, "read", "expired")
	// What has ended is not put off either.
	if token, err := store.Expire(ctx, host, id, end); err == nil && token.State != tokenstore.StateExpired {
		t.Errorf("the token is %v again", token.State)
	}
	wantOutcome(t, store.Store, text, "read", "expired")
}

func revokingIsFinal(t *testing.T) {
	store := tokenstoretest.New(t)
	issued := store.Issued(tokenstore.Request{Owner: "alice", Scopes: []string{"read"}})
	first, err := store.Revoke(ctx, alice, issued.Token.ID, "lost")
	if err != nil || first.RevokedBy != "user:alice" || first.RevokeReason != "lost" || first.RevokedAt.IsZero() {
		t.Errorf("%+v: %v", first, err)
	}
	store.Clock.Advance(time.Minute)
	second, err := store.Revoke(ctx, root, issued.Token.ID, "again")
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("%+v became %+v: %v", first, second, err)
	}
	if _, err = store.Resume(ctx, root, "alice"); err != nil {
		t.Error(err)
	}
	wantOutcome(t, store.Store, issued.Secret.Reveal(), "read", "revoked")
}

func endedRowsStay(t *testing.T) {
	store := tokenstoretest.New(t)
	revoked := store.Issued(tokenstore.Request{Owner: "alice", Lifetime: 48 * time.Hour}).Token.ID
	expired := store.Issued(tokenstore.Request{Owner: "alice", Lifetime: time.Hour}).Token.ID
	living := store.Issued(tokenstore.Request{Owner: "alice", Lifetime: 300 * 24 * time.Hour}).Token.ID
	if _, err := store.Revoke(ctx, alice, revoked, ""); err != nil {
		t.Fatal(err)
	}
	store.Clock.Advance(30 * 24 * time.Hour)
	counts, err := store.Count(ctx, alice, "")
	if err != nil || counts != (tokenstore.Counts{Active: 1, Expired: 1, Revoked: 1}) {
		t.Errorf("there are %+v: %v", counts, err)
	}
	if removed, complete, err := store.Purge(ctx, host, store.Clock.Now(), time.Minute); removed != 2 || !complete || err != nil {
		t.Errorf("%d removed, complete %v: %v", removed, complete, err)
	}
	for id, want := range map[string]error{revoked: tokenstore.ErrNotFound, expired: tokenstore.ErrNotFound, living: nil} {
		if _, err := store.Get(ctx, alice, id); !errors.Is(err, want) {
			t.Errorf("after the purge: %v, not %v", err, want)
		}
	}
}

func suspensionIsOfOneOwner(t *testing.T) {
	store := tokenstoretest.New(t)
	one, two, other := store.Token("alice", "read"), store.Token("alice", "read"), store.Token("bob", "read")
	want := func(outcome string) {
		t.Helper()
		for text, wanted := range map[string]string{one: outcome, two: outcome, other: "valid"} {
			wantOutcome(t, store.Store, text, "read", wanted)
		}
	}
	for i := 0; i < 3; i++ {
		want("valid")
		if _, err := store.Suspend(ctx, root, "alice", ""); err != nil {
			t.Fatal(err)
		}
		want("owner_suspended")
		_, err := store.Issue(ctx, alice, tokenstore.Request{})
		wantError(t, err, tokenstore.ErrRefused)
		if _, err = store.Resume(ctx, root, "alice"); err != nil {
			t.Fatal(err)
		}
	}
	want("valid")
}

func policyDefaults(t *testing.T) {
	store := openMemory(t)
	want := tokenstore.Policy{LongestLifetime: 366 * 24 * time.Hour, DefaultLifetime: 90 * 24 * time.Hour}
	if policy, err := store.Policy(ctx, host); err != nil || policy != want {
		t.Errorf("the policy is %+v: %v", policy, err)
	}
	if err := store.SetPolicy(ctx, root, tokenstore.Policy{}); err != nil {
		t.Error(err)
	}
	if policy, err := store.Policy(ctx, host); err != nil || policy != want {
		t.Errorf("the zero policy is %+v: %v", policy, err)
	}
}

// onToken is each call that names a token.
var onToken = map[string]func(*tokenstore.Store, tokenstore.Actor, string) error{
	"get": func(s *tokenstore.Store, actor tokenstore.Actor, id string) error {
		_, err := s.Get(ctx, actor, id)
		return err
	},
	"expire": func(s *tokenstore.Store, actor tokenstore.Actor, id string) error {
		_, err := s.Expire(ctx, actor, id, time.Time{})
		return err
	},
	"revoke": func(s *tokenstore.Store, actor tokenstore.Actor, id string) error {
		_, err := s.Revoke(ctx, actor, id, "")
		return err
	},
	"delete": func(s *tokenstore.Store, actor tokenstore.Actor, id string) error { return s.Delete(ctx, actor, id) },
}

func actorsMayDoWhatIsTheirs(t *testing.T) {
	store := tokenstoretest.New(t)
	unknown := "0123456789abcdef"
	for name, call := range onToken {
		text := store.Issued(tokenstore.Request{Owner: "alice", Scopes: []string{"read"}})
		theirs, nobodys := call(store.Store, bob, text.Token.ID), call(store.Store, bob, unknown)
		wantError(t, theirs, tokenstore.ErrNotFound)
		if theirs == nil || nobodys == nil || theirs.Error() != nobodys.Error() {
			t.Errorf("%s: another's is %v, and nobody's %v", name, theirs, nobodys)
		}
		wantOutcome(t, store.Store, text.Secret.Reveal(), "read", "valid")
		for _, actor := range []tokenstore.Actor{alice, root, host} {
			id := store.Issued(tokenstore.Request{Owner: "alice"}).Token.ID
			if err := call(store.Store, actor, id); err != nil {
				t.Errorf("%s by %v: %v", name, actor, err)
			}
		}
	}
	// An administrator issues for themselves alone; whoever sets rules is no user.
	_, err := store.Issue(ctx, root, tokenstore.Request{Owner: "alice"})
	wantError(t, err, tokenstore.ErrPermissionDenied)
	if _, err = store.Issue(ctx, root, tokenstore.Request{}); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"policy":  store.SetPolicy(ctx, alice, tokenstore.Policy{}),
		"suspend": func() error { _, err := store.Suspend(ctx, alice, "bob", ""); return err }(),
		"resume":  func() error { _, err := store.Resume(ctx, alice, "alice"); return err }(),
		"owner":   func() error { _, err := store.SetOwner(ctx, alice, "alice", tokenstore.OwnerSettings{}); return err }(),
		"purge":   func() error { _, _, err := store.Purge(ctx, alice, time.Now(), 0); return err }(),
	} {
		if !errors.Is(err, tokenstore.ErrPermissionDenied) {
			t.Errorf("%s by a user: %v", name, err)
		}
	}
	page, err := store.List(ctx, bob, tokenstore.Query{})
	if err != nil || len(page.Tokens) != 0 {
		t.Errorf("bob sees %d tokens: %v", len(page.Tokens), err)
	}
}
