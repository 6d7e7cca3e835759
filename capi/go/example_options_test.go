package tokenstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"tokenstore.example/tokenstore"
)

// exampleOpened is a store in a file of the folder, or the end of the example.
func exampleOpened(folder string, options ...tokenstore.Option) *tokenstore.Store {
	store, err := tokenstore.Open(filepath.Join(folder, "tokens.db"), options...)
	if err != nil {
		log.Fatal(err)
	}
	return store
}

func ExampleWithKeyFile() {
	folder, remove := exampleFolder()
	defer remove()
	store := exampleOpened(folder, tokenstore.WithKeyFile(exampleKeyFile(folder)))
	defer store.Close()
	fmt.Printf("%q\n", store.CreatedKeyFile())
	// Output: ""
}

func ExampleWithKeyFileTrust() {
	folder, remove := exampleFolder()
	defer remove()
	// "<path>.key" may be root's and readable by its group, as Kubernetes mounts secrets under fsGroup.
	store := exampleOpened(folder, tokenstore.WithKeyFileTrust(tokenstore.GroupReadableOfRoot))
	defer store.Close()
	fmt.Println(filepath.Base(store.CreatedKeyFile()))
	// Output: tokens.db.key
}

func ExampleWithKeyBytes() {
	folder, remove := exampleFolder()
	defer remove()
	key := bytes.Repeat([]byte{1}, tokenstore.MasterKeySize) // 32 bytes of a vault's
	store := exampleOpened(folder, tokenstore.WithKeyBytes(key, "0A"))
	fmt.Println(store.Close())
	// Another key does not open it.
	key[0]++
	_, err := tokenstore.Open(filepath.Join(folder, "tokens.db"), tokenstore.WithKeyBytes(key, "0A"))
	fmt.Println(errors.Is(err, tokenstore.ErrWrongKey))
	// Output:
	// <nil>
	// true
}

func ExampleWithKeyring() {
	folder, remove := exampleFolder()
	defer remove()
	keys := exampleKeyring()
	defer keys.Close()
	store := exampleOpened(folder, tokenstore.WithKeyring(keys))
	fmt.Println(store.Close())
	// Output: <nil>
}

func ExampleWithCredential() {
	folder, remove := exampleFolder()
	defer remove()
	exampleKeyFile(folder)
	// systemd does this for a service with LoadCredential=tokens.key:/etc/notes/tokens.key.
	if err := os.Setenv("CREDENTIALS_DIRECTORY", folder); err != nil {
		log.Fatal(err)
	}
	defer os.Unsetenv("CREDENTIALS_DIRECTORY")
	store := exampleOpened(folder, tokenstore.WithCredential("tokens.key"))
	fmt.Println(store.Close())
	// Output: <nil>
}

func ExampleWithJournal() {
	folder, remove := exampleFolder()
	defer remove()
	// Better on another disk, where whoever restores the database does not come.
	journal := filepath.Join(folder, "tokens.journal")
	store := exampleOpened(folder, tokenstore.WithJournal(journal))
	fmt.Println(store.Close())
	facts, err := os.Stat(journal)
	fmt.Println(facts.Mode(), err)
	// Output:
	// <nil>
	// -rw------- <nil>
}

func ExampleWithWorkspace() {
	folder, remove := exampleFolder()
	defer remove()
	blue := exampleOpened(folder, tokenstore.WithWorkspace("blue"))
	defer blue.Close()
	green := exampleOpened(folder, tokenstore.WithWorkspace("green"))
	defer green.Close()
	// A tenant's token is nothing in another one's workspace.
	text := exampleToken(blue).Secret.Reveal()
	for _, store := range []*tokenstore.Store{blue, green} {
		verdict, err := store.Validate(context.Background(), text, tokenstore.Demand{Scope: "notes:read"})
		fmt.Println(store.Workspace(), verdict.Valid(), err)
		verdict.Release()
	}
	// Output:
	// blue true <nil>
	// green false <nil>
}

