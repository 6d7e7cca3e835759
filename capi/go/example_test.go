package tokenstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"tokenstore.example/tokenstore"
)

// example is a store for the examples, which keep nothing.
func example() *tokenstore.Store {
	store, err := tokenstore.OpenMemory()
	if err != nil {
		log.Fatal(err)
	}
	return store
}

func exampleToken(store *tokenstore.Store) tokenstore.Issued {
	issued, err := store.Issue(context.Background(), tokenstore.User("alice"), tokenstore.Request{Scopes: []string{"notes:read"}})
	if err != nil {
		log.Fatal(err)
	}
	return issued
}

func ExampleOpen() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := tokenstore.Open(filepath.Join(folder, "tokens.db"), tokenstore.WithPrefix("acme"), tokenstore.WithUpkeep())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Prefix(), filepath.Base(store.CreatedKeyFile()))
	// Output: acme tokens.db.key
}

func ExampleOpenMemory() {
	store, err := tokenstore.OpenMemory(tokenstore.WithWorkspace("blue"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Workspace())
	// Output: blue
}

func ExampleStore_Issue() {
	store := example()
	defer store.Close()
	issued, err := store.Issue(context.Background(), tokenstore.User("alice"), tokenstore.Request{
		Description: "laptop", Scopes: []string{"notes:read"}, Lifetime: 30 * 24 * time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	text := issued.Secret.Reveal() // the only copy: give it to alice
	fmt.Println(len(text) > 80, issued.Secret, issued.Token.Owner, issued.Token.Scopes)
	// Output: true [redacted] alice [notes:read]
}

func ExampleStore_IssueMany() {
	store := example()
	defer store.Close()
	issued, err := store.IssueMany(context.Background(), tokenstore.Host(), []tokenstore.Request{{Owner: "alice"}, {Owner: "bob"}})
	fmt.Println(len(issued), issued[1].Token.Owner, err)
	// Output: 2 bob <nil>
}

func ExampleStore_Validate() {
	store := example()
	defer store.Close()
	text := exampleToken(store).Secret.Reveal()

	for _, scope := range []string{"notes:read", "notes:write"} {
		verdict, err := store.Validate(context.Background(), text, tokenstore.Demand{Scope: scope})
		if err != nil {
			log.Fatal(err) // storage cannot be asked: 503
		}
		fmt.Println(verdict.Valid(), verdict.Owner(), verdict.HTTPStatus(), verdict.Reason())
		verdict.Release()
	}
	// Output:
	// true alice 200 none
	// false alice 403 insufficient_scope
}

func ExampleRequire() {
	store := example()
	defer store.Close()
	notes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "the notes of %s", tokenstore.VerdictFrom(r.Context()).Owner())
	})
	route := tokenstore.Require(store, "notes:read")(notes)

	request := httptest.NewRequest("GET", "/notes", nil)
	request.Header.Set("Authorization", "Bearer "+exampleToken(store).Secret.Reveal())
	answer := httptest.NewRecorder()
	route.ServeHTTP(answer, request)
	fmt.Println(answer.Code, answer.Body)
	// Output: 200 the notes of alice
}

func ExampleStore_Revoke() {
	store := example()
	defer store.Close()
	token, err := store.Revoke(context.Background(), tokenstore.User("alice"), exampleToken(store).Token.ID, "lost my laptop")
	fmt.Println(token.State, token.RevokedBy, token.RevokeReason, err)
	// Output: revoked user:alice lost my laptop <nil>
}

func ExampleStore_RevokeAll() {
	store := example()
	defer store.Close()
	exampleToken(store)
	exampleToken(store)
	revoked, err := store.RevokeAll(context.Background(), tokenstore.Administrator("root"), "alice", "left")
	fmt.Println(revoked, err)
	// Output: 2 <nil>
}

func ExampleStore_Expire() {
	store := example()
	defer store.Close()
	token, err := store.Expire(context.Background(), tokenstore.User("alice"), exampleToken(store).Token.ID, time.Time{})
	fmt.Println(token.State, err)
	// Output: expired <nil>
}

