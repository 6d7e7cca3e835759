package tokenstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"
	"time"

	"tokenstore.example/tokenstore"
)

var ctx = context.Background()

func openFile(t testing.TB, options ...tokenstore.Option) *tokenstore.Store {
	t.Helper()
	return must(tokenstore.Open(filepath.Join(t.TempDir(), "tokens.db"), options...))(t)
}

func openMemory(t testing.TB, options ...tokenstore.Option) *tokenstore.Store {
	t.Helper()
	return must(tokenstore.OpenMemory(options...))(t)
}

// must closes the store at the end of the test.
func must(store *tokenstore.Store, err error) func(testing.TB) *tokenstore.Store {
	return func(t testing.TB) *tokenstore.Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
}

func issue(t testing.TB, store *tokenstore.Store, owner string, scopes ...string) tokenstore.Issued {
	t.Helper()
	issued, err := store.Issue(ctx, tokenstore.Host(), tokenstore.Request{Owner: owner, Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func outcome(t testing.TB, store *tokenstore.Store, text, scope string) string {
	t.Helper()
	verdict, err := store.Validate(ctx, text, tokenstore.Demand{Scope: scope})
	if err != nil {
		t.Fatal(err)
	}
	defer verdict.Release()
	if verdict.Reason() != tokenstore.NoReason {
		return verdict.Reason().String()
	}
	return verdict.Outcome().String()
}

func wantOutcome(t testing.TB, store *tokenstore.Store, text, scope, want string) {
	t.Helper()
	if got := outcome(t, store, text, scope); got != want {
		t.Errorf("the answer is %q, not %q", got, want)
	}
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("the error is %v, not %v", err, want)
	}
}

func TestATokenLivesFromIssueToDelete(t *testing.T) {
	for name, open := range map[string]func(testing.TB, ...tokenstore.Option) *tokenstore.Store{
		"memory": openMemory, "file": openFile} {
		t.Run(name, func(t *testing.T) {
			store := open(t, tokenstore.WithPrefix("acme"), tokenstore.WithWorkspace("blue"))
			alice := tokenstore.User("alice")
			issued, err := store.Issue(ctx, alice, tokenstore.Request{Scopes: []string{"notes:write", "notes:read"},
				Description: "laptop", Metadata: []byte("a\x00b"), Lifetime: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			text := issued.Secret.Reveal()
			if !strings.HasPrefix(text, "acme_1") || len(text) > tokenstore.TokenTextMax {
				t.Errorf("a text of %d bytes", len(text))
			}
			token := issued.Token
			if token.Owner != "alice" || token.Description != "laptop" || token.CreatedBy != "user:alice" ||
				!reflect.DeepEqual(token.Scopes, []string{"notes:read", "notes:write"}) ||
				!bytes.Equal(token.Metadata, []byte("a\x00b")) || token.State != tokenstore.StateActive ||
				token.ExpiresAt.Sub(token.CreatedAt) != time.Hour || !token.RevokedAt.IsZero() || len(token.ID) != tokenstore.IDSize {
				t.Errorf("the token is %+v", token)
			}

			verdict, err := store.Validate(ctx, text, tokenstore.Demand{Scope: "notes:read", ClientAddress: "192.0.2.7"})
			if err != nil {
				t.Fatal(err)
			}
			if !verdict.Valid() || verdict.Owner() != "alice" || verdict.TokenID() != token.ID || verdict.HTTPStatus() != 200 ||
				!reflect.DeepEqual(verdict.Scopes(), token.Scopes) || !bytes.Equal(verdict.Metadata(), token.Metadata) ||
				!verdict.ExpiresAt().Equal(token.ExpiresAt) {
				t.Errorf("the verdict is %v of %q", verdict.Outcome(), verdict.Owner())
			}
			verdict.Release()
			wantOutcome(t, store, text, "notes:delete", "insufficient_scope")
			wantOutcome(t, store, text, "", "insufficient_scope")
			wantOutcome(t, store, text[:len(text)-1], "notes:read", "malformed")

			seen, err := store.Get(ctx, alice, token.ID)
			if err != nil || seen.LastUsedFrom != "192.0.2.7" || seen.LastUsedAt.IsZero() {
				t.Errorf("last used %v from %q: %v", seen.LastUsedAt, seen.LastUsedFrom, err)
			}
			_, err = store.Get(ctx, tokenstore.User("bob"), token.ID)
			wantError(t, err, tokenstore.ErrNotFound)

			earlier := token.ExpiresAt.Add(-time.Minute)
			if seen, err = store.Expire(ctx, alice, token.ID, earlier); err != nil || !seen.ExpiresAt.Equal(earlier) {
				t.Errorf("ends %v: %v", seen.ExpiresAt, err)
			}
			_, err = store.Expire(ctx, alice, token.ID, earlier.Add(time.Second))
			wantError(t, err, tokenstore.ErrInvalidArgument)

			if seen, err = store.Revoke(ctx, alice, token.ID, "lost my laptop"); err != nil || seen.RevokeReason != "lost my laptop" ||
				seen.RevokedBy != "user:alice" || seen.State != tokenstore.StateRevoked || seen.RevokedAt.IsZero() {
				t.Errorf("revoked: %+v: %v", seen, err)
			}
			wantOutcome(t, store, text, "notes:read", "revoked")
			if err = store.Delete(ctx, alice, token.ID); err != nil {
				t.Error(err)
			}
			wantError(t, store.Delete(ctx, alice, token.ID), tokenstore.ErrNotFound)
			wantOutcome(t, store, text, "notes:read", "unknown")
		})
	}
}

func TestAUserIssuesForNobodyElse(t *testing.T) {
	store := openMemory(t)
	for _, owner := range []string{"bob", "Alice", "alice ", "alice\x00"} {
		if _, err := store.Issue(ctx, tokenstore.User("alice"), tokenstore.Request{Owner: owner}); err == nil {
			t.Errorf("alice has a token of %q", owner)
		}
	}
	_, err := store.Issue(ctx, tokenstore.Host(), tokenstore.Request{})
	wantError(t, err, tokenstore.ErrInvalidArgument)
	_, err = store.Issue(ctx, tokenstore.Actor{}, tokenstore.Request{Owner: "alice"})
	wantError(t, err, tokenstore.ErrInvalidArgument)
}

func TestZeroIsTheDefaultAndOnlyNeverIsNever(t *testing.T) {
	store := openMemory(t)
	if token := issue(t, store, "alice").Token; token.ExpiresAt.Sub(token.CreatedAt) != 90*24*time.Hour {
		t.Errorf("a lifetime of 0 ends after %v", token.ExpiresAt.Sub(token.CreatedAt))
	}
	ask := func(lifetime time.Duration) (tokenstore.Token, error) {
		issued, err := store.Issue(ctx, tokenstore.Host(), tokenstore.Request{Owner: "alice", Lifetime: lifetime})
		return issued.Token, err
	}
	_, err := ask(tokenstore.Never)
	wantError(t, err, tokenstore.ErrRefused)
	_, err = ask(-time.Second)
	wantError(t, err, tokenstore.ErrInvalidArgument)
	_, err = ask(367 * 24 * time.Hour)
	wantError(t, err, tokenstore.ErrRefused)
	// What is shorter than the unit never becomes 0, which would be ninety days.
	if token, err := ask(time.Nanosecond); err != nil || token.ExpiresAt.Sub(token.CreatedAt) != time.Millisecond {
		t.Errorf("a nanosecond ends at %v: %v", token.ExpiresAt, err)
	}
	err = store.SetPolicy(ctx, tokenstore.Host(), tokenstore.Policy{NeverAllowed: true, LongestLifetime: tokenstore.Never})
	if err != nil {
		t.Fatal(err)
	}
	if token, err := ask(tokenstore.Never); err != nil || !token.ExpiresAt.IsZero() {
		t.Errorf("never ends at %v: %v", token.ExpiresAt, err)
	}
}

func TestThePolicyIsWhatWasSet(t *testing.T) {
	store := openMemory(t)
	want := tokenstore.Policy{LongestLifetime: 48 * time.Hour, DefaultLifetime: time.Hour, MostActivePerOwner: 2, NeverAllowed: true,
		UsersMayNotIssue: true}
	if err := store.SetPolicy(ctx, tokenstore.Administrator("root"), want); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Policy(ctx, tokenstore.Administrator("root")); err != nil || got != want {
		t.Errorf("the policy is %+v: %v", got, err)
	}
	_, err := store.Issue(ctx, tokenstore.User("alice"), tokenstore.Request{})
	wantError(t, err, tokenstore.ErrRefused)
	wantError(t, store.SetPolicy(ctx, tokenstore.User("alice"), tokenstore.Policy{}), tokenstore.ErrPermissionDenied)
	wantError(t, store.SetPolicy(ctx, tokenstore.Host(), tokenstore.Policy{DefaultLifetime: -2}), tokenstore.ErrInvalidArgument)
	issue(t, store, "alice")
	text := issue(t, store, "alice", "read").Secret.Reveal()
	_, err = store.Issue(ctx, tokenstore.Host(), tokenstore.Request{Owner: "alice"})
	wantError(t, err, tokenstore.ErrRefused)
	want.TokensDisabled = true
	if err = store.SetPolicy(ctx, tokenstore.Host(), want); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, store, text, "read", "tokens_disabled")
}

func TestManyTokensAreIssuedOrNone(t *testing.T) {
	store := openFile(t)
	if issued, err := store.IssueMany(ctx, tokenstore.Host(), nil); err != nil || issued != nil {
		t.Errorf("none: %v, %v", issued, err)
	}
	requests := make([]tokenstore.Request, 25)
	for i := range requests {
		requests[i] = tokenstore.Request{Owner: fmt.Sprint("owner", i), Scopes: []string{"read"}}
	}
	issued, err := store.IssueMany(ctx, tokenstore.Host(), requests)
	if err != nil || len(issued) != len(requests) {
		t.Fatalf("%d issued: %v", len(issued), err)
	}
	for i, one := range issued {
		if one.Token.Owner != requests[i].Owner {
			t.Errorf("number %d is of %s", i, one.Token.Owner)
		}
		wantOutcome(t, store, one.Secret.Reveal(), "read", "valid")
	}
	requests[24].Owner = "a\nb"
	_, err = store.IssueMany(ctx, tokenstore.Host(), requests)
	wantError(t, err, tokenstore.ErrInvalidArgument)
	if counts, err := store.Count(ctx, tokenstore.Host(), ""); err != nil || counts.Active != 25 {
		t.Errorf("there are %+v: %v", counts, err)
	}
}

func TestScopesAreElements(t *testing.T) {
	store := openMemory(t)
	for _, scopes := range [][]string{{"a b"}, {""}, {"a", " "}, {"ä"}, {"a\x00"}} {
		_, err := store.Issue(ctx, tokenstore.Host(), tokenstore.Request{Owner: "alice", Scopes: scopes})
		wantError(t, err, tokenstore.ErrInvalidArgument)
	}
}

func TestListsGoThroughEverythingNewestFirst(t *testing.T) {
	store := openFile(t)
	var want []string
	for i := 0; i < 120; i++ {
		want = append(want, issue(t, store, "alice").Token.ID)
	}
	// Ids are in the order of age, to the millisecond.
	sort.Sort(sort.Reverse(sort.StringSlice(want)))
	issue(t, store, "bob")
	var got []string
	tokens := store.Tokens(ctx, tokenstore.User("alice"), tokenstore.Query{Limit: 50})
	for tokens.Next() {
		got = append(got, tokens.Entry().ID)
	}
	if tokens.Err() != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%d of %d tokens, or another order: %v", len(got), len(want), tokens.Err())
	}
	page, err := store.List(ctx, tokenstore.Host(), tokenstore.Query{Limit: 1, Owner: "bob", State: tokenstore.StateActive})
	if err != nil || len(page.Tokens) != 1 || page.Tokens[0].Owner != "bob" {
		t.Errorf("bob's page is %+v: %v", page, err)
	}
	for _, query := range []tokenstore.Query{{Limit: -1}, {Limit: tokenstore.PageMax + 1}, {Cursor: "no cursor"}, {State: 99}} {
		_, err = store.List(ctx, tokenstore.Host(), query)
		wantError(t, err, tokenstore.ErrInvalidArgument)
		broken := store.Tokens(ctx, tokenstore.Host(), query)
		for i := 0; i < 2; i++ {
			if broken.Next() {
				t.Errorf("%+v lists something", query)
			}
		}
		wantError(t, broken.Err(), tokenstore.ErrInvalidArgument)
	}
	counts, err := store.Count(ctx, tokenstore.Host(), "alice")
	if err != nil || counts != (tokenstore.Counts{Active: 120}) {
		t.Errorf("there are %+v: %v", counts, err)
	}
	revoked, err := store.RevokeAll(ctx, tokenstore.Host(), "alice", "gone")
	if err != nil || revoked != 120 {
		t.Errorf("%d revoked: %v", revoked, err)
	}
}

func TestASuspendedOwnerIsDeniedAtOnce(t *testing.T) {
	store := openFile(t)
	text := issue(t, store, "alice", "read").Secret.Reveal()
	wantOutcome(t, store, text, "read", "valid")
	root := tokenstore.Administrator("root")
	owner, err := store.Suspend(ctx, root, "alice", "left")
	if err != nil || !owner.Suspended || owner.SuspendedBy != "administrator:root" || owner.SuspendReason != "left" ||
		owner.SuspendedAt.IsZero() || owner.Name != "alice" {
		t.Errorf("the owner is %+v: %v", owner, err)
	}
	wantOutcome(t, store, text, "read", "owner_suspended")
	if owner, err = store.Resume(ctx, root, "alice"); err != nil || owner.Suspended {
		t.Errorf("the owner is %+v: %v", owner, err)
	}
	wantOutcome(t, store, text, "read", "valid")
	settings := tokenstore.OwnerSettings{MayNotIssue: true, MayNotUse: true}
	if owner, err = store.SetOwner(ctx, root, "alice", settings); err != nil || owner.Settings != settings {
		t.Errorf("the owner is %+v: %v", owner, err)
	}
	wantOutcome(t, store, text, "read", "owner_may_not_use")
	if owner, err = store.Owner(ctx, root, "alice"); err != nil || owner.Settings != settings {
		t.Errorf("the owner is %+v: %v", owner, err)
	}
	_, err = store.Owner(ctx, root, "nobody")
	wantError(t, err, tokenstore.ErrNotFound)
	_, err = store.Suspend(ctx, tokenstore.User("alice"), "alice", "")
	wantError(t, err, tokenstore.ErrPermissionDenied)

	for i := 0; i < 60; i++ {
		issue(t, store, fmt.Sprintf("owner %02d", i))
	}
	var names []string
	owners := store.Owners(ctx, root)
	for owners.Next() {
		names = append(names, owners.Entry().Name)
	}
	if owners.Err() != nil || len(names) != 61 || names[0] != "alice" || names[60] != "owner 59" {
		t.Errorf("%d owners: %v", len(names), owners.Err())
	}
	_, err = store.ListOwners(ctx, root, "", -1)
	wantError(t, err, tokenstore.ErrInvalidArgument)
}

func TestUpkeepPurgesChecksAndReseals(t *testing.T) {
	first := bytes.Repeat([]byte{7}, tokenstore.MasterKeySize)
	keys, err := tokenstore.KeyringFromBytes(first, "")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tokens.db")
	store := must(tokenstore.Open(path, tokenstore.WithKeyring(keys), tokenstore.WithUseInterval(time.Millisecond)))(t)
	issued := issue(t, store, "alice", "read")
	wantOutcome(t, store, issued.Secret.Reveal(), "read", "valid")
	time.Sleep(2 * time.Millisecond)
	if _, err = store.Maintain(ctx, 0); err != nil {
		t.Error(err)
	}
	statistics, err := store.Statistics()
	if err != nil || statistics.UsesWritten != 1 || statistics.Misses != 1 || statistics.CachedTokens != 1 {
		t.Errorf("the statistics are %+v: %v", statistics, err)
	}
	gone := issue(t, store, "alice")
	if _, err = store.Revoke(ctx, tokenstore.Host(), gone.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
	removed, complete, err := store.Purge(ctx, tokenstore.Host(), time.Now(), 0)
	if removed != 1 || !complete || err != nil {
		t.Errorf("%d removed, complete %v: %v", removed, complete, err)
	}
	_, _, err = store.Purge(ctx, tokenstore.Host(), time.Now(), -1)
	wantError(t, err, tokenstore.ErrInvalidArgument)
	_ = store.Close()

	newKeys, err := tokenstore.KeyringFromBytes(bytes.Repeat([]byte{9}, tokenstore.MasterKeySize), "0B")
	if err != nil {
		t.Fatal(err)
	}
	if err = newKeys.Add("0A", tokenstore.KeyVerifyOnly, first); err != nil {
		t.Fatal(err)
	}
	store = must(tokenstore.Open(path, tokenstore.WithKeyring(newKeys), tokenstore.MustExist()))(t)
	resealed, err := store.Reseal(ctx, tokenstore.Host(), "", 0)
	if err != nil || resealed.Resealed == 0 || resealed.Next != "" || resealed.Refused != 0 {
		t.Errorf("resealed %+v: %v", resealed, err)
	}
	report, err := store.Check(ctx, tokenstore.Host())
	if err != nil || report.Problems != 0 || report.Tokens != 1 || len(report.Lines) != 0 || len(report.Keys) != 2 {
		t.Errorf("the report is %+v: %v", report, err)
	}
	if why, at, err := store.WhyUnavailable(); why != "" || !at.IsZero() || err != nil {
		t.Errorf("unavailable because of %q: %v", why, err)
	}
}

func TestAStoreKnowsItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.db")
	store := must(tokenstore.Open(path, tokenstore.WithWorkspace("blue"), tokenstore.WithPrefix("acme")))(t)
	if store.Workspace() != "blue" || store.Prefix() != "acme" || store.CreatedKeyFile() != path+".key" {
		t.Errorf("%q, %q, %q", store.Workspace(), store.Prefix(), store.CreatedKeyFile())
	}
	if now, err := store.Now(); err != nil || time.Since(now) > time.Minute || time.Since(now) < -time.Minute {
		t.Errorf("now is %v: %v", now, err)
	}
	if pattern, err := store.ScannerPattern(); err != nil || !strings.Contains(pattern, "acme_") {
		t.Errorf("the pattern is %q: %v", pattern, err)
	}
	if tokenstore.VersionNumber() < 1000 || tokenstore.Version() == "" || tokenstore.ABIVersion() > 1000 {
		t.Errorf("%q, %d, %d", tokenstore.Version(), tokenstore.VersionNumber(), tokenstore.ABIVersion())
	}
}