func ExampleWithPrefix() {
	store, err := tokenstore.OpenMemory(tokenstore.WithPrefix("acme"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(exampleToken(store).Secret.Reveal()[:5])
	// Output: acme_
}

func ExampleWithVFS() {
	folder, remove := exampleFolder()
	defer remove()
	store := exampleOpened(folder, tokenstore.WithVFS("unix"))
	fmt.Println(store.Close())
	// Output: <nil>
}

func ExampleWithBusyTimeout() {
	folder, remove := exampleFolder()
	defer remove()
	store := exampleOpened(folder, tokenstore.WithBusyTimeout(500*time.Millisecond))
	fmt.Println(store.Close())
	// Output: <nil>
}

func ExampleWithUseInterval() {
	folder, remove := exampleFolder()
	defer remove()
	store := exampleOpened(folder, tokenstore.WithUseInterval(10*time.Minute), tokenstore.WithUpkeep())
	fmt.Println(store.Close()) // writes out the last uses that are left
	// Output: <nil>
}

func ExampleWithCacheBytes() {
	store, err := tokenstore.OpenMemory(tokenstore.WithCacheBytes(256 << 20))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Close())
	// Output: <nil>
}

func ExampleWithoutCache() {
	store, err := tokenstore.OpenMemory(tokenstore.WithoutCache())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	text := exampleToken(store).Secret.Reveal()
	for i := 0; i < 3; i++ {
		verdict, err := store.Validate(context.Background(), text, tokenstore.Demand{Scope: "notes:read"})
		if err != nil {
			log.Fatal(err)
		}
		verdict.Release()
	}
	statistics, err := store.Statistics()
	fmt.Println(statistics.Hits, statistics.Misses, err)
	// Output: 0 3 <nil>
}

func ExampleSurvivesCrashButNotPowerCut() {
	folder, remove := exampleFolder()
	defer remove()
	// For tokens that their owners can do without: those of a preview, or of a test.
	store := exampleOpened(folder, tokenstore.SurvivesCrashButNotPowerCut())
	fmt.Println(store.Close())
	// Output: <nil>
}

func ExampleReadOnly() {
	folder, remove := exampleFolder()
	defer remove()
	writer := exampleOpened(folder)
	defer writer.Close()
	reader := exampleOpened(folder, tokenstore.ReadOnly())
	defer reader.Close()
	_, err := reader.Issue(context.Background(), tokenstore.User("alice"), tokenstore.Request{})
	fmt.Println(errors.Is(err, tokenstore.ErrReadOnly))
	// Output: true
}

func ExampleMustExist() {
	folder, remove := exampleFolder()
	defer remove()
	_, err := tokenstore.Open(filepath.Join(folder, "misspelt.db"), tokenstore.MustExist())
	fmt.Println(errors.Is(err, tokenstore.ErrCannotOpen))
	// Output: true
}

func ExampleWorkspaceMustExist() {
	_, err := tokenstore.OpenMemory(tokenstore.WithWorkspace("misspelt"), tokenstore.WorkspaceMustExist())
	fmt.Println(errors.Is(err, tokenstore.ErrNotFound))
	// Output: true
}

func ExampleWithUpkeep() {
	folder, remove := exampleFolder()
	defer remove()
	store := exampleOpened(folder, tokenstore.WithUpkeep()) // nobody has to call Maintain
	fmt.Println(store.Close())
	// Output: <nil>
}

// Without the build tag tokenstore_postgres it answers ErrUnsupported.
func ExampleOpenPostgres() {
	store, err := tokenstore.OpenPostgres("host=db dbname=notes user=notes",
		tokenstore.PostgresOptions{PoolSize: 4, MaxStaleness: 100 * time.Millisecond},
		tokenstore.WithKeyFile("/etc/notes/tokens.key"), tokenstore.WithUpkeep())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
}
