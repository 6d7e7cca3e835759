package tokenstore_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"tokenstore.example/tokenstore"
)

// exampleVerdict is what a token with the scope notes:read is told when it asks for another, or for this one.
func exampleVerdict(store *tokenstore.Store, scope string) tokenstore.Verdict {
	issued, err := store.Issue(context.Background(), tokenstore.User("alice"), tokenstore.Request{
		Scopes: []string{"notes:read"}, Metadata: []byte("team=7"), Lifetime: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	verdict, err := store.Validate(context.Background(), issued.Secret.Reveal(), tokenstore.Demand{Scope: scope})
	if err != nil {
		log.Fatal(err)
	}
	return verdict
}

func ExampleVerdict_Valid() {
	store := example()
	defer store.Close()
	verdict := exampleVerdict(store, "notes:read")
	defer verdict.Release()
	fmt.Println(verdict.Valid(), tokenstore.Verdict{}.Valid())
	// Output: true false
}

func ExampleVerdict_Outcome() {
	store := example()
	defer store.Close()
	verdict := exampleVerdict(store, "notes:write")
	defer verdict.Release()
	switch verdict.Outcome() {
	case tokenstore.Valid:
		fmt.Println("serve")
	case tokenstore.Invalid:
		fmt.Println("refuse")
	default:
		fmt.Println("ask again later")
	}
	// Output: refuse
}

func ExampleVerdict_Reason() {
	store := example()
	defer store.Close()
	verdict := exampleVerdict(store, "notes:write")
	defer verdict.Release()
	fmt.Println(verdict.Reason()) // into the audit log, not to the client
	// Output: insufficient_scope
}

func ExampleVerdict_HTTPStatus() {
	store := example()
	defer store.Close()
	verdict := exampleVerdict(store, "notes:write")
	defer verdict.Release()
	fmt.Println(verdict.HTTPStatus())
	// Output: 403
}

func ExampleVerdict_TokenID() {
	store := example()
	defer store.Close()
	verdict := exampleVerdict(store, "notes:read")
	defer verdict.Release()
	token, err := store.Get(context.Background(), tokenstore.Host(), verdict.TokenID())
	fmt.Println(token.Owner, err)
	// Output: alice <nil>
}

func ExampleVerdict_Owner() {
	store := example()
	defer store.Close()
	verdict := exampleVerdict(store, "notes:read")
	defer verdict.Release()
	fmt.Println(verdict.Owner())
	// Output: alice
}

func ExampleVerdict_Scopes() {
	store := example()
	defer store.Close()
	verdict := exampleVerdict(store, "notes:read")
	defer verdict.Release()
	fmt.Println(verdict.Scopes())
	// Output: [notes:read]
}

func ExampleVerdict_Metadata() {
	store := example()
	defer store.Close()
	verdict := exampleVerdict(store, "notes:read")
	defer verdict.Release()
	fmt.Printf("%s\n", verdict.Metadata())
	// Output: team=7
}

func ExampleVerdict_ExpiresAt() {
	store := example()
	defer store.Close()
	verdict := exampleVerdict(store, "notes:read")
	defer verdict.Release()
	fmt.Println(time.Until(verdict.ExpiresAt()) > 59*time.Minute)
	// Output: true
}

func ExampleVerdict_Release() {
	store := example()
	defer store.Close()
	verdict := exampleVerdict(store, "notes:read")
	owner := verdict.Owner()
	verdict.Release()
	fmt.Println(owner, verdict.Valid(), verdict.Owner() == "") // a verdict that was given back says nothing
	// Output: alice false true
}

func ExampleOutcome_String() {
	fmt.Println(tokenstore.Valid, tokenstore.Invalid, tokenstore.Unavailable)
	// Output: valid invalid unavailable
}

func ExampleReason_String() {
	fmt.Println(tokenstore.NoReason, tokenstore.Revoked, tokenstore.InsufficientScope)
	// Output: none revoked insufficient_scope
}

func ExampleStore_WhyUnavailable() {
	store := example()
	defer store.Close()
	why, _, err := store.WhyUnavailable()
	fmt.Println(why == "", err) // storage has always answered
	// Output: true <nil>
}

func ExampleGuard_Require() {
	store := example()
	defer store.Close()
	guard := tokenstore.Guard{
		Realm: "notes",
		Denied: func(_ *http.Request, verdict tokenstore.Verdict, _ error) {
			fmt.Println("denied:", verdict.Reason())
		},
	}
	route := guard.Require(store, "notes:read")(http.NotFoundHandler())
	request := httptest.NewRequest("GET", "/notes", nil)
	request.Header.Set("Authorization", "Bearer nonsense")
	answer := httptest.NewRecorder()
	route.ServeHTTP(answer, request)
	fmt.Println(answer.Code, answer.Header().Get("WWW-Authenticate"))
	// Output:
	// denied: malformed
	// 401 Bearer realm="notes", error="invalid_token"
}

func ExampleContextWith() {
	store := example()
	defer store.Close()
	// What an interceptor of another framework does.
	verdict := exampleVerdict(store, "notes:read")
	defer verdict.Release()
	ctx := tokenstore.ContextWith(context.Background(), verdict)
	fmt.Println(tokenstore.VerdictFrom(ctx).Owner())
	// Output: alice
}

func ExampleVerdictFrom() {
	notes := func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(tokenstore.VerdictFrom(r.Context()).Valid())
	}
	// Nobody has let this request through.
	notes(httptest.NewRecorder(), httptest.NewRequest("GET", "/notes", nil))
	// Output: false
}
