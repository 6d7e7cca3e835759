package tokenstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"path/filepath"
	"regexp"
	"time"

	"tokenstore.example/tokenstore"
)

func ExampleUser() {
	store := example()
	defer store.Close()
	_, err := store.Issue(context.Background(), tokenstore.User("alice"), tokenstore.Request{Owner: "bob"})
	fmt.Println(tokenstore.User("alice"), errors.Is(err, tokenstore.ErrPermissionDenied))
	// Output: user:alice true
}

func ExampleAdministrator() {
	store := example()
	defer store.Close()
	root := tokenstore.Administrator("root")
	token, err := store.Revoke(context.Background(), root, exampleToken(store).Token.ID, "")
	fmt.Println(token.Owner, token.RevokedBy, err)
	// Output: alice administrator:root <nil>
}

func ExampleHost() {
	store := example()
	defer store.Close()
	issued, err := store.Issue(context.Background(), tokenstore.Host(), tokenstore.Request{Owner: "alice"})
	fmt.Println(issued.Token.Owner, issued.Token.CreatedBy, err)
	// Output: alice host <nil>
}

func ExampleActor_String() {
	fmt.Println(tokenstore.User("alice"), tokenstore.Administrator("root"), tokenstore.Host(), tokenstore.Actor{})
	// Output: user:alice administrator:root host nobody
}

func ExampleState_String() {
	fmt.Println(tokenstore.StateActive, tokenstore.StateExpired, tokenstore.StateRevoked)
	// Output: active expired revoked
}

func ExampleStatus_String() {
	fmt.Println(tokenstore.StatusNotFound, tokenstore.StatusUnavailable)
	// Output: not_found unavailable
}

func exampleError() error {
	store := example()
	defer store.Close()
	_, err := store.Issue(context.Background(), tokenstore.Host(), tokenstore.Request{Owner: "alice", Lifetime: -time.Hour})
	return err
}

func ExampleError_Error() {
	fmt.Println(exampleError())
	// Output: tokenstore: the lifetime is negative: set a positive duration, 0 for the default, or Never
}

func ExampleError_Is() {
	err := exampleError()
	fmt.Println(errors.Is(err, tokenstore.ErrInvalidArgument), errors.Is(err, tokenstore.ErrRefused))
	// Output: true false
}

func ExampleError_Unwrap() {
	err := exampleError()
	fmt.Println(errors.Is(err, context.DeadlineExceeded)) // only if a context ended while storage was at work
	// Output: false
}

func ExampleStore_Close() {
	store := example()
	fmt.Println(store.Close())
	_, err := store.Now()
	fmt.Println(errors.Is(err, tokenstore.ErrClosed))
	// Output:
	// <nil>
	// true
}

func ExampleStore_Workspace() {
	store := example()
	defer store.Close()
	fmt.Println(store.Workspace())
	// Output: default
}

func ExampleStore_Prefix() {
	store := example()
	defer store.Close()
	fmt.Println(store.Prefix())
	// Output: pat
}

func ExampleStore_CreatedKeyFile() {
	folder, remove := exampleFolder()
	defer remove()
	store := exampleOpened(folder)
	defer store.Close()
	if made := store.CreatedKeyFile(); made != "" {
		fmt.Println("keep a copy of", filepath.Base(made))
	}
	// Output: keep a copy of tokens.db.key
}

func ExampleStore_Now() {
	store := example()
	defer store.Close()
	now, err := store.Now()
	fmt.Println(time.Since(now) < time.Minute, err)
	// Output: true <nil>
}

func ExampleStore_ScannerPattern() {
	store := example()
	defer store.Close()
	pattern, err := store.ScannerPattern()
	if err != nil {
		log.Fatal(err)
	}
	leaked := "curl -H 'Authorization: Bearer " + exampleToken(store).Secret.Reveal() + "' https://notes.example"
	fmt.Println(regexp.MustCompile(pattern).MatchString(leaked))
	// Output: true
}

func ExampleVersion() {
	fmt.Println(tokenstore.Version() != "")
	// Output: true
}

func ExampleVersionNumber() {
	number := tokenstore.VersionNumber()
	fmt.Println(fmt.Sprintf("%d.%d.%d", number/1000000, number/1000%1000, number%1000) == tokenstore.Version())
	// Output: true
}

func ExampleABIVersion() {
	fmt.Println(tokenstore.ABIVersion() < 1000)
	// Output: true
}
