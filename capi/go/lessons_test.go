package tokenstore_test

import (
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tokenstore.example/tokenstore"
	"tokenstore.example/tokenstore/tokenstoretest"
)

// What went wrong in other systems, each as a test of what must hold here instead. Those that have a test of their own
// elsewhere:
//
//	0 means the policy's default, never for ever              TestZeroIsTheDefaultAndOnlyNeverIsNever
//	a user never issues for another owner                     TestAUserIssuesForNobodyElse
//	a secret is in no log, error or encoding                  TestASecretPrintsAsNothing, TestNoErrorHoldsAToken
//	a route cannot forget its scope                           TestARouteWithoutAScopeIsNotGuarded
//	a token in a URL counts for nothing                       TestAGuardedRouteAnswersAsRFC6750Says
//	storage that waits stalls nobody whom memory can answer   TestOthersGoOnWhileSomeWait
//	secrets as platforms hand them over are taken             TestAKeyringGoesThroughFileAndText
//	the module builds from its zip, from an empty cache       tests/go of the tree
//
// What a cgo call cannot reach (comparison in constant time, faults below SQLite) is tested below it, in C++.
func TestLessons(t *testing.T) {
	for _, lesson := range []struct {
		name string
		test func(*testing.T)
	}{
		{"nothing outlives its cap, and never is no by-product", nothingOutlivesItsCap},
		{"a token without scopes may do nothing", noScopesNothing},
		{"an ending that storage fails is an error, and holds here all the same", endingsThatStorageFails},
		{"an ending whose reply is lost is unknown, and holds", endingsWhoseReplyIsLost},
		{"a validation that races an ending does not bring the token back", racingValidations},
		{"what was issued before all is revoked does not survive it", revokeAllLeavesNothing},
		{"of those who race for the last places under a cap, exactly as many win as there are", racersForTheLastPlaces},
		{"a name of another workspace is unknown, to everybody and in every call", otherWorkspaces},
		{"a token of another store under the same key is unknown", otherStores},
		{"a retired key vouches for nothing, and one that only verifies for what it made", retiredKeys},
		{"a change costs others what it changes, and not what they remember", largeChanges},
		{"ids that differ in case are different tokens", idsThatDifferInCase},
		{"wildcards, quotes and NUL in a text are literal", wildcardsAreLiteral},
		{"a cache that overflows drops no revocation and no limit", overflowingCache},
		{"uses are written once an interval, not once a request", usesAreCoalesced},
		{"an audit log that hangs hangs its own request alone", hangingAuditLog},
		{"a wrong secret answers the same, whatever the token's state", wrongSecretTellsNothing},
		{"a row that was changed in the file is tampered", changedRowsAreTampered},
		{"the secret is in no file, and nothing in the files is a token", filesHoldNoToken},
	} {
		t.Run(lesson.name, lesson.test)
	}
}

func nothingOutlivesItsCap(t *testing.T) {
	store := tokenstoretest.New(t)
	for _, longest := range []time.Duration{time.Millisecond, 999 * time.Millisecond, time.Second, 24 * time.Hour} {
		if err := store.SetPolicy(ctx, host, tokenstore.Policy{LongestLifetime: longest}); err != nil {
			t.Fatal(err)
		}
		for _, lifetime := range []time.Duration{0, 1, time.Millisecond - 1, time.Millisecond, longest - time.Millisecond, longest - 1, longest,
			longest + 1, longest + time.Millisecond, longest + time.Second, math.MaxInt64, tokenstore.Never, -2, math.MinInt64} {
			for _, ahead := range []time.Duration{0, time.Millisecond, longest - 1, longest} {
				issued, err := store.Issue(ctx, host, tokenstore.Request{Owner: "alice", Lifetime: lifetime,
					NotBefore: store.Clock.Now().Add(ahead)})
				if err != nil {
					continue
				}
				if token := issued.Token; token.ExpiresAt.IsZero() || token.ExpiresAt.Sub(token.CreatedAt) > longest {
					t.Errorf("of at most %v, %v asked for: it ends at %v", longest, lifetime, token.ExpiresAt)
				}
				store.Clock.Advance(time.Millisecond)
			}
		}
	}
	counts, err := store.Count(ctx, host, "")
	if issued := counts.Active + counts.Pending + counts.Expired; err != nil || issued < 20 {
		t.Errorf("only %d were issued: %v", issued, err)
	}
}

