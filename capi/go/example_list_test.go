package tokenstore_test

import (
	"context"
	"errors"
	"fmt"

	"tokenstore.example/tokenstore"
)

func ExampleCursor_Next() {
	store := example()
	defer store.Close()
	exampleToken(store)
	tokens := store.Tokens(context.Background(), tokenstore.User("alice"), tokenstore.Query{})
	fmt.Println(tokens.Next(), tokens.Next())
	// Output: true false
}

func ExampleCursor_Entry() {
	store := example()
	defer store.Close()
	exampleToken(store)
	owners := store.Owners(context.Background(), tokenstore.Host())
	for owners.Next() {
		fmt.Println(owners.Entry().Name)
	}
	// Output: alice
}

func ExampleCursor_Err() {
	store := example()
	defer store.Close()
	tokens := store.Tokens(context.Background(), tokenstore.User("alice"), tokenstore.Query{Cursor: "of nothing"})
	for tokens.Next() {
		fmt.Println(tokens.Entry().ID)
	}
	fmt.Println(errors.Is(tokens.Err(), tokenstore.ErrInvalidArgument))
	// Output: true
}

func ExampleStore_ListOwners() {
	store := example()
	defer store.Close()
	exampleToken(store)
	page, err := store.ListOwners(context.Background(), tokenstore.Host(), "", 10)
	fmt.Println(page.Owners[0].Name, page.Next == "", err)
	// Output: alice true <nil>
}

func ExampleStore_Owner() {
	store := example()
	defer store.Close()
	exampleToken(store)
	owner, err := store.Owner(context.Background(), tokenstore.Administrator("root"), "alice")
	fmt.Println(owner.Suspended, owner.Settings.MayNotUse, err)
	// Output: false false <nil>
}

func ExampleStore_Resume() {
	store := example()
	defer store.Close()
	exampleToken(store)
	owner, err := store.Resume(context.Background(), tokenstore.Administrator("root"), "alice")
	fmt.Println(owner.Suspended, err)
	// Output: false <nil>
}

func ExampleStore_Policy() {
	store := example()
	defer store.Close()
	policy, err := store.Policy(context.Background(), tokenstore.Host())
	fmt.Println(policy.DefaultLifetime, policy.NeverAllowed, err)
	// Output: 2160h0m0s false <nil>
}
