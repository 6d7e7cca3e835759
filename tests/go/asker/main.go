// Asker is a Go process that shares a store's file with others: it reads commands from standard input, one a line, and
// answers each with a line.
//
//	validate TEXT    valid, or the reason
//	issue OWNER      the text and the id of a new token
//	revoke ID        ok, or the error
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"tokenstore.example/tokenstore"
)

func main() {
	store, err := tokenstore.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println("open")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		command, argument, _ := strings.Cut(lines.Text(), " ")
		fmt.Println(answer(store, command, argument))
	}
}

func answer(store *tokenstore.Store, command, argument string) string {
	ctx := context.Background()
	switch command {
	case "validate":
		verdict, err := store.Validate(ctx, argument, tokenstore.Demand{Scope: "read"})
		defer verdict.Release()
		if err != nil {
			return err.Error()
		}
		if verdict.Valid() {
			return "valid"
		}
		return verdict.Reason().String()
	case "issue":
		issued, err := store.Issue(ctx, tokenstore.Host(), tokenstore.Request{Owner: argument, Scopes: []string{"read"}})
		if err != nil {
			return err.Error()
		}
		return issued.Secret.Reveal() + " " + issued.Token.ID
	case "revoke":
		if _, err := store.Revoke(ctx, tokenstore.Host(), argument, ""); err != nil {
			return err.Error()
		}
		return "ok"
	}
	return "no such command"
}