func noScopesNothing(t *testing.T) {
	store := openMemory(t)
	for _, scopes := range [][]string{nil, {}} {
		text := issue(t, store, "alice", scopes...).Secret.Reveal()
		for _, scope := range []string{"read", "", "*", "admin"} {
			wantOutcome(t, store, text, scope, "insufficient_scope")
		}
	}
}

// endings are all that stop a token of alice's.
var endings = map[string]func(*tokenstore.Store, string) error{
	"revoke":  func(s *tokenstore.Store, id string) error { _, err := s.Revoke(ctx, host, id, ""); return err },
	"expire":  func(s *tokenstore.Store, id string) error { _, err := s.Expire(ctx, host, id, time.Time{}); return err },
	"delete":  func(s *tokenstore.Store, id string) error { return s.Delete(ctx, host, id) },
	"suspend": func(s *tokenstore.Store, _ string) error { _, err := s.Suspend(ctx, host, "alice", ""); return err },
	"revoke all": func(s *tokenstore.Store, _ string) error {
		_, err := s.RevokeAll(ctx, host, "alice", "")
		return err
	},
	"may not use": func(s *tokenstore.Store, _ string) error {
		_, err := s.SetOwner(ctx, host, "alice", tokenstore.OwnerSettings{MayNotUse: true})
		return err
	},
	"tokens disabled": func(s *tokenstore.Store, _ string) error {
		return s.SetPolicy(ctx, host, tokenstore.Policy{TokensDisabled: true})
	},
}

