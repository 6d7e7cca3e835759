package tokenstore_test

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"tokenstore.example/tokenstore"
)

// exampleFolder is for the files of one example.
func exampleFolder() (folder string, remove func()) {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	return folder, func() { _ = os.RemoveAll(folder) }
}

// exampleKeyFile is a key file as an operator has it.
func exampleKeyFile(folder string) string {
	keys := exampleKeyring()
	defer keys.Close()
	path := filepath.Join(folder, "tokens.key")
	if err := keys.WriteNewFile(path); err != nil {
		log.Fatal(err)
	}
	return path
}

func exampleKeyring() *tokenstore.Keyring {
	keys, err := tokenstore.GenerateKeyring()
	if err != nil {
		log.Fatal(err)
	}
	return keys
}

func ExampleGenerateKeyring() {
	keys, err := tokenstore.GenerateKeyring()
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close()
	store, err := tokenstore.OpenMemory(tokenstore.WithKeyring(keys))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Close())
	// Output: <nil>
}

func ExampleKeyringFromFile() {
	folder, remove := exampleFolder()
	defer remove()
	keys, err := tokenstore.KeyringFromFile(exampleKeyFile(folder))
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close()
	described, err := keys.Keys()
	fmt.Println(len(described), err)
	// Output: 1 <nil>
}

func ExampleKeyringFromCredential() {
	folder, remove := exampleFolder()
	defer remove()
	exampleKeyFile(folder)
	// systemd does this for a service with LoadCredential=tokens.key:/etc/notes/tokens.key.
	if err := os.Setenv("CREDENTIALS_DIRECTORY", folder); err != nil {
		log.Fatal(err)
	}
	defer os.Unsetenv("CREDENTIALS_DIRECTORY")
	keys, err := tokenstore.KeyringFromCredential("tokens.key")
	fmt.Println(err, keys.Close())
	// Output: <nil> <nil>
}

func ExampleKeyringFromText() {
	keys := exampleKeyring()
	defer keys.Close()
	text, err := keys.Text() // as it comes from a vault
	if err != nil {
		log.Fatal(err)
	}
	again, err := tokenstore.KeyringFromText([]byte(text.Reveal()))
	fmt.Println(err, again.Close())
	// Output: <nil> <nil>
}

func ExampleKeyring_Add() {
	keys, err := tokenstore.KeyringFromBytes(bytes.Repeat([]byte{2}, tokenstore.MasterKeySize), "0B")
	if err != nil {
		log.Fatal(err)
	}
	defer keys.Close()
	// What the key before made still validates.
	old := bytes.Repeat([]byte{1}, tokenstore.MasterKeySize)
	fmt.Println(keys.Add("0A", tokenstore.KeyVerifyOnly, old))
	// Output: <nil>
}

func ExampleKeyring_Keys() {
	keys := exampleKeyring()
	defer keys.Close()
	described, err := keys.Keys()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(described[0].ID, described[0].Use == tokenstore.KeyActive)
	// Output: 0A true
}

func ExampleKeyring_Text() {
	keys := exampleKeyring()
	defer keys.Close()
	text, err := keys.Text()
	if err != nil {
		log.Fatal(err)
	}
	defer text.Wipe()
	fmt.Println(text, text.Reveal() != "") // Reveal it to the vault, and to nobody else
	// Output: [redacted] true
}

func ExampleKeyring_WriteNewFile() {
	folder, remove := exampleFolder()
	defer remove()
	keys := exampleKeyring()
	defer keys.Close()
	path := filepath.Join(folder, "tokens.key")
	fmt.Println(keys.WriteNewFile(path))
	fmt.Println(keys.WriteNewFile(path) != nil) // it never overwrites
	// Output:
	// <nil>
	// true
}

func ExampleKeyring_Close() {
	keys := exampleKeyring()
	store, err := tokenstore.OpenMemory(tokenstore.WithKeyring(keys))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(keys.Close()) // the store has its own copy
	fmt.Println(exampleToken(store).Token.Owner)
	// Output:
	// <nil>
	// alice
}
