package tokenstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing"

	"tokenstore.example/tokenstore"
)

func TestABackupComesBack(t *testing.T) {
	folder := t.TempDir()
	path, place := filepath.Join(folder, "tokens.db"), filepath.Join(folder, "backup")
	keyring, err := tokenstore.GenerateKeyring()
	if err != nil {
		t.Fatal(err)
	}
	store := must(tokenstore.Open(path, tokenstore.WithKeyring(keyring)))(t)
	issued := issue(t, store, "alice")
	made, err := store.Backup(ctx, tokenstore.Host(), place, false)
	if err != nil || made.Workspaces != 1 || made.Owners != 1 || made.Tokens != 1 || len(made.Store) != 32 {
		t.Fatalf("made %+v: %v", made, err)
	}
	if verified, err := tokenstore.VerifyBackup(place, keyring); err != nil || verified != made {
		t.Errorf("verified %+v: %v", verified, err)
	}
	_, err = store.Backup(ctx, tokenstore.Host(), place, false)
	wantError(t, err, tokenstore.ErrConflict)
	_, err = store.Backup(ctx, tokenstore.User("alice"), place, true)
	wantError(t, err, tokenstore.ErrPermissionDenied)
	if _, err = store.Revoke(ctx, tokenstore.Host(), issued.Token.ID, ""); err != nil {
		t.Fatal(err)
	}
	_, err = tokenstore.Restore(place, keyring, path, false)
	wantError(t, err, tokenstore.ErrConflict)
	restored, err := tokenstore.Restore(place, keyring, path, true)
	if err != nil || !restored.Compared || restored.LostEndings != 1 || restored.LostTokens != 0 || restored.Tokens != 1 {
		t.Fatalf("restored %+v: %v", restored, err)
	}
	if _, err := os.Stat(restored.KeptFile); err != nil {
		t.Error(err)
	}
	_, err = store.Get(ctx, tokenstore.Host(), issued.Token.ID)
	wantError(t, err, tokenstore.ErrUnavailable)
	_ = store.Close()

	store = must(tokenstore.Open(path, tokenstore.WithKeyring(keyring)))(t)
	if token, err := store.Get(ctx, tokenstore.Host(), issued.Token.ID); err != nil || token.State != tokenstore.StateActive {
		t.Errorf("the token is %+v: %v", token, err)
	}
	copied, err := store.Copy(ctx, tokenstore.Host(), filepath.Join(folder, "copy.db"), false)
	if err != nil || copied.Workspaces != 1 || copied.Tokens != 1 || copied.Different != 0 || copied.Written == 0 {
		t.Errorf("copied %+v: %v", copied, err)
	}
	if err := os.Truncate(place, 1000); err != nil {
		t.Fatal(err)
	}
	_, err = tokenstore.VerifyBackup(place, keyring)
	wantError(t, err, tokenstore.ErrNotAStore)
}

// exampleBackup is a folder with a store and a backup of it.
func exampleBackup() (folder string, keyring *tokenstore.Keyring, info tokenstore.BackupInfo) {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	if keyring, err = tokenstore.GenerateKeyring(); err != nil {
		log.Fatal(err)
	}
	store, err := tokenstore.Open(filepath.Join(folder, "tokens.db"), tokenstore.WithKeyring(keyring))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	exampleToken(store)
	info, err = store.Backup(context.Background(), tokenstore.Host(), filepath.Join(folder, "tokens.backup"), false)
	if err != nil {
		log.Fatal(err)
	}
	return folder, keyring, info
}

func ExampleStore_Backup() {
	folder, _, info := exampleBackup()
	defer os.RemoveAll(folder)
	fmt.Println(info.Workspaces, info.Owners, info.Tokens)
	// Output: 1 1 1
}

func ExampleVerifyBackup() {
	folder, keyring, made := exampleBackup()
	defer os.RemoveAll(folder)
	info, err := tokenstore.VerifyBackup(filepath.Join(folder, "tokens.backup"), keyring)
	fmt.Println(info == made, err)
	// Output: true <nil>
}

func ExampleRestore() {
	folder, keyring, _ := exampleBackup()
	defer os.RemoveAll(folder)
	restored, err := tokenstore.Restore(filepath.Join(folder, "tokens.backup"), keyring, filepath.Join(folder, "tokens.db"), false)
	fmt.Println(restored.Tokens, restored.LostEndings, restored.KeptFile != "", err)
	// Output: 1 0 true <nil>
}

func ExampleStore_Copy() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store := example()
	defer store.Close()
	exampleToken(store)
	copied, err := store.Copy(context.Background(), tokenstore.Host(), filepath.Join(folder, "copy.db"), false)
	fmt.Println(copied.Tokens, copied.Different, err)
	// Output: 1 0 <nil>
}