func endingsThatStorageFails(t *testing.T) {
	for name, end := range endings {
		for _, warm := range []bool{false, true} {
			store := tokenstoretest.New(t)
			issued := store.Issued(tokenstore.Request{Owner: "alice", Scopes: []string{"read"}})
			text := issued.Secret.Reveal()
			if warm {
				wantOutcome(t, store.Store, text, "read", "valid")
				wantOutcome(t, store.Store, text, "read", "valid")
			}
			store.Storage.Fail()
			if err := end(store.Store, issued.Token.ID); !errors.Is(err, tokenstore.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
			store.Storage.Recover()
			if got := outcome(t, store.Store, text, "read"); got == "valid" {
				t.Errorf("%s, remembered %v: the token goes on", name, warm)
			}
			// Repeated with success, it is in storage too.
			if err := end(store.Store, issued.Token.ID); err != nil {
				t.Errorf("%s again: %v", name, err)
			}
			if got := outcome(t, store.Store, text, "read"); got == "valid" {
				t.Errorf("%s, repeated: the token goes on", name)
			}
		}
	}
}

func endingsWhoseReplyIsLost(t *testing.T) {
	for name, end := range endings {
		store := tokenstoretest.New(t)
		issued := store.Issued(tokenstore.Request{Owner: "alice", Scopes: []string{"read"}})
		text := issued.Secret.Reveal()
		wantOutcome(t, store.Store, text, "read", "valid")
		store.Storage.LoseReplies()
		if err := end(store.Store, issued.Token.ID); !errors.Is(err, tokenstore.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		store.Storage.Recover()
		if got := outcome(t, store.Store, text, "read"); got == "valid" {
			t.Errorf("%s: the token goes on", name)
		}
	}
}

func racingValidations(t *testing.T) {
	for round := 0; round < 50; round++ {
		for name, end := range endings {
			store := tokenstoretest.New(t)
			issued := store.Issued(tokenstore.Request{Owner: "alice", Scopes: []string{"read"}})
			text := issued.Secret.Reveal()
			// Both wait in storage: the validation with what it is about to remember.
			store.Storage.Wait()
			var wait sync.WaitGroup
			wait.Add(2)
			go func() { defer wait.Done(); outcome(t, store.Store, text, "read") }()
			go func() {
				defer wait.Done()
				if err := end(store.Store, issued.Token.ID); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}()
			time.Sleep(time.Millisecond)
			store.Storage.Recover()
			wait.Wait()
			if got := outcome(t, store.Store, text, "read"); got == "valid" {
				t.Fatalf("%s: the token is back", name)
			}
			_ = store.Close()
		}
	}
}

func revokeAllLeavesNothing(t *testing.T) {
	store := openFile(t)
	var mutex sync.Mutex
	var texts []string
	var wait sync.WaitGroup
	stop := make(chan struct{})
	for i := 0; i < 4; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for {
				issued, err := store.Issue(ctx, host, tokenstore.Request{Owner: "alice", Scopes: []string{"read"}})
				if err != nil && !errors.Is(err, tokenstore.ErrRefused) && !errors.Is(err, tokenstore.ErrConflict) {
					t.Error(err)
					return
				}
				if err == nil {
					text := issued.Secret.Reveal()
					outcome(t, store, text, "read") // into the cache
					mutex.Lock()
					texts = append(texts, text)
					mutex.Unlock()
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
	}
	revoked := uint64(0)
	for round := 0; round < 10; round++ {
		time.Sleep(2 * time.Millisecond)
		mutex.Lock()
		before := append([]string(nil), texts...)
		mutex.Unlock()
		count, err := store.RevokeAll(ctx, root, "alice", "")
		if err != nil && !errors.Is(err, tokenstore.ErrNotFound) {
			t.Fatal(err)
		}
		revoked += count
		for _, text := range before {
			wantOutcome(t, store, text, "read", "revoked")
		}
	}
	close(stop)
	wait.Wait()
	if revoked == 0 {
		t.Error("nothing was revoked, so nothing raced")
	}
	// What the list calls active is what validates, and no more.
	active := uint64(0)
	for _, text := range texts {
		if outcome(t, store, text, "read") == "valid" {
			active++
		}
	}
	if counts, err := store.Count(ctx, host, "alice"); err != nil || counts.Active != active {
		t.Errorf("%d are valid, and %d are called so: %v", active, counts.Active, err)
	}
}

func racersForTheLastPlaces(t *testing.T) {
	const racers, places = 64, 5
	for name, store := range map[string]*tokenstore.Store{"memory": openMemory(t), "file": openFile(t)} {
		if err := store.SetPolicy(ctx, host, tokenstore.Policy{MostActivePerOwner: places}); err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		results := make(chan error, racers)
		begin := make(chan struct{})
		for i := 0; i < racers; i++ {
			wait.Add(1)
			go func() {
				defer wait.Done()
				<-begin
				for {
					_, err := store.Issue(ctx, alice, tokenstore.Request{})
					if !errors.Is(err, tokenstore.ErrConflict) {
						results <- err
						return
					}
				}
			}()
		}
		close(begin)
		wait.Wait()
		close(results)
		won := 0
		for err := range results {
			if err == nil {
				won++
			} else if !errors.Is(err, tokenstore.ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if counts, err := store.Count(ctx, host, "alice"); won != places || err != nil || counts.Active != places {
			t.Errorf("%s: %d won, and there are %+v: %v", name, won, counts, err)
		}
	}
}

func idsThatDifferInCase(t *testing.T) {
	swap := func(text string, at int) string {
		letter := text[at : at+1]
		if upper := strings.ToUpper(letter); upper != letter {
			return text[:at] + upper + text[at+1:]
		}
		return text[:at] + strings.ToLower(letter) + text[at+1:]
	}
	for name, store := range map[string]*tokenstore.Store{"memory": openMemory(t), "file": openFile(t)} {
		tried := 0
		issued := issue(t, store, "alice", "read")
		for at := range issued.Token.ID {
			other := swap(issued.Token.ID, at)
			if other == issued.Token.ID {
				continue
			}
			tried++
			_, err := store.Get(ctx, host, other)
			wantError(t, err, tokenstore.ErrNotFound)
		}
		text := issued.Secret.Reveal()
		for at := range text {
			if other := swap(text, at); other != text {
				if got := outcome(t, store, other, "read"); got != "malformed" {
					t.Errorf("%s: in another case it is %s", name, got)
				}
			}
		}
		if tried == 0 {
			t.Errorf("%s: the id has no letter", name)
		}
		issue(t, store, "Alice")
		for _, owner := range []string{"alice", "Alice"} {
			if counts, err := store.Count(ctx, host, owner); err != nil || counts.Active != 1 {
				t.Errorf("%s: %s has %+v: %v", name, owner, counts, err)
			}
		}
	}
}

func wildcardsAreLiteral(t *testing.T) {
	for name, store := range map[string]*tokenstore.Store{"memory": openMemory(t), "file": openFile(t)} {
		for _, description := range []string{"plain", "100%", "a_b", `quo"te`, "quo'te", `back\slash`, "'; DROP TABLE tokens; --"} {
			request := tokenstore.Request{Owner: description, Description: description}
			if _, err := store.Issue(ctx, host, request); err != nil {
				t.Fatalf("%s: %q: %v", name, description, err)
			}
			for _, query := range []tokenstore.Query{{Text: description}, {Owner: description}} {
				page, err := store.List(ctx, host, query)
				if err != nil || len(page.Tokens) != 1 || page.Tokens[0].Description != description {
					t.Errorf("%s: %+v finds %d tokens: %v", name, query, len(page.Tokens), err)
				}
			}
		}
		for _, text := range []string{"%", "_", `"`, "'", `\`} {
			page, err := store.List(ctx, host, tokenstore.Query{Text: text})
			for _, token := range page.Tokens {
				if !strings.Contains(token.Description, text) {
					t.Errorf("%s: %q finds %q", name, text, token.Description)
				}
			}
			if err != nil || len(page.Tokens) == 0 || len(page.Tokens) > 2 {
				t.Errorf("%s: %q finds %d tokens: %v", name, text, len(page.Tokens), err)
			}
		}
		for _, text := range []string{"a\x00b", "plain\x00"} {
			if page, err := store.List(ctx, host, tokenstore.Query{Text: text}); err == nil && len(page.Tokens) != 0 {
				t.Errorf("%s: %q finds %d tokens", name, text, len(page.Tokens))
			}
			_, err := store.Get(ctx, host, text)
			wantError(t, err, tokenstore.ErrNotFound)
		}
	}
}

func overflowingCache(t *testing.T) {
	store := openFile(t, tokenstore.WithCacheBytes(64<<10))
	if err := store.SetPolicy(ctx, host, tokenstore.Policy{MostActivePerOwner: 1000}); err != nil {
		t.Fatal(err)
	}
	requests := make([]tokenstore.Request, 1000)
	for i := range requests {
		requests[i] = tokenstore.Request{Owner: "alice", Scopes: []string{"read"}}
	}
	issued, err := store.IssueMany(ctx, host, requests)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 2; i++ {
		for _, one := range issued {
			wantOutcome(t, store, one.Secret.Reveal(), "read", "valid")
		}
	}
	for i, one := range issued {
		if i%10 == 0 {
			if _, err = store.Revoke(ctx, host, one.Token.ID, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	statistics, err := store.Statistics()
	if err != nil || statistics.Evictions+statistics.NotKeptNoRoom == 0 {
		t.Errorf("it did not overflow: %+v: %v", statistics, err)
	}
	for i := 0; i < 2; i++ {
		for j, one := range issued {
			want := "valid"
			if j%10 == 0 {
				want = "revoked"
			}
			wantOutcome(t, store, one.Secret.Reveal(), "read", want)
		}
	}
	for i := 0; i < 101; i++ {
		if _, err = store.Issue(ctx, host, tokenstore.Request{Owner: "alice"}); err != nil {
			if i != 100 || !errors.Is(err, tokenstore.ErrRefused) {
				t.Errorf("number %d: %v", i, err)
			}
			return
		}
	}
	t.Error("the cap is gone")
}

func usesAreCoalesced(t *testing.T) {
	store := tokenstoretest.New(t)
	text := store.Token("alice", "read")
	for i := 0; i < 1000; i++ {
		wantOutcome(t, store.Store, text, "read", "valid")
		if i%100 == 0 {
			if _, err := store.Maintain(ctx, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	store.Clock.Advance(2 * time.Minute)
	if _, err := store.Maintain(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if statistics, err := store.Statistics(); err != nil || statistics.UsesWritten > 2 || statistics.UsesWritten == 0 {
		t.Errorf("1000 uses were written %d times: %v", statistics.UsesWritten, err)
	}
}

func hangingAuditLog(t *testing.T) {
	store := tokenstoretest.New(t)
	hang := make(chan struct{})
	guard := tokenstore.Guard{Denied: func(*http.Request, tokenstore.Verdict, error) { <-hang }}
	route := guard.Require(store.Store, "read")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	ask := func(text string) int {
		request := httptest.NewRequest("GET", "/", nil)
		request.Header.Set("Authorization", "Bearer "+text)
		answer := httptest.NewRecorder()
		route.ServeHTTP(answer, request)
		return answer.Code
	}
	hung := make(chan int)
	go func() { hung <- ask("nonsense") }()
	issued := store.Issued(tokenstore.Request{Owner: "alice", Scopes: []string{"read"}})
	soon(t, func() {
		for i := 0; i < 100; i++ {
			if status := ask(issued.Secret.Reveal()); status != 200 {
				t.Errorf("while the log hangs: %d", status)
			}
		}
		if _, err := store.Revoke(ctx, host, issued.Token.ID, ""); err != nil {
			t.Error(err)
		}
	})
	close(hang)
	if status := <-hung; status != 401 {
		t.Errorf("the one that was denied is told %d", status)
	}
}
