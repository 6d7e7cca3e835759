//go:build go1.23

package tokenstore_test

import (
	"context"
	"fmt"
	"log"

	"tokenstore.example/tokenstore"
)

func ExampleStore_All() {
	store := example()
	defer store.Close()
	exampleToken(store)
	for token, err := range store.All(context.Background(), tokenstore.User("alice"), tokenstore.Query{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(token.Owner, token.State)
	}
	// Output: alice active
}

func ExampleStore_AllOwners() {
	store := example()
	defer store.Close()
	exampleToken(store)
	for owner, err := range store.AllOwners(context.Background(), tokenstore.Host()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(owner.Name)
	}
	// Output: alice
}
