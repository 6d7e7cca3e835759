package main

import (
	"context"
	"fmt"
	"log"

	"tokenstore.example/tokenstore"
)

func main() {
	ctx := context.Background()
	store, err := tokenstore.Open("tokens.db") // made at first use, with its key beside it: tokens.db.key
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	alice := tokenstore.User("alice")
	issued, err := store.Issue(ctx, alice, tokenstore.Request{Scopes: []string{"notes:read"}})
	if err != nil {
		log.Fatal(err)
	}
	text := issued.Secret.Reveal() // hand it to alice now: it is kept nowhere

	read, _ := store.Validate(ctx, text, tokenstore.Demand{Scope: "notes:read"})
	fmt.Println("read:   ", read.Outcome(), "for", read.Owner())
	read.Release()

	if _, err = store.Revoke(ctx, alice, issued.Token.ID, "lost my laptop"); err != nil {
		log.Fatal(err)
	}
	gone, _ := store.Validate(ctx, text, tokenstore.Demand{Scope: "notes:read"})
	fmt.Println("revoked:", gone.Outcome())
}