func ExampleStore_Get() {
	store := example()
	defer store.Close()
	_, err := store.Get(context.Background(), tokenstore.User("bob"), exampleToken(store).Token.ID)
	fmt.Println(errors.Is(err, tokenstore.ErrNotFound)) // another's token is as good as none
	// Output: true
}

func ExampleStore_Delete() {
	store := example()
	defer store.Close()
	fmt.Println(store.Delete(context.Background(), tokenstore.User("alice"), exampleToken(store).Token.ID))
	// Output: <nil>
}

func ExampleStore_List() {
	store := example()
	defer store.Close()
	exampleToken(store)
	page, err := store.List(context.Background(), tokenstore.User("alice"), tokenstore.Query{State: tokenstore.StateActive, Limit: 10})
	fmt.Println(len(page.Tokens), page.Next == "", err)
	// Output: 1 true <nil>
}

func ExampleStore_Tokens() {
	store := example()
	defer store.Close()
	exampleToken(store)
	tokens := store.Tokens(context.Background(), tokenstore.Host(), tokenstore.Query{})
	for tokens.Next() {
		fmt.Println(tokens.Entry().Owner, tokens.Entry().State)
	}
	fmt.Println(tokens.Err())
	// Output:
	// alice active
	// <nil>
}

func ExampleStore_Count() {
	store := example()
	defer store.Close()
	exampleToken(store)
	counts, err := store.Count(context.Background(), tokenstore.Host(), "")
	fmt.Println(counts.Active, err)
	// Output: 1 <nil>
}

func ExampleStore_Suspend() {
	store := example()
	defer store.Close()
	exampleToken(store)
	owner, err := store.Suspend(context.Background(), tokenstore.Administrator("root"), "alice", "on leave")
	fmt.Println(owner.Suspended, owner.SuspendedBy, err)
	owner, err = store.Resume(context.Background(), tokenstore.Administrator("root"), "alice")
	fmt.Println(owner.Suspended, err)
	// Output:
	// true administrator:root <nil>
	// false <nil>
}

func ExampleStore_SetOwner() {
	store := example()
	defer store.Close()
	owner, err := store.SetOwner(context.Background(), tokenstore.Host(), "alice", tokenstore.OwnerSettings{MayNotIssue: true})
	fmt.Println(owner.Settings.MayNotIssue, err)
	// Output: true <nil>
}

func ExampleStore_Owners() {
	store := example()
	defer store.Close()
	exampleToken(store)
	owners := store.Owners(context.Background(), tokenstore.Host())
	for owners.Next() {
		fmt.Println(owners.Entry().Name)
	}
	// Output: alice
}

func ExampleStore_SetPolicy() {
	store := example()
	defer store.Close()
	policy, err := store.Policy(context.Background(), tokenstore.Host())
	if err != nil {
		log.Fatal(err)
	}
	policy.LongestLifetime = 24 * time.Hour
	fmt.Println(store.SetPolicy(context.Background(), tokenstore.Host(), policy))
	_, err = store.Issue(context.Background(), tokenstore.User("alice"), tokenstore.Request{Lifetime: 48 * time.Hour})
	fmt.Println(errors.Is(err, tokenstore.ErrRefused))
	// Output:
	// <nil>
	// true
}

func ExampleStore_Purge() {
	store := example()
	defer store.Close()
	removed, complete, err := store.Purge(context.Background(), tokenstore.Host(), time.Now().AddDate(0, -3, 0), time.Second)
	fmt.Println(removed, complete, err)
	// Output: 0 true <nil>
}

func ExampleStore_Check() {
	store := example()
	defer store.Close()
	exampleToken(store)
	report, err := store.Check(context.Background(), tokenstore.Host())
	fmt.Println(report.Tokens, report.Problems, err)
	// Output: 1 0 <nil>
}

func ExampleStore_Maintain() {
	store := example()
	defer store.Close()
	more, err := store.Maintain(context.Background(), 50*time.Millisecond)
	fmt.Println(more, err)
	// Output: false <nil>
}

