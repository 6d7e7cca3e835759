// Notes is a service whose clients come with access tokens: it issues, guards, lists and revokes them over HTTP.
//
//	notes -db tokens.db -listen 127.0.0.1:8080 -accounts accounts.txt
//
// People prove who they are by a password of their own (HTTP Basic) to manage their tokens; what their programs do is
// guarded by tokens alone. The accounts file has a line "name:password" for each; a real server has its own sessions.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tokenstore.example/tokenstore"
)

func main() {
	database := flag.String("db", "tokens.db", "the database `file`")
	listen := flag.String("listen", "127.0.0.1:8080", "the `address` to listen on")
	accounts := flag.String("accounts", "", "the `file` with a line name:password for each account")
	flag.Parse()
	if err := run(*database, *listen, *accounts); err != nil {
		log.Fatal(err)
	}
}

func run(database, listen, accountsFile string) error {
	people, err := readAccounts(accountsFile)
	if err != nil {
		return err
	}
	store, err := tokenstore.Open(database, tokenstore.WithUpkeep(), tokenstore.WithPrefix("notes"))
	if err != nil {
		return err
	}
	defer store.Close()
	if key := store.CreatedKeyFile(); key != "" {
		log.Printf("made the key file %s: keep it, and keep it apart from the database", key)
	}

	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: newHandler(store, people), ReadHeaderTimeout: 10 * time.Second}
	stopped, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Printf("listening on http://%s\n", listener.Addr())
	select {
	case err = <-ended:
		return err
	case <-stopped.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err = server.Shutdown(grace); errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}