func ExampleStore_AddKey() {
	ctx, host := context.Background(), tokenstore.Host()
	directory, err := os.MkdirTemp("", "tokenstore-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(directory)
	store, err := tokenstore.Open(directory + "/tokens.db")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	id, err := store.AddKey(ctx, host)
	if err == nil {
		err = store.ActivateKey(ctx, host, id)
	}
	if err == nil {
		_, err = store.Reseal(ctx, host, "", 0)
	}
	if err == nil {
		err = store.RetireKey(ctx, host, "0A")
	}
	if err == nil {
		err = store.RemoveKey(ctx, host, "0A")
	}
	keys, _ := store.KeyStatus(ctx, host)
	fmt.Println(id, len(keys), keys[0].Use == tokenstore.KeyActive, err)
	// Output: 0B 1 true <nil>
}

func ExampleStore_ActivateKey() {
	store := example()
	defer store.Close()
	fmt.Println(errors.Is(store.ActivateKey(context.Background(), tokenstore.Host(), "0A"), tokenstore.ErrUnsupported))
	// Output: true
}

func ExampleStore_RetireKey() {
	store := example()
	defer store.Close()
	fmt.Println(errors.Is(store.RetireKey(context.Background(), tokenstore.Host(), "0A"), tokenstore.ErrUnsupported))
	// Output: true
}

func ExampleStore_RemoveKey() {
	store := example()
	defer store.Close()
	fmt.Println(errors.Is(store.RemoveKey(context.Background(), tokenstore.Host(), "0A"), tokenstore.ErrUnsupported))
	// Output: true
}

func ExampleStore_KeyStatus() {
	store := example()
	defer store.Close()
	exampleToken(store)
	keys, err := store.KeyStatus(context.Background(), tokenstore.Host())
	fmt.Println(keys[0].KeyID, keys[0].LivingTokens, err)
	// Output: 0A 1 <nil>
}

func ExampleStore_ReloadKeys() {
	store := example()
	defer store.Close()
	_, err := store.ReloadKeys(context.Background())
	fmt.Println(errors.Is(err, tokenstore.ErrUnsupported))
	// Output: true
}

func ExampleStore_Heal() {
	folder, _ := os.MkdirTemp("", "tokenstore")
	defer os.RemoveAll(folder)
	store, err := tokenstore.Open(filepath.Join(folder, "tokens.db"), tokenstore.WithJournal(filepath.Join(folder, "journal")))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	token := exampleToken(store)
	if _, err := store.Revoke(context.Background(), tokenstore.Host(), token.Token.ID, "lost"); err != nil {
		log.Fatal(err)
	}
	healed, err := store.Heal(context.Background(), tokenstore.Host())
	fmt.Println(healed.LookedAt, healed.Ended, err) // storage shows what the journal knows
	// Output: 1 0 <nil>
}

func ExampleStore_Reseal() {
	store := example()
	defer store.Close()
	for cursor := ""; ; {
		done, err := store.Reseal(context.Background(), tokenstore.Host(), cursor, time.Second)
		if err != nil {
			log.Fatal(err)
		}
		if cursor = done.Next; cursor == "" {
			fmt.Println(done.Resealed)
			return
		}
	}
	// Output: 0
}

func ExampleStore_Statistics() {
	store := example()
	defer store.Close()
	statistics, err := store.Statistics()
	fmt.Println(statistics.Hits, err)
	// Output: 0 <nil>
}

func ExampleError() {
	store := example()
	defer store.Close()
	_, err := store.Issue(context.Background(), tokenstore.Host(), tokenstore.Request{})
	var detail *tokenstore.Error
	fmt.Println(errors.As(err, &detail), detail.Status)
	// Output: true invalid_argument
}

func ExampleKeyringFromBytes() {
	keys, err := tokenstore.KeyringFromBytes(bytes.Repeat([]byte{1}, tokenstore.MasterKeySize), "0A")
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close()
	described, err := keys.Keys()
	fmt.Println(described, err)
	// Output: [{0A 1}] <nil>
}
